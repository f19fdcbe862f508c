"""One patient or two: the table of what contradicts and of what is only spelling."""

import pytest

from node.errors import MixedPatients
from node.report import Source
from node.report.patient import Identity, contradictions
from tests.factories import mr_series

KEYWORDS = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")


def identity(
    id_: str = "1", name: str = "Doe^Jane", born: str = "19500101", sex: str = "F", issuer: str = "A", **how: str
) -> Identity:
    codec, term = how.get("codec", "ascii"), how.get("term", "")
    values = (id_, issuer, name, born, sex)
    return Identity(tuple((k, v.encode(codec)) for k, v in zip(KEYWORDS, values, strict=True)), term)


CONTRADICTIONS = [
    (identity("1"), identity("2"), ["PatientID"]),
    (identity("01"), identity("1"), ["PatientID"]),
    (identity(issuer="A"), identity(issuer="B"), ["IssuerOfPatientID"]),
    (identity(name="Doe^Jane"), identity(name="Doe^John"), ["PatientName"]),
    (identity(name="Doe^Jane"), identity(name="Roe^Jane"), ["PatientName"]),
    (identity("", name="Doe^Jane"), identity("", name="Doe^John"), ["PatientName"]),
    (identity(born="19500101"), identity(born="19500102"), ["PatientBirthDate"]),
    (identity(born="1950"), identity(born="19510101"), ["PatientBirthDate"]),
    (identity(sex="F"), identity(sex="M"), ["PatientSex"]),
    (identity(sex="O"), identity(sex="M"), ["PatientSex"]),
    (identity("1", name=""), identity("", name=""), ["PatientID"]),
    (identity("1", born=""), identity("", born=""), ["PatientID"]),
    (identity("1"), identity("", name=""), ["PatientID"]),
    (identity("1"), identity("", "Roe^Ann", "19600101", "M"), ["PatientName", "PatientBirthDate", "PatientSex"]),
]
SPELLINGS = [
    (identity("1 "), identity("1")),
    (identity("1"), identity("")),  # the same name and birth date
    (identity(issuer="A"), identity(issuer="")),
    (identity(issuer="Hospital  a"), identity(issuer="HOSPITAL A")),
    (identity(name="Doe^Jane"), identity(name="DOE^JANE^^^")),
    (identity(name="Doe^Jane"), identity(name="Doe Jane")),
    (identity(name="Doe^Jane"), identity(name="Jane Doe")),
    (identity(name="Doe^Jane"), identity(name="Doe, Jane")),
    (identity(name="Doe^Jane"), identity(name="Doe^Jane^Mary")),
    (identity(name="Doe^Jane^M."), identity(name="Doe^Jane^Mary")),
    (identity(name="Doe^Jane^^Dr"), identity(name="Doe^Jane^^Prof^MD")),
    (identity(name="Smith-Jones^Ann"), identity(name="SmithJones^Ann")),
    (identity(name="O'Neil^Ann"), identity(name="ONeil^Ann")),
    (identity(name="Doe^Jane"), identity(name="")),
    (
        identity(name="Müller^Jörg", codec="latin-1", term="ISO_IR 100"),
        identity(name="Müller^Jörg", codec="utf-8", term="ISO_IR 192"),
    ),
    (identity(name="Müller^Jörg", codec="latin-1", term="ISO_IR 100"), identity(name="MUELLER^JOERG")),
    (identity(name="Müller^Jörg", codec="latin-1", term="ISO_IR 100"), identity(name="Muller^Jorg")),
    (
        identity(name="Yamada^Tarou=山田^太郎", codec="utf-8", term="ISO_IR 192"),
        identity(name="Yamada^Tarou"),
    ),
    (identity(born="19500101"), identity(born="1950.01.01")),
    (identity(born="19500101"), identity(born="1950")),
    (identity(born="19500101"), identity(born="")),
    (identity(sex="F"), identity(sex="f")),
    (identity(sex="F"), identity(sex="FEMALE")),
    (identity(sex="F"), identity(sex="")),
    (identity(sex="F"), identity(sex="UNKNOWN")),
]


@pytest.mark.parametrize(("one", "other", "named"), CONTRADICTIONS)
def test_two_patients_are_told_apart_in_either_order(one: Identity, other: Identity, named: list[str]) -> None:
    assert contradictions([one, other]) == named
    assert contradictions([other, one, other]) == named


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_one_patient_spelt_in_two_ways_is_one(one: Identity, other: Identity) -> None:
    assert contradictions([one, other]) == []
    assert contradictions([other, one, other]) == []


def test_bytes_that_are_of_no_character_set_are_compared_all_the_same() -> None:
    odd = Identity((*identity().values[:2], ("PatientName", b"Doe^\xff\xfe"), *identity().values[3:]), "ISO_IR 192")
    assert contradictions([odd, odd]) == []
    assert contradictions([odd, identity()]) == ["PatientName"]


def test_a_study_of_two_patients_is_refused_by_the_names_of_the_elements_alone() -> None:
    headers = mr_series(slices=4, rows=8, columns=8)
    for header in headers[2:]:
        header.PatientName, header.PatientBirthDate = "Secret^Person", "19010203"
    with pytest.raises(MixedPatients) as refused:
        Source(headers)
    assert str(refused.value) == (
        "the instances of this study speak of different patients: PatientName, PatientBirthDate differ"
    )
