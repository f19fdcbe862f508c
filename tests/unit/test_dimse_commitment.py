"""What a storage commitment report says."""

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import UID

from node.dimse.commitment import CommitmentReport, read_report
from node.errors import Unparsable
from tests import wire


def report(transaction: str | None, committed: list[str], failed: dict[str, int | None]) -> Dataset:
    """Event information as PS3.4 table J.3-2 lays it out."""

    def item(uid: str, reason: int | None = None) -> Dataset:
        dataset = Dataset()
        dataset.ReferencedSOPClassUID, dataset.ReferencedSOPInstanceUID = wire.MR, uid
        if reason is not None:
            dataset.FailureReason = reason
        return dataset

    information = Dataset()
    if transaction:
        information.TransactionUID = transaction
    if failed:
        information.FailedSOPSequence = [item(uid, reason) for uid, reason in failed.items()]
    if committed:
        information.ReferencedSOPSequence = [item(uid) for uid in committed]
    return information


@pytest.mark.parametrize("syntax", [wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN])
def test_a_report_names_what_is_kept_and_what_is_not(syntax: str) -> None:
    data = wire.encode(report("1.2.9", ["1.2.1", "1.2.2"], {"1.2.3": 0x0112}), UID(syntax))
    assert read_report(data, syntax) == CommitmentReport("1.2.9", ("1.2.1", "1.2.2"), {"1.2.3": 0x0112})


def test_a_failure_without_a_reason_is_a_failure() -> None:
    data = wire.encode(report("1.2.9", [], {"1.2.3": None}))
    assert "1.2.3" in read_report(data, wire.EXPLICIT).failed


def test_an_empty_report_is_a_report() -> None:
    assert read_report(wire.encode(report("1.2.9", [], {})), wire.EXPLICIT) == CommitmentReport("1.2.9")


def test_a_report_about_no_transaction_is_none() -> None:
    with pytest.raises(Unparsable, match="transaction"):
        read_report(wire.encode(report(None, ["1.2.1"], {})), wire.EXPLICIT)


@pytest.mark.parametrize("cut", [1, 20, 60, 100])
def test_a_report_cut_short_is_none(cut: int) -> None:
    data = wire.encode(report("1.2.9", ["1.2.1", "1.2.2"], {"1.2.3": 0x0112}))
    with pytest.raises(Unparsable):
        read_report(data[:-cut], wire.EXPLICIT)


def test_uids_with_leading_zeros_are_taken_as_they_are() -> None:
    with disable_value_validation():
        data = wire.encode(report("1.2.09", ["1.2.01"], {"1.2.03": 0x0112}))
    read = read_report(data, wire.EXPLICIT)
    assert (read.transaction_uid, read.committed, read.failed) == ("1.2.09", ("1.2.01",), {"1.2.03": 0x0112})


def test_a_uid_that_is_none_is_not_taken() -> None:
    data = wire.encode(report("1.2.9", ["1.2.1"], {})).replace(b"1.2.1\0", b"../x\n\0")
    with pytest.raises(Unparsable):
        read_report(data, wire.EXPLICIT)
