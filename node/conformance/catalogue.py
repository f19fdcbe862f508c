"""What the results hold, attribute by attribute, as Markdown: read off results that were really built.

One of each kind is built from two made-up studies that differ in everything. What is the same in both is always so
under these settings; the rest is the source's or computed.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from node.config import Results
from node.conformance import examples
from node.report import codes
from node.report.source import CARRIED

FROM_SOURCE = frozenset(Tag(keyword) for keyword in CARRIED)
TREE = frozenset(Tag(keyword) for keyword in ("ContentSequence",))
BULK = frozenset(Tag(keyword) for keyword in ("PixelData", "FloatPixelData"))
LONGEST = 90  # characters of a value


@dataclass(frozen=True)
class Kind:
    """A kind of result: its name, SOP class, and its tables."""

    name: str
    sop_class: UID
    attributes: str
    content: str


NAMES = {
    "summary": "Summary page",
    "overlay": "Slice with heat map",
    "parametric_map": "Attention rollout as numbers",
    "sr_comprehensive": "Report, Comprehensive SR",
    "sr_comprehensive_3d": "Report, Comprehensive 3D SR",
    "sr_text": "Report, Basic Text SR",
    "rejection_note": "Rejection note",
}


def kinds(settings: Results, software_version: str) -> list[Kind]:
    """Every kind of result under these settings, in the order of sending; then a skipped study's report, and the note
    that calls results back."""
    first, second = (examples.results(settings, number, software_version) for number in (1, 2))
    notes = (examples.note(settings, number, software_version) for number in (1, 2))
    described = []
    for one, other in (*zip(first, second, strict=True), tuple(notes)):
        a, b = (pydicom.dcmread(io.BytesIO(each.content)) for each in (one, other))
        name = "Report of a study without result" if one is first[-1] else NAMES[one.kind]
        described.append(Kind(name, UID(one.sop_class_uid), _table(_rows(a, b)), _tree_table(a, b)))
    return described


def terms() -> str:
    """Every coded term that results use, as a table."""
    every = {id(each): each for each in vars(codes).values() if isinstance(each, Dataset)}
    listed = [*every.values(), *codes.BANDS.values()]
    rows = sorted((str(c.CodingSchemeDesignator), str(c.CodeValue), str(c.CodeMeaning)) for c in listed)
    return "\n".join(
        ["| scheme | code | meaning |", "| --- | --- | --- |", *(f"| {s} | {v} | {m} |" for s, v, m in rows)]
    )


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    head = ["| tag | attribute | VR | value |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _rows(one: Dataset, other: Dataset, depth: int = 0) -> Iterator[tuple[str, ...]]:
    for element in one:
        if element.tag in TREE:
            continue
        name = f"{'>' * depth} {element.name}".strip()
        yield f"{element.tag}", name, str(element.VR), _value(element, other, depth)
        if element.VR == "SQ" and element.value and not (depth == 0 and element.tag in FROM_SOURCE):
            twin = other.get(element.tag)
            yield from _rows(element.value[0], twin.value[0] if twin and twin.value else Dataset(), depth + 1)


def _value(element: DataElement, other: Dataset, depth: int) -> str:
    if element.VR == "SQ":
        return "no item" if not element.value else "one item" if len(element.value) == 1 else "items"
    if depth == 0 and element.tag in FROM_SOURCE:
        return "the source's bytes"
    if element.tag in BULK:
        return "uncompressed"
    twin = other.get(element.tag)
    if twin is None or twin.value != element.value:
        return _uid_or_computed(element)
    if element.is_empty:
        return "empty"
    value = UID(element.value).name if element.VR == "UI" else str(element.value)
    return f"`{value[:LONGEST]}`"


def _uid_or_computed(element: DataElement) -> str:
    if element.VR != "UI":
        return "computed"
    return "the source's UID" if str(element.value).startswith(examples.SOURCE_UIDS) else "our UID, 2.25"


def _tree_table(one: Dataset, other: Dataset) -> str:
    if "ContentSequence" not in one:
        return ""
    head = ["| nesting | relationship | type | concept | value |", "| --- | --- | --- | --- | --- |"]
    rows: list[str] = []
    for row in _tree_rows(one, other, 0):
        line = f"| {' | '.join(row)} |"
        if not rows or rows[-1] != line:  # the same again: one line stands for all
            rows.append(line)
    return "\n".join([*head, *rows])


def _tree_rows(one: Dataset, other: Dataset, depth: int) -> Iterator[tuple[str, ...]]:
    others = other.get("ContentSequence") or []
    for index, item in enumerate(one.get("ContentSequence") or []):
        twin = others[index] if index < len(others) else Dataset()
        concept = next(iter(item.get("ConceptNameCodeSequence") or []), None)
        name = f"({concept.CodeValue}, {concept.CodingSchemeDesignator}, {concept.CodeMeaning})" if concept else "none"
        yield ">" * (depth + 1), str(item.RelationshipType), str(item.ValueType), name, _content(item, twin)
        yield from _tree_rows(item, twin, depth + 1)


def _content(item: Dataset, twin: Dataset) -> str:
    match item.ValueType:
        case "CODE":
            code = item.ConceptCodeSequence[0]
            same = code == (twin.get("ConceptCodeSequence") or [None])[0]
            return f"`({code.CodeValue}, {code.CodingSchemeDesignator}, {code.CodeMeaning})`" if same else "computed"
        case "NUM":
            return f"unit `{item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue}`"
        case "TEXT":
            return f"`{item.TextValue[:LONGEST]}`" if item.TextValue == twin.get("TextValue") else "computed"
        case "CONTAINER":
            return "SEPARATE"
        case "SCOORD":
            return str(item.GraphicType)
        case _:
            return "reference" if item.ValueType in ("IMAGE", "COMPOSITE") else "our UID, 2.25"
