"""Rules for the content tree of a report: what each item holds, what may stand under what, and what TID 1500 asks for.

From PS3.3 C.17.3 and A.35, PS3.16 TID 1500, 1501, 1600, 4019, and from viewers: a measurement group without a spatial
coordinate, a container that is not SEPARATE or a number under a number is valid and shown wrongly or not at all.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from node.dicom.reading import PRIVATE_SCHEME
from node.report.envelope import RESEARCH_USE_ONLY

MAY_CONTAIN: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        ("CONTAINER", "CONTAINS"): frozenset({"CONTAINER", "TEXT", "CODE", "NUM", "IMAGE", "SCOORD"}),
        ("CONTAINER", "HAS CONCEPT MOD"): frozenset({"TEXT", "CODE"}),
        ("CONTAINER", "HAS OBS CONTEXT"): frozenset({"TEXT", "CODE", "UIDREF"}),
        ("CONTAINER", "HAS ACQ CONTEXT"): frozenset({"TEXT", "CODE"}),
        ("NUM", "HAS CONCEPT MOD"): frozenset({"TEXT", "CODE"}),
        ("SCOORD", "SELECTED FROM"): frozenset({"IMAGE"}),
    }
)
HOLDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CONTAINER": ("ContinuityOfContent", "ContentSequence"),
        "TEXT": ("TextValue",),
        "CODE": ("ConceptCodeSequence",),
        "NUM": ("MeasuredValueSequence",),
        "IMAGE": ("ReferencedSOPSequence",),
        "UIDREF": ("UID",),
        "SCOORD": ("GraphicType", "GraphicData"),
    }
)
NOT_IN_BASIC_TEXT = frozenset({"NUM", "SCOORD"})  # PS3.3 A.35.1.3.1
REPORT_TITLE, LIBRARY, LIBRARY_GROUP, MEASUREMENTS, GROUP = "126000", "111028", "126200", "126010", "125007"
# Under the title, in a measurement group: code of the concept -> value type, which must be there at least once.
IN_REPORT = {"121049": "CODE", "121005": "CODE", "121012": "UIDREF", "121058": "CODE"}
IN_GROUP = {
    "112039": "TEXT",
    "112040": "UIDREF",
    "121071": "CODE",
    "363698007": "CODE",
    "DECISION_BAND": "CODE",
    "111001": "TEXT",
    "111003": "TEXT",
    "111002": "TEXT",
    "121112": "SCOORD",
    "121106": "TEXT",
}


def items(parent: Dataset, path: str = "") -> Iterator[tuple[str, Dataset, Dataset]]:
    """Every content item below `parent`: its place as in 1.2.3 (PS3.3 C.17.3.2), its parent, itself."""
    for number, item in enumerate(parent.get("ContentSequence") or [], 1):
        place = f"{path}.{number}" if path else str(number)
        yield place, parent, item
        yield from items(item, place)


def concept(item: Dataset) -> str:
    """The code of the item's concept name; empty where it has none."""
    names = item.get("ConceptNameCodeSequence") or [Dataset()]
    return str(names[0].get("CodeValue", ""))


def tree_findings(report: Dataset) -> Iterator[str]:
    """What is wrong with the content tree of this report."""
    yield from _item_findings("root", report)
    for place, parent, item in items(report):
        value_type, relationship = str(item.get("ValueType", "")), str(item.get("RelationshipType", ""))
        allowed = MAY_CONTAIN.get((str(parent.get("ValueType", "")), relationship), frozenset())
        if value_type not in allowed:
            yield f"item {place}: {parent.get('ValueType')} {relationship or 'without relationship'} {value_type}"
        if report.SOPClassUID == BasicTextSRStorage and value_type in NOT_IN_BASIC_TEXT:
            yield f"item {place}: {value_type} in a Basic Text SR"
        yield from _item_findings(place, item)
    yield from _scheme_findings(report)
    if RESEARCH_USE_ONLY not in [item.get("TextValue") for _, _, item in items(report)]:
        yield "no item says that the result is for research use only"
    if report.SOPClassUID != BasicTextSRStorage:
        yield from _measurement_report_findings(report)


