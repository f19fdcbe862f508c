"""Is the patient one of those that the model was trained on? By age and species, as far as the headers say.

The age is Patient's Age, else the time from birth to study. An age that nobody can have, and one that is not given, is
unknown, and unknown ages are not refused.
"""

import re
from collections.abc import Sequence
from datetime import date

from pydicom.dataset import Dataset

from model.manifest import Subjects
from node.dicom.values import items, text

YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
OLDEST_YEARS = 125.0
HUMAN = {"HUMAN", "HOMO SAPIENS", "HOMO SAPIENS SAPIENS", "MENSCH", "HUMAIN", "HUMANO", "UMANO", "MAN", "PERSON"}
HUMAN_CODES = {"337915000", "L-85B00"}  # SCT, SRT
DATES = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")


def unlike(headers: Sequence[Dataset], subjects: Subjects) -> str:
    """Why the model has not learnt from anybody like this patient, in words; "" where it has, or nothing is known."""
    species = next((found for header in headers if (found := other_species(header))), "")
    if species and subjects.species.upper() in HUMAN:
        return f"{species}, the model was trained on {subjects.species} brains"
    if subjects.age_years is None:
        return ""
    low, high = subjects.age_years
    ages = [years for header in headers if (years := age_years(header)) is not None]
    outside = next((years for years in ages if not low <= years < high + 1), None)
    if outside is None:
        return ""
    side = f"younger than {low}" if outside < low else f"older than {high}"
    return f"the patient is {side}: the model was trained on people of {low} to {high} years"


def age_years(header: Dataset) -> float | None:
    """None where it is not known."""
    stated = re.fullmatch(r"\s*(\d{1,3})\s*([DWMY]?)\s*", text(header, "PatientAge").upper())
    if stated and (int(stated[1]) > 0 or stated[2] not in ("", "Y")):
        years = int(stated[1]) * YEARS[stated[2] or "Y"]
        return years if years <= OLDEST_YEARS else None
    born = _date(text(header, "PatientBirthDate"))
    seen = next((found for name in DATES if (found := _date(text(header, name)))), None)
    if born is None or seen is None or seen < born:
        return None
    years = (seen - born).days / 365.25
    return years if years <= OLDEST_YEARS else None


def other_species(header: Dataset) -> str:
    """What says that it is an animal, in words; "" for a person, and where nothing is said."""
    named = text(header, "PatientSpeciesDescription").strip().upper()
    codes = [text(item, "CodeValue") for item in items(header, "PatientSpeciesCodeSequence")]
    if named in HUMAN or set(codes) & HUMAN_CODES:
        return ""
    if named or codes:
        return "the patient is of another species"
    animal = ("PatientBreedDescription", "PatientSexNeutered")
    found = next((name for name in animal if text(header, name).strip()), "")
    return f"the patient is an animal, by {found}" if found else ""


def _date(stated: str) -> date | None:
    digits = re.fullmatch(r"\s*(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})\s*", stated)
    try:
        return date(*map(int, digits.groups())) if digits else None
    except ValueError:
        return None
