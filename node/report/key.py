"""The key of an answer: everything that it follows from, and nothing of how it came about.

The same key means the same answer: a job that comes to a key that its study has already need not work it out. The UIDs
of results derive from it, and from the time that stands in them. The order of arrival, revision, job and attempt are no
part of the key; nor are series that were not read, but for what the report says of them beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from pydicom.dataset import Dataset

from model.types import ModelId
from node.config import Destination, Results
from node.report.source import CARRIED, carried, uid_of, written

WHEN_SKIPPED = {"report_skipped", "capture_skipped"}  # these shape what is said without a result, and no result


class Predecessor(Protocol):
    """A report that the new one takes the place of, as `storage.records.Result` has it."""

    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def series_instance_uid(self) -> str: ...


@dataclass(frozen=True)
class Context:
    """What shapes the results besides study and prediction.

    created_at  aware, and the time of all objects; no part of the key, but of the UIDs, as the predecessors are
    contents    SOP Instance UID of each stored instance -> digest of its content
    beside      sentences on series that might have been read, but were not
    generation  how often an answer of the same key was published before: it gives the same objects other UIDs
    """

    settings: Results
    destinations: Sequence[Destination]
    contents: Mapping[str, str]
    created_at: datetime
    software_version: str
    predecessor: Sequence[Predecessor] = ()
    beside: Sequence[str] = ()
    generation: int = 0


def result_key(header: Dataset, chosen: Sequence[Dataset], model: ModelId, context: Context, *, inside: bool) -> str:
    """Of what is said of a series that was read.

    header  the instance that patient and study are taken from
    chosen  the headers of the series
    inside  the series is in the model's scope; a study that is refused for its scope may have a better one to come
    """
    read = sorted(uid_of(each, "SOPInstanceUID") for each in chosen)
    instances = (part for uid in read for part in (uid, context.contents.get(uid, "")))
    shape = context.settings.model_dump_json(exclude=WHEN_SKIPPED if inside else None)
    named = ("beside", *sorted(context.beside)) if context.beside else ()
    kind = "result" if inside else "out of scope"
    return _digest(kind, *instances, "model", model.sha256, shape, *named, *_common(header, context))


def no_result_key(header: Dataset, reasons: Iterable[str], context: Context) -> str:
    """Of what is said when no series can be read: `reasons` are those of the series, in any order and number."""
    study = uid_of(header, "StudyInstanceUID")
    shape = context.settings.model_dump_json()
    return _digest("no result", study, *sorted(set(reasons)), "settings", shape, *_common(header, context))


def _common(header: Dataset, context: Context) -> Iterable[str | bytes]:
    yield context.software_version
    yield from sorted({f"{each.report} {each.captures}" for each in context.destinations})
    yield from (written(carried(header, keyword)) for keyword in CARRIED)


def _digest(*parts: str | bytes) -> str:
    """SHA-256 of the parts, each after its length: no two lists of parts look the same."""
    total = sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()