def _item_findings(place: str, item: Dataset) -> Iterator[str]:
    value_type = str(item.get("ValueType", ""))
    if value_type not in HOLDS:
        yield f"item {place}: value type {value_type or 'missing'}"
    for keyword in ("ConceptNameCodeSequence", *HOLDS.get(value_type, ())):
        if keyword not in item or item[keyword].is_empty:
            yield f"item {place}: {keyword} is missing or empty"
    if value_type == "CONTAINER" and item.get("ContinuityOfContent") != "SEPARATE":
        yield f"item {place}: a container that is not SEPARATE loses its concept names in viewers"
    for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence", "MeasuredValueSequence"):
        for each in item.get(keyword) or []:
            yield from _number_findings(place, each) if "Measured" in keyword else _code_findings(place, each)


def _number_findings(place: str, value: Dataset) -> Iterator[str]:
    if "NumericValue" not in value or value["NumericValue"].is_empty:
        yield f"item {place}: a number without a value"
    units = value.get("MeasurementUnitsCodeSequence") or []
    if len(units) != 1:
        yield f"item {place}: a number without one unit"
    for unit in units:
        yield from _code_findings(place, unit)


def _code_findings(place: str, code: Dataset) -> Iterator[str]:
    """Code Sequence Macro, PS3.3 table 8.8-1: value, scheme and meaning are of type 1."""
    for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
        if not str(code.get(keyword, "")).strip():
            yield f"item {place}: a code without {keyword}"


def _scheme_findings(report: Dataset) -> Iterator[str]:
    declared = {
        str(each.get("CodingSchemeDesignator")) for each in report.get("CodingSchemeIdentificationSequence") or []
    }
    used = {
        str(code.get("CodingSchemeDesignator"))
        for _, _, item in items(report)
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")
        for code in item.get(keyword) or []
    }
    for scheme in sorted(each for each in used if each.startswith("99")):
        if scheme != PRIVATE_SCHEME or scheme not in declared:
            yield f"the private coding scheme {scheme} is used and not identified"


def _measurement_report_findings(report: Dataset) -> Iterator[str]:
    """TID 1500: title, observer, procedure, image library with an image, measurement groups that viewers can open."""
    templates = [str(each.get("TemplateIdentifier")) for each in report.get("ContentTemplateSequence") or []]
    if concept(report) != REPORT_TITLE or templates != ["1500"]:
        yield "the root is not an Imaging Measurement Report after TID 1500"
    yield from _missing("the report", report, IN_REPORT)
    groups = [each for library in _named(report, LIBRARY) for each in _named(library, LIBRARY_GROUP)]
    if not groups or not all(any(each.ValueType == "IMAGE" for each in group.ContentSequence) for group in groups):
        yield "the image library has no group with an image"
    measured = [each for measurements in _named(report, MEASUREMENTS) for each in _named(measurements, GROUP)]
    if not measured:
        yield "there is no measurement group"
    for number, group in enumerate(measured, 1):
        yield from _missing(f"measurement group {number}", group, IN_GROUP)
        yield from _coordinate_findings(number, group)


def _coordinate_findings(number: int, group: Dataset) -> Iterator[str]:
    for item in group.ContentSequence:
        if item.get("ValueType") != "SCOORD":
            continue
        if [each.get("ValueType") for each in item.get("ContentSequence") or []] != ["IMAGE"]:
            yield f"measurement group {number}: a spatial coordinate that is not selected from one image"
        points = item.get("GraphicData") or []
        if len(points) < 4 or len(points) % 2:
            yield f"measurement group {number}: {len(points)} numbers are no polyline"


def _missing(where: str, parent: Dataset, wanted: Mapping[str, str]) -> Iterator[str]:
    held = {(concept(item), str(item.get("ValueType"))) for item in parent.get("ContentSequence") or []}
    for code, value_type in wanted.items():
        if (code, value_type) not in held:
            yield f"{where} has no {value_type} {code}"


def _named(parent: Dataset, code: str) -> list[Dataset]:
    return [item for item in parent.get("ContentSequence") or [] if concept(item) == code]
