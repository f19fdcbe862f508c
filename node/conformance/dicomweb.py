"""What the statement says of DICOMweb (PS3.2, PS3.18 10.5)."""

from node.config import Settings
from node.config_dicomweb import DicomWeb
from node.dicomweb.answers import JSON, TRANSFER_SYNTAX_NOT_SUPPORTED, XML

STATUSES = (
    ("200", "every instance is stored"),
    ("202", "some are; Failed SOP Sequence and Other Failures Sequence have the others"),
    ("409", "none is"),
    ("400", "no instance is found in the body, or it names no boundary"),
    ("401, 403", "nobody who may store; a role that may not"),
    ("404, 405", "another target; another method than POST"),
    ("406, 415", "an answer, or a body, of another media type"),
    ("408", "the body came too slowly"),
    ("503", "too many requests, or an operator holds up the intake; Retry-After says when to come again"),
)
REASONS = (
    "0x0122, 0x{syntax:04X} (transfer syntax not supported), 0xA700, 0xA900 (or not of the target's study), "
    "0xC000, 0x0110, 0x0111"
)


def section(settings: Settings) -> str:
    """The door for STOW-RS, as configured."""
    dicomweb = settings.dicomweb
    if dicomweb is None:
        return "Not configured. There is no Retrieve and no Search transaction."
    protection = "over TLS 1.2 or newer" if dicomweb.tls else "in clear"
    where = f"on `{dicomweb.host}`, port {dicomweb.port}, HTTP/1.1 {protection}"
    rows = "\n".join(f"| {status} | {when} |" for status, when in STATUSES)
    return f"""RECEIVER takes the Store transaction (PS3.18 10.5) at `/dicomweb/studies` and
`/dicomweb/studies/{{study}}`, {where}. There is no Retrieve and no Search transaction, so
Retrieve URL (0008,1190) is empty.

| | |
| --- | --- |
| request | `multipart/related; type="application/dicom"`, each part a file of PS3.10; any length, chunked or not |
| response | `{JSON}` (default) or `{XML}` |
| SOP classes, transfer syntaxes, sizes | as RECEIVER by C-STORE (3.2); what is not taken fails alone |
| requests at a time | {dicomweb.maximum_requests} |
| time for 16 KiB of a body | {settings.listener.pdu_timeout_s:g} s |
| who may store | {_allowed(dicomweb)} |

Failure Reason (0008,1197) is one of {REASONS.format(syntax=TRANSFER_SYNTAX_NOT_SUPPORTED)}, as for
C-STORE. The same instance again is stored, and changes nothing.

| status | when |
| --- | --- |
{rows}"""


def _allowed(dicomweb: DicomWeb) -> str:
    named = [
        f"`{each.ae_title}`{f' from {each.host}' if each.host else ''}{' by its secret' if each.secret else ''}"
        for each in dicomweb.allow
    ]
    if dicomweb.visitors != "none":
        named.append(f"who has the role {dicomweb.visitors} on the pages")
    return ", ".join(named) or "nobody"
