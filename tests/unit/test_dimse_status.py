"""Every status, rejection and abort has one name, and one meaning for what we sent."""

import pytest

from node.dimse.status import (
    CALLING_AE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
    Disposition,
    Rejection,
    Status,
    disposition,
    status_text,
)


@pytest.mark.parametrize("status", [0x0000, 0x0111, 0xB000, 0xB006, 0xB007, 0xBFFF, 0x0107, 0x0116])
def test_success_warnings_and_our_own_duplicate_are_accepted(status: int) -> None:
    assert disposition(status) is Disposition.ACCEPTED


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0110, 0x0213])
def test_lack_of_resources_is_tried_again(status: int) -> None:
    assert disposition(status) is Disposition.TRANSIENT


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0117, 0x0122, 0x0124, 0x0112, 0x0120, 0x9999])
def test_what_the_peer_cannot_take_is_given_up(status: int) -> None:
    assert disposition(status) is Disposition.PERMANENT


def test_pynetdicom_knows_the_same_store_statuses_by_the_same_kind() -> None:
    """Its table is another reading of PS3.4 B.2.3."""
    from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

    kinds = {"Success": {Disposition.ACCEPTED}, "Warning": {Disposition.ACCEPTED}}
    refused = {Disposition.TRANSIENT, Disposition.PERMANENT}
    for code, (kind, _) in STORAGE_SERVICE_CLASS_STATUS.items():
        if code != Status.DUPLICATE_INSTANCE:
            assert disposition(code) in kinds.get(kind, refused), hex(code)


def test_a_status_is_told_in_words_and_digits() -> None:
    assert status_text(0x0000) == "success (0x0000)"
    assert status_text(0xC123) == "cannot understand (0xC123)"
    assert status_text(0xB00F) == "warning (0xB00F)"
    assert status_text(0x4242) == "unknown status (0x4242)"


def test_a_rejection_says_why_and_whether_to_come_back() -> None:
    assert str(CALLING_AE_NOT_RECOGNIZED) == "calling AE title not recognized (1/1/3)"
    assert not CALLING_AE_NOT_RECOGNIZED.transient
    assert LOCAL_LIMIT_EXCEEDED.transient
    assert TEMPORARY_CONGESTION.transient
    assert "9/9/9" in str(Rejection(9, 9, 9))
