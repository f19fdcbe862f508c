"""The DICOM Conformance Statement (PS3.2) of a configuration, as Markdown, from the settings and the code tables.

The prose is node/template.md; what can change stands in the tables that are filled in here. The created
objects are described by building them.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from string import Template

from pydicom.uid import UID

from node.config import Destination, Settings
from node.conformance import catalogue, dicomweb
from node.deliver.proof import AT_ONCE
from node.dicom import implementation, syntaxes
from node.dimse import connection, contexts, negotiation
from node.dimse import status as statuses
from node.dimse.status import Disposition, Status, disposition
from node.report import BUILT
from node.report.source import TYPE_2, WHERE_PRESENT

TEMPLATE = Path(__file__).with_name("template.md")
NEWER_THAN_PYDICOM = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}
RESULTS = sorted(map(str, BUILT))
STORE_STATUSES = (
    (Status.SUCCESS, "the instance is durable, or was here already with the same content"),
    (
        Status.OUT_OF_RESOURCES,
        "the disk is fuller than {maximum_disk_use_percent} %, or the database is busy: send it again later",
    ),
    (
        Status.DUPLICATE_INSTANCE,
        "the SOP Instance UID is here with other content; the first is kept, unless an archive sends it",
    ),
    (Status.MISMATCH, "data set and command name different SOP classes or instances"),
    (Status.CANNOT_UNDERSTAND, "no data set, none that can be read, or without valid Study, Series and SOP UIDs"),
    (Status.SOP_CLASS_NOT_SUPPORTED, "the command's SOP class is not that of the presentation context"),
    (Status.PROCESSING_FAILURE, "an error of the node, which its log explains"),
)
REJECTIONS = (
    (statuses.CALLED_AE_NOT_RECOGNIZED, "called by another AE title"),
    (statuses.CALLING_AE_NOT_RECOGNIZED, "the calling AE title is not allowed, or not from this address"),
    (statuses.APPLICATION_CONTEXT_NOT_SUPPORTED, "another application context"),
    (statuses.PROTOCOL_VERSION_NOT_SUPPORTED, "another protocol version"),
    (statuses.LOCAL_LIMIT_EXCEEDED, "too many associations, in all or of this peer"),
    (statuses.TEMPORARY_CONGESTION, "the node is stopping"),
)
SENT = (
    0x0000,
    0x0001,
    0x0107,
    0x0111,
    0x0116,
    0xB000,
    0x0110,
    0x0213,
    0xA700,
    0xFE00,
    0x0117,
    0x0122,
    0x0124,
    0xA900,
    0xC000,
)
TAKEN_AS = {
    Disposition.ACCEPTED: "delivered",
    Disposition.TRANSIENT: "not now: sent again, with growing pauses",
    Disposition.PERMANENT: "refused: {attempts_when_refused} tries, then an operator decides",
}


def statement(settings: Settings, origin: str) -> str:
    """The statement of these settings; `origin` says where they come from."""
    software = version("neurossl-node")
    values = {
        "version": software,
        "origin": origin,
        "implementation_class_uid": implementation.IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": implementation.IMPLEMENTATION_VERSION_NAME,
        "application_context": negotiation.APPLICATION_CONTEXT,
        "maximum_pdu_bytes": connection.MAXIMUM_PDU_BYTES,
        "longest_pdu_bytes": connection.LONGEST_PDU_BYTES,
        "references_at_once": AT_ONCE,
        "type_2": ", ".join(TYPE_2),
        "where_present": ", ".join(WHERE_PRESENT),
        "terms": catalogue.terms(),
        "objects": _objects(settings, software),
        "dicomweb": dicomweb.section(settings),
    }
    filled = values | _receiving(settings) | _sending(settings)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(filled)


def _receiving(settings: Settings) -> dict[str, object]:
    listener = settings.listener
    storage = sorted(contexts.storage_classes(listener.accept), key=_order)
    others = {contexts.VERIFICATION: "SCP", contexts.STORAGE_COMMITMENT: "SCU"}
    uncompressed = ", ".join(_name(each) for each in syntaxes.UNCOMPRESSED)
    accepted = [(_name(each), f"`{each}`", uncompressed, role) for each, role in others.items()]
    peers = [
        f"`{each.ae_title}`"
        + (f" from {each.host}" if each.host else "")
        + (" (archive: its newest version of an instance counts)" if each.role == "archive" else "")
        for each in listener.allow
    ]
    limits = {"maximum_disk_use_percent": listener.maximum_disk_use_percent}
    return {
        "services": _rows(_services(storage)),
        "accepted": _rows([*accepted, *((_name(each), f"`{each}`", "*Storage*", "SCP") for each in storage)]),
        "storage_syntaxes": "\n".join(f"- {_name(each)}" for each in sorted(syntaxes.TRANSFER_SYNTAXES, key=_order)),
        "store_statuses": _rows((_words(s), f"0x{s:04X}", when.format(**limits)) for s, when in STORE_STATUSES),
        "rejections": _rows((f"{r.result}/{r.source}/{r.reason}", when) for r, when in REJECTIONS),
        "called": f"must be `{listener.ae_title}`" if listener.check_called_ae_title else "not checked",
        "allowed": ", ".join(peers) or "none: nobody may send",
        "tls": _tls(settings),
        "audit": _audit(settings),
        "quiet_period_s": f"{settings.completeness.quiet_period_s:g}",
        "keep_studies_days": f"{settings.retention.keep_studies_days:g}",
        "watermark": _watermark(settings),
        **{name: getattr(listener, name) for name in ("ae_title", "host", "port", "maximum_instance_mib")},
        **{name: getattr(listener, name) for name in ("maximum_associations", "maximum_associations_per_peer")},
        **{name: f"{getattr(listener, name):g}" for name in ("pdu_timeout_s", "idle_timeout_s")},
    }


def _sending(settings: Settings) -> dict[str, object]:
    delivery, archive = settings.delivery, settings.archive
    either = f"{_name(syntaxes.EXPLICIT)}; {_name(syntaxes.IMPLICIT)}"
    asked = {contexts.VERIFICATION: either, contexts.STORAGE_COMMITMENT: either, contexts.STUDY_ROOT_FIND: either}
    asked |= {contexts.STUDY_ROOT_GET: either, contexts.STUDY_ROOT_MOVE: either}
    proposed = {**dict.fromkeys(RESULTS, either), **asked}
    tries = {"attempts_when_refused": delivery.attempts_when_refused}
    return {
        "destinations": _rows(_destination(each, settings) for each in settings.destinations)
        or "| none | | | | | | | |",
        "called_back": ", ".join(each.name for each in settings.destinations if each.supersede == "rejection_note")
        or "none is configured so",
        "proposed": _rows((_name(uid), f"`{uid}`", syntaxes, "SCU") for uid, syntaxes in proposed.items()),
        "sent_statuses": _rows((_sent(code), TAKEN_AS[disposition(code)].format(**tries)) for code in SENT),
        "delivery_timeout_s": f"{delivery.timeout_s:g}",
        "backoff_s": f"{delivery.backoff_s:g}",
        "maximum_backoff_s": f"{delivery.maximum_backoff_s:g}",
        "commitment_timeout_s": f"{delivery.commitment_timeout_s:g}",
        "archive": f"`{archive.ae_title}`, {archive.host}:{archive.port}" if archive else "not configured",
    }


def _watermark(settings: Settings) -> str:
    percent = settings.retention.maximum_disk_use_percent
    return "" if percent is None else f", or earlier while the disk is fuller than {percent} %"


def _audit(settings: Settings) -> str:
    audit = settings.audit
    if audit.transport == "none":
        return "not configured"
    return "into a file" if audit.transport == "file" else f"to {audit.host}:{audit.port} by {audit.transport.upper()}"


def _services(storage: Sequence[str]) -> Iterable[tuple[str, ...]]:
    yield "Verification", _name(contexts.VERIFICATION), f"`{contexts.VERIFICATION}`", "yes", "yes"
    for uid in storage:
        yield "Storage", _name(uid), f"`{uid}`", "yes" if uid in RESULTS else "", "yes"
    for uid in RESULTS:
        if uid not in storage:
            yield "Storage", _name(uid), f"`{uid}`", "yes", ""
    yield "Storage Commitment", _name(contexts.STORAGE_COMMITMENT), f"`{contexts.STORAGE_COMMITMENT}`", "yes", ""
    for uid in (contexts.STUDY_ROOT_FIND, contexts.STUDY_ROOT_GET, contexts.STUDY_ROOT_MOVE):
        yield "Query/Retrieve", _name(uid), f"`{uid}`", "yes", ""


def _destination(destination: Destination, settings: Settings) -> tuple[str, ...]:
    calling = destination.calling_ae_title or settings.listener.ae_title
    address = destination.url or f"{destination.host}:{destination.port}"
    yes_no = ("no", "yes")
    by_web = destination.url is not None
    return (
        destination.name,
        f"`{destination.ae_title}`",
        address,
        "" if by_web else f"`{calling}`",
        destination.report,
        yes_no[destination.captures],
        "answer" if by_web else destination.proof,
        yes_no[destination.tls is not None or (destination.url or "").startswith("https:")],
    )


def _tls(settings: Settings) -> str:
    if settings.listener.tls is None:
        return "RECEIVER is configured without TLS: DICOM travels in clear, so the network must be trusted."
    return "RECEIVER takes TLS 1.2 or newer only, with certificates on both sides (PS3.15 B.12)."


def _objects(settings: Settings, software: str) -> str:
    parts = []
    for number, kind in enumerate(catalogue.kinds(settings.results, software), 1):
        parts.append(f"### 7.{number} {kind.name}: {kind.sop_class.name}\n\n{kind.attributes}")
        if kind.content:
            parts.append(f"Content tree:\n\n{kind.content}")
    return "\n\n".join(parts)


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _name(uid: str) -> str:
    return NEWER_THAN_PYDICOM.get(uid) or UID(uid).name


def _order(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


def _words(status: Status) -> str:
    return status.name.lower().replace("_", " ")


def _sent(code: int) -> str:
    return {0xA700: "0xA7xx", 0xA900: "0xA9xx", 0xB000: "0xBxxx", 0xC000: "0xCxxx"}.get(code, f"0x{code:04X}")
