"""A structured report as text, item by item, for people: what any SR browser would show."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from pydicom.dataset import Dataset


def as_text(report: Dataset) -> str:
    """The content tree of an SR, indented; a run of image references becomes one line."""
    flags = [str(report.get(name, "")) for name in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    head = f"{_name(report)}  [{', '.join(flag.lower() for flag in flags if flag)}]"
    return "\n".join([head, *_lines(report.get("ContentSequence", []), "  ")])


def _lines(items: Sequence[Dataset], indent: str) -> Iterator[str]:
    for (kind, name), group in groupby(items, key=lambda item: (item.get("ValueType", ""), _name(item))):
        run = list(group)
        if kind == "IMAGE" and len(run) > 1:
            yield f"{indent}{name}: {len(run)} images"
            continue
        for item in run:
            value = _value(item)
            yield f"{indent}{name}: {value}" if value else f"{indent}{name}"
            yield from _lines(item.get("ContentSequence", []), indent + "  ")


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
        case "DATETIME" | "DATE" | "TIME" | "PNAME" as kind:
            keyword = {"DATETIME": "DateTime", "DATE": "Date", "TIME": "Time", "PNAME": "PersonName"}[str(kind)]
            return str(item.get(keyword, ""))
        case _:
            return ""


def _number(item: Dataset) -> str:
    for measured in item.get("MeasuredValueSequence", []):
        unit = measured.get("MeasurementUnitsCodeSequence")
        symbol = str(unit[0].get("CodeValue", "")) if unit else ""
        return f"{measured.get('NumericValue', '')} {symbol if symbol != '1' else ''}".strip()
    return "not measured"
