"""Whether the headers of a study speak of one patient: what contradicts, and what is only spelt in another way.

A contradiction is a PatientID, issuer, birth date or sex that differs, a part of a name that the other name does not
have, and a PatientID that one part of the study has and another has not, unless name and birth date tie the two
together. Spelling is letter case, padding, accents and umlauts, character set, order and separators of a name, titles,
a middle name or initial that is absent or shortened, a date that is cut short. The table is in the README.

Two patients in one study get no report: the study is refused, and the elements are named without their values.
"""

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from pydicom.charset import convert_encodings, decode_bytes

SEXES = {"M", "F", "O"}
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae", "œ": "oe"})
GROUPS = 3  # of a name: alphabetic, ideographic, phonetic (PS3.5 6.2.1)
FAMILY_GIVEN_MIDDLE = 3  # components; prefix and suffix follow them
SEPARATORS = re.compile(r"[\s^,.;_=-]+")

Agree = Callable[[str, str], bool]


class Identity(NamedTuple):
    """Whose instance a header says that it is: encoded values by keyword, and their character set."""

    values: tuple[tuple[str, bytes], ...]
    character_set: str | tuple[str, ...]


def contradictions(identities: Iterable[Identity]) -> list[str]:
    """The elements in which these speak of different patients; empty when they may all be of one."""
    different = [_decoded(each) for each in dict.fromkeys(identities)]
    found = [keyword for keyword, agree in RULES.items() if not _all_agree(_values(different, keyword), agree)]
    if "PatientID" not in found and not _unnamed_belong(different):
        found.insert(0, "PatientID")
    return found


def _all_agree(values: Iterable[str], agree: Agree) -> bool:
    return all(agree(one, other) for one, other in combinations(values, 2))


def _values(identities: Iterable[Mapping[str, str]], keyword: str) -> list[str]:
    return sorted({each[keyword] for each in identities} - {""})


def _decoded(identity: Identity) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        terms = identity.character_set
        encodings = convert_encodings(list(terms) if isinstance(terms, tuple) else terms)
        return {keyword: _text(value, encodings) for keyword, value in identity.values}


def _text(value: bytes, encodings: Sequence[str]) -> str:
    try:
        return decode_bytes(value, encodings, {0x3D, 0x5E, 0x5C}).strip(" \0")
    except (LookupError, UnicodeError, ValueError):
        return value.decode("latin-1").strip(" \0")


def _unnamed_belong(identities: Sequence[Mapping[str, str]]) -> bool:
    """Whether those without a PatientID are, by name and birth date, the patient of those with one."""
    unnamed = [each for each in identities if not each["PatientID"]]
    named = [each for each in identities if each["PatientID"]]
    if not unnamed or not named:
        return True
    return all(_values(part, keyword) for part in (unnamed, named) for keyword in ("PatientName", "PatientBirthDate"))


def same_text(one: str, other: str) -> bool:
    """But for case and spaces."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def same_date(one: str, other: str) -> bool:
    """
    >>> same_date("19500101", "1950.01.01"), same_date("1950", "19500101"), same_date("19500101", "19500102")
    (True, True, False)
    """
    a, b = re.sub(r"\D", "", one), re.sub(r"\D", "", other)
    return a.startswith(b) or b.startswith(a)


def same_sex(one: str, other: str) -> bool:
    """
    >>> same_sex("F", "female"), same_sex("F", "M"), same_sex("F", "unknown")
    (True, False, True)
    """
    a, b = one[:1].upper(), other[:1].upper()
    return a == b or not {a, b} <= SEXES


def same_name(one: str, other: str) -> bool:
    """
    >>> same_name("Doe^Jane^M^^Dr", "DOE JANE"), same_name("Müller^Jörg", "MUELLER^JOERG"), same_name("A^B", "A^C")
    (True, True, False)
    """
    ours, theirs = one.split("=")[:GROUPS], other.split("=")[:GROUPS]
    shared = [(a, b) for a, b in zip(ours, theirs, strict=False) if a.strip(" ^") and b.strip(" ^")]
    return not shared or any(_same_group(a, b) for a, b in shared)


def _same_group(one: str, other: str) -> bool:
    ways = (_without_accents, _with_umlauts_written_out)
    return any(_covers(_parts(one, fold), _parts(other, other_fold)) for fold in ways for other_fold in ways)


def _parts(name: str, fold: Callable[[str], str]) -> list[str]:
    named = "^".join(name.split("^")[:FAMILY_GIVEN_MIDDLE])
    return [part for part in SEPARATORS.split(fold(named.casefold())) if part]


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ø", "o").replace("æ", "ae"))
    return "".join(c for c in decomposed if not unicodedata.combining(c) and c not in "'’`")


def _with_umlauts_written_out(text: str) -> str:
    return _without_accents(unicodedata.normalize("NFC", text).translate(UMLAUTS))


def _covers(one: list[str], other: list[str]) -> bool:
    """Whether every part of the shorter name is in the longer one, written out or as its first letter."""
    shorter, longer = sorted((one, other), key=len)
    left = list(longer)
    for part in sorted(shorter, key=len, reverse=True):
        match = next((each for each in left if each == part or _shortens(part, each)), None)
        if match is None:
            return "".join(shorter) == "".join(longer)
        left.remove(match)
    return True


def _shortens(one: str, other: str) -> bool:
    return min(len(one), len(other)) == 1 and one[0] == other[0]


RULES: dict[str, Agree] = {
    "PatientID": lambda one, other: one == other,
    "IssuerOfPatientID": same_text,
    "PatientName": same_name,
    "PatientBirthDate": same_date,
    "PatientSex": same_sex,
}
