"""What is accepted of what a peer proposes."""

import pytest
from pydicom import uid
from pynetdicom import AllStoragePresentationContexts, sop_class

from node.dicom.syntaxes import EXPLICIT, IMPLICIT, TRANSFER_SYNTAXES
from node.dimse.contexts import STORAGE_COMMITMENT, VERIFICATION, Proposed, negotiate, negotiate_roles, storage_classes

STUDY = storage_classes("study")
OTHERS = frozenset({VERIFICATION, STORAGE_COMMITMENT})
MR = str(sop_class.MRImageStorage)
DEFLATED = str(uid.DeflatedExplicitVRLittleEndian)


def answer(abstract_syntax: str, *syntaxes: str) -> tuple[int, str]:
    (context,) = negotiate([Proposed(1, abstract_syntax, syntaxes)], STUDY, OTHERS)
    return context.result, context.transfer_syntax


def test_the_first_syntax_of_the_sender_is_taken_so_that_it_sends_what_it_has() -> None:
    assert answer(MR, str(uid.JPEG2000Lossless), EXPLICIT, IMPLICIT) == (0, str(uid.JPEG2000Lossless))
    assert answer(MR, IMPLICIT, EXPLICIT) == (0, IMPLICIT)


def test_deflated_is_never_taken() -> None:
    assert DEFLATED not in TRANSFER_SYNTAXES
    assert answer(MR, DEFLATED)[0] == 4
    assert answer(MR, DEFLATED, IMPLICIT) == (0, IMPLICIT)


@pytest.mark.parametrize("keyword", ["CTImageStorage", "UltrasoundImageStorage", "BasicFilmSession"])
def test_a_class_that_does_not_travel_with_an_mr_study_is_not_taken(keyword: str) -> None:
    assert answer(str(getattr(sop_class, keyword)), EXPLICIT)[0] == 3


def test_a_private_class_is_not_taken_under_any_setting() -> None:
    for accept in ("study", "mr", "all"):
        (context,) = negotiate([Proposed(1, "1.3.12.2.1107.5.9.1", (EXPLICIT,))], storage_classes(accept), OTHERS)
        assert context.result == 3


def test_an_unknown_or_missing_transfer_syntax_is_not_taken() -> None:
    assert answer(MR, "1.2.3.4")[0] == 4
    assert answer(MR)[0] == 4


def test_verification_has_no_compressed_syntax() -> None:
    assert answer(VERIFICATION, str(uid.JPEG2000Lossless))[0] == 4
    assert answer(VERIFICATION, EXPLICIT)[0] == 0


def test_every_context_is_answered_under_its_number() -> None:
    proposed = [Proposed(number, MR, (EXPLICIT,)) for number in range(1, 256, 2)]
    assert [each.context_id for each in negotiate(proposed, STUDY, OTHERS)] == list(range(1, 256, 2))


def test_mr_is_part_of_study_is_part_of_all() -> None:
    assert storage_classes("mr") < storage_classes("study") < storage_classes("all")
    assert len(storage_classes("all")) == len(AllStoragePresentationContexts)


@pytest.mark.parametrize(
    "keyword",
    [
        "MRImageStorage",
        "EnhancedMRImageStorage",
        "ComprehensiveSRStorage",
        "KeyObjectSelectionDocumentStorage",
        "GrayscaleSoftcopyPresentationStateStorage",
        "SecondaryCaptureImageStorage",
        "RawDataStorage",
        "EncapsulatedPDFStorage",
        "SegmentationStorage",
        "ParametricMapStorage",
    ],
)
def test_what_travels_with_an_mr_study_is_taken(keyword: str) -> None:
    assert str(getattr(sop_class, keyword)) in STUDY


def test_a_pacs_may_take_the_scp_role_of_commitment_but_not_of_storage() -> None:
    asked = {STORAGE_COMMITMENT: (False, True), MR: (True, True), "1.2.3": (True, True)}
    assert negotiate_roles(asked, STUDY) == {STORAGE_COMMITMENT: (False, True), MR: (True, False)}


def test_a_lossless_syntax_is_preferred_to_a_lossy_one_that_stands_before_it() -> None:
    mr = "1.2.840.10008.5.1.4.1.1.4"
    lossy, lossless = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
    offers = {
        (lossy, lossless, EXPLICIT): lossless,
        (lossy, "1.2.3"): lossy,
        (lossy, IMPLICIT): IMPLICIT,
    }
    for offered, taken in offers.items():
        (answer,) = negotiate([Proposed(1, mr, offered)], frozenset({mr}), frozenset())
        assert (answer.result, answer.transfer_syntax) == (0, taken)
