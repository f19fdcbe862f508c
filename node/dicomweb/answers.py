"""What a STOW-RS request came to, as its sender is told (PS3.18 10.5.3, annex I), in DICOM JSON or XML.

    200  every instance is stored     202  some are     409  none is

Retrieve URL (0008,1190) is there and empty: nothing can be retrieved from here.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

JSON, XML = "application/dicom+json", "application/dicom+xml"
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122  # PS3.18 table I.2-2; the other reasons are C-STORE's

FAILED_SEQUENCE, STORED_SEQUENCE, OTHER_FAILURES = "00081198", "00081199", "0008119A"
RETRIEVE_URL, FAILURE_REASON, SOP_CLASS, SOP_INSTANCE = "00081190", "00081197", "00081150", "00081155"
KEYWORDS = {
    RETRIEVE_URL: "RetrieveURL",
    FAILURE_REASON: "FailureReason",
    FAILED_SEQUENCE: "FailedSOPSequence",
    STORED_SEQUENCE: "ReferencedSOPSequence",
    OTHER_FAILURES: "OtherFailuresSequence",
    SOP_CLASS: "ReferencedSOPClassUID",
    SOP_INSTANCE: "ReferencedSOPInstanceUID",
}

Model = dict[str, dict[str, Any]]  # DICOM JSON (PS3.18 annex F)


@dataclass(frozen=True)
class Outcome:
    """What became of one instance; UIDs are "" where it does not say what it is."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0  # Failure Reason (0008,1197); 0 where it is stored


def status(outcomes: Sequence[Outcome]) -> int:
    """The HTTP status (PS3.18 table 10.5.3-1).

    >>> status([Outcome("1", "1.1")]), status([Outcome("1", "1.1"), Outcome("", "", 0xC000)])
    (200, 202)
    """
    failed = sum(each.reason != 0 for each in outcomes)
    return 200 if not failed else 202 if failed < len(outcomes) else 409


def model(outcomes: Iterable[Outcome]) -> Model:
    """The Store Instances Response (PS3.18 tables I.1-1 and I.2-1)."""
    found: Model = {RETRIEVE_URL: {"vr": "UR"}}
    for each in outcomes:
        item: Model = {}
        where = OTHER_FAILURES
        if each.sop_class_uid and each.sop_instance_uid:
            where = FAILED_SEQUENCE if each.reason else STORED_SEQUENCE
            item[SOP_CLASS] = {"vr": "UI", "Value": [each.sop_class_uid]}
            item[SOP_INSTANCE] = {"vr": "UI", "Value": [each.sop_instance_uid]}
        if each.reason:
            item[FAILURE_REASON] = {"vr": "US", "Value": [each.reason]}
        else:
            item[RETRIEVE_URL] = {"vr": "UR"}
        found.setdefault(where, {"vr": "SQ", "Value": []})["Value"].append(item)
    return dict(sorted(found.items()))


def encoded(content: Model, media_type: str) -> bytes:
    """As JSON, or as the Native DICOM Model in XML (PS3.19 A.1)."""
    if media_type == JSON:
        return json.dumps(content).encode()
    root = ElementTree.Element("NativeDicomModel", xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM")
    _fill(root, content)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _fill(parent: ElementTree.Element, content: Model) -> None:
    for tag, element in sorted(content.items()):
        named = {"tag": tag, "vr": element["vr"], "keyword": KEYWORDS.get(tag, "")}
        attribute = ElementTree.SubElement(parent, "DicomAttribute", named)
        for number, value in enumerate(element.get("Value", ()), 1):
            if element["vr"] == "SQ":
                _fill(ElementTree.SubElement(attribute, "Item", number=str(number)), value)
            else:
                ElementTree.SubElement(attribute, "Value", number=str(number)).text = str(value)


def acceptable(accept: str) -> str | None:
    """The media type of the answer for an Accept header, JSON where both will do; None where neither will.

    >>> acceptable("application/dicom+xml"), acceptable("text/html, */*;q=0.1"), acceptable("image/png")
    ('application/dicom+xml', 'application/dicom+json', None)
    """
    wanted = {name: quality for name, quality in map(_range, accept.split(",")) if name}
    if not wanted:
        return JSON
    best = {each: _quality(each, wanted) for each in (JSON, XML)}
    chosen = max(best, key=lambda each: best[each])
    return chosen if best[chosen] > 0 else None


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (each.strip().lower() for each in text.split(";"))
    stated = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return name, float(stated)
    except ValueError:
        return name, 0.0


def _quality(media_type: str, wanted: dict[str, float]) -> float:
    alias = {JSON: "application/json", XML: "application/xml"}[media_type]
    for name in (media_type, alias, "application/*", "*/*"):
        if name in wanted:
            return wanted[name]
    return 0.0
