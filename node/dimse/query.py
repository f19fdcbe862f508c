"""What an archive has: studies, series, instances and how many (C-FIND, study root; PS3.4 C.4.1, C.6.2)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydicom import Dataset
from pynetdicom.dsutils import encode

from node.dicom.syntaxes import EXPLICIT, IMPLICIT
from node.dicom.walker import walk
from node.dimse.command import Command, Request
from node.dimse.contexts import STUDY_ROOT_FIND, Proposed
from node.dimse.errors import ProtocolViolation
from node.dimse.requestor import Peer, answer_to, associate, context_for
from node.dimse.status import Disposition, Status, disposition, status_text
from node.errors import Refused, Unreachable

LONGEST_MATCH_BYTES = 1024 * 1024
MOST_MATCHES = 100_000

SOP_INSTANCE_UID, MODALITY = 0x00080018, 0x00080060
STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E
STUDY_INSTANCES, SERIES_INSTANCES = 0x00201208, 0x00201209

Match = Mapping[int, str]  # tag -> value as text, of the top level


class ArchivedSeries(NamedTuple):
    """A series as the archive knows it."""

    series_instance_uid: str
    modality: str  # "" where it does not say
    instances: int | None  # None where it does not count


def find_studies(peer: Peer, accession_number: str, timeout_s: float = 30) -> list[str]:
    """The studies of this accession number. Raises Unreachable and Refused, and their kinds."""
    matches = _find(peer, _identifier("STUDY", AccessionNumber=accession_number, StudyInstanceUID=""), timeout_s)
    return sorted({uid for match in matches if (uid := match.get(STUDY_INSTANCE_UID, ""))})


def find_series(peer: Peer, study_instance_uid: str, timeout_s: float = 30) -> list[ArchivedSeries]:
    """The series of a study, by UID. Raises Unreachable and Refused, and their kinds."""
    identifier = _identifier(
        "SERIES",
        Modality="",
        StudyInstanceUID=study_instance_uid,
        SeriesInstanceUID="",
        NumberOfSeriesRelatedInstances="",
    )
    found = {
        uid: ArchivedSeries(uid, match.get(MODALITY, ""), _count(match, SERIES_INSTANCES))
        for match in _find(peer, identifier, timeout_s)
        if (uid := match.get(SERIES_INSTANCE_UID, ""))
    }
    return [found[uid] for uid in sorted(found)]


def find_instances(
    peer: Peer, study_instance_uid: str, series_instance_uid: str, timeout_s: float = 30
) -> frozenset[str]:
    """The SOP Instance UIDs that the peer has of a series (C-FIND at image level).

    Raises Unreachable and Refused, and their kinds.
    """
    identifier = _identifier(
        "IMAGE", SOPInstanceUID="", StudyInstanceUID=study_instance_uid, SeriesInstanceUID=series_instance_uid
    )
    return frozenset(match.get(SOP_INSTANCE_UID, "") for match in _find(peer, identifier, timeout_s)) - {""}


def count_instances(peer: Peer, study_instance_uid: str, timeout_s: float = 30) -> int | None:
    """How many instances the peer says this study has; None when it does not say.

    Raises Unreachable and Refused, and their kinds.
    """
    identifier = _identifier("STUDY", StudyInstanceUID=study_instance_uid, NumberOfStudyRelatedInstances="")
    counts = (_count(match, STUDY_INSTANCES) for match in _find(peer, identifier, timeout_s))
    return next((count for count in counts if count is not None), None)


def _identifier(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _count(match: Match, tag: int) -> int | None:
    stated = match.get(tag, "")
    return int(stated) if stated.isascii() and stated.isdigit() and int(stated) > 0 else None


def _find(peer: Peer, identifier: Dataset, timeout_s: float) -> Iterable[Match]:
    matches: list[Match] = []
    with associate(peer, [Proposed(1, STUDY_ROOT_FIND, (EXPLICIT, IMPLICIT))], timeout_s) as association:
        context = context_for(association, STUDY_ROOT_FIND)
        command = Command(field=Request.C_FIND, message_id=1, sop_class_uid=STUDY_ROOT_FIND, has_data_set=True)
        encoded = encode(identifier, context.transfer_syntax == IMPLICIT, True) or b""
        association.send(context.context_id, command, [encoded])
        while len(matches) < MOST_MATCHES:
            response = answer_to(association, command, timeout_s)
            status = response.command.status or 0
            data = response.read(LONGEST_MATCH_BYTES)
            if status not in (Status.PENDING, Status.PENDING_OPTIONAL_KEYS):
                _check(status)
                return matches
            matches.append(_top_level(data, context.transfer_syntax))
        raise ProtocolViolation(f"more than {MOST_MATCHES} matches")


def _check(status: int) -> None:
    answer = disposition(status)
    if answer is Disposition.TRANSIENT:
        raise Unreachable(f"the peer cannot search now: {status_text(status)}")
    if answer is Disposition.PERMANENT:
        raise Refused(f"the peer does not search: {status_text(status)}")


def _top_level(data: bytes, transfer_syntax: str) -> Match:
    return {
        element.tag: data[element.start : element.end].decode("ascii", errors="replace").strip(" \0")
        for element in walk(data, transfer_syntax)
        if element.depth == 0
    }
