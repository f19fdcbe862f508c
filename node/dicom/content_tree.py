"""A structured report as lines of text, for people: what any SR browser would show, without names of persons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node.dicom.values import BROKEN, unwarned
from node.errors import Unparsable


@dataclass(frozen=True)
class Line:
    """One item of the content tree, or a run of image references."""

    depth: int  # 0 for the document itself
    name: str
    value: str  # "" where an item only holds others

    def __str__(self) -> str:
        """Indented by its depth."""
        return f"{'  ' * self.depth}{self.name}: {self.value}" if self.value else f"{'  ' * self.depth}{self.name}"


def of_file(path: Path) -> list[Line]:
    """The lines of a report in a file. Raises Unparsable."""
    try:
        with unwarned():
            return list(lines(dcmread(path)))
    except (InvalidDicomError, *BROKEN) as error:
        raise Unparsable("this report cannot be read") from error


def as_text(report: Dataset) -> str:
    """The content tree of an SR, indented."""
    title, *rest = lines(report)
    return "\n".join([f"{title.name}  [{title.value}]", *map(str, rest)])


def lines(report: Dataset) -> Iterator[Line]:
    """The content tree of an SR from the top; of the document itself the value are its flags."""
    flags = [str(report.get(name, "")) for name in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    yield Line(0, _name(report), ", ".join(flag.lower() for flag in flags if flag))
    yield from _lines(report.get("ContentSequence", []), 1)


def _lines(items: Sequence[Dataset], depth: int) -> Iterator[Line]:
    for (kind, name), group in groupby(items, key=lambda item: (item.get("ValueType", ""), _name(item))):
        run = list(group)
        if kind == "IMAGE" and len(run) > 1:
            yield Line(depth, name, f"{len(run)} images")
            continue
        for item in run:
            yield Line(depth, name, _value(item))
            yield from _lines(item.get("ContentSequence", []), depth + 1)


def _name(item: Dataset) -> str:
    return _meaning(item.get("ConceptNameCodeSequence")) or str(item.get("ValueType", "item")).lower()


def _meaning(sequence: Sequence[Dataset] | None) -> str:
    return str(sequence[0].get("CodeMeaning", "")) if sequence else ""


def _value(item: Dataset) -> str:
    match item.get("ValueType"):
        case "TEXT":
            return str(item.get("TextValue", ""))
        case "CODE":
            return _meaning(item.get("ConceptCodeSequence"))
        case "NUM":
            return _number(item)
        case "UIDREF":
            return str(item.get("UID", ""))
        case "IMAGE":
            return "1 image"
        case "SCOORD" | "SCOORD3D":
            return str(item.get("GraphicType", "")).lower()
        case "DATETIME" | "DATE" | "TIME" as kind:
            return str(item.get({"DATETIME": "DateTime", "DATE": "Date", "TIME": "Time"}[str(kind)], ""))
        case _:
            return ""


def _number(item: Dataset) -> str:
    for measured in item.get("MeasuredValueSequence", []):
        unit = measured.get("MeasurementUnitsCodeSequence")
        symbol = str(unit[0].get("CodeValue", "")).strip("{}") if unit else ""
        return f"{measured.get('NumericValue', '')} {symbol if symbol != '1' else ''}".strip()
    return "not measured"
