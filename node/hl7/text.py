"""Text as HL7 v2 carries it (HL7 v2.5.1 chapter 2.7): whatever a header holds, it stays within its component."""

import unicodedata
from collections.abc import Sequence

FIELD, COMPONENT, REPETITION, ESCAPE, SUBCOMPONENT = "|^~\\&"
ENCODING_CHARACTERS = "^~\\&"
ESCAPED = {FIELD: "\\F\\", COMPONENT: "\\S\\", REPETITION: "\\R\\", ESCAPE: "\\E\\", SUBCOMPONENT: "\\T\\"}
LONGEST = 250
GROUPS = "AIP"  # HL7 table 4000: alphabetic, ideographic, phonetic, as the groups of a DICOM name


def escaped(text: str, limit: int = LONGEST) -> str:
    """One component: delimiters escaped, control and separator characters as spaces, cut to `limit` before escaping.

    >>> escaped("Doe|Jane^A&B~C\\\\D\\rOBX|1")
    'Doe\\\\F\\\\Jane\\\\S\\\\A\\\\T\\\\B\\\\R\\\\C\\\\E\\\\D OBX\\\\F\\\\1'
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in text).strip()
    return "".join(ESCAPED.get(c, c) for c in plain[:limit])


def components(*parts: str) -> str:
    """Escaped components, without empty ones at the end."""
    return COMPONENT.join(escaped(part) for part in parts).rstrip(COMPONENT)


def segment(name: str, fields: Sequence[str]) -> str:
    """One segment of fields that are encoded already."""
    return FIELD.join((name, *fields)).rstrip(FIELD)


def person(name: str) -> str:
    """A DICOM person name (PS3.5 6.2.1) as XPN: family, given, middle, suffix, prefix; a repetition for each group.

    >>> person("Muster^Erika^B^Dr^MD")
    'Muster^Erika^B^MD^Dr^^L^A'
    """
    found = []
    for kind, group in zip(GROUPS, name.split("=")[: len(GROUPS)], strict=False):
        family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
        if group.strip("^ "):
            found.append(components(family, given, middle, suffix, prefix, "", "L", kind))
    return REPETITION.join(found)
