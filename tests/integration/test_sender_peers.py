"""Our sender against storescp, dcmqrscp and Orthanc, as Debian ships them."""

from pathlib import Path
from time import monotonic

import pytest
from pydicom import Dataset, dcmread

from node.dimse import commitment
from node.dimse.commitment import CommitmentReport
from node.dimse.query import count_instances, find_instances
from node.dimse.scu import Peer, echo, send
from node.errors import Refused
from tests import factories, peers, wire

pytestmark = pytest.mark.peers


@pytest.fixture
def series(tmp_path: Path) -> list[Dataset]:
    return factories.mr_series(tmp_path / "in", slices=12, rows=64, columns=64)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "in").iterdir())


def test_storescp_keeps_what_we_sent(series: list[Dataset], tmp_path: Path) -> None:
    with peers.storescp(tmp_path) as scp:
        peer = Peer(scp.ae_title, "127.0.0.1", scp.port)
        assert echo(peer, 5).answered
        assert all(outcome.accepted for outcome in send(peer, files(tmp_path), 10))
        kept = [dcmread(path) for path in scp.files()]
    assert sorted(each.SOPInstanceUID for each in kept) == sorted(each.SOPInstanceUID for each in series)
    assert {Dataset(each)["PixelData"].value for each in kept} == {each["PixelData"].value for each in series}


def test_storescp_with_nagle_on_does_not_hold_us_up(tmp_path: Path) -> None:
    factories.mr_series(tmp_path / "in", slices=60, rows=32, columns=32)
    with peers.storescp(tmp_path) as scp:
        started = monotonic()
        assert all(each.accepted for each in send(Peer("X", "127.0.0.1", scp.port), files(tmp_path), 10))
    assert monotonic() - started < 60 * 0.03


def test_dcmqrscp_is_asked_what_it_has(series: list[Dataset], tmp_path: Path) -> None:
    study, group = series[0].StudyInstanceUID, series[0].SeriesInstanceUID
    with peers.dcmqrscp(tmp_path) as archive:
        peer = Peer(archive.ae_title, "127.0.0.1", archive.port)
        assert find_instances(peer, study, group) == set()
        assert all(outcome.accepted for outcome in send(peer, files(tmp_path)[:-2], 10))
        assert find_instances(peer, study, group) == {each.SOPInstanceUID for each in series[:-2]}
        outcome = commitment.request(peer, "1.2.9", [(wire.MR, series[0].SOPInstanceUID)], 5)
        assert (outcome.accepted, outcome.transient) == (False, False)  # it has no storage commitment
        with pytest.raises(Refused):
            find_instances(Peer("NOBODY", "127.0.0.1", archive.port), study, group)


def test_orthanc_stores_counts_finds_and_commits(series: list[Dataset], tmp_path: Path) -> None:
    """Its report comes on an association of its own, to our listener; one instance it never had."""
    reports: list[CommitmentReport] = []
    allowed = [{"ae_title": "ORTHANC"}]
    references = [(wire.MR, str(each.SOPInstanceUID)) for each in series] + [(wire.MR, "1.2.3.4.5")]
    with peers.loopback_only(), wire.listener(on_commitment=reports.append, allow=allowed) as server:
        known = {"node": ("NEUROSSL", server.port)}
        with peers.orthanc(tmp_path, modalities=known) as pacs:
            peer = Peer("ORTHANC", "127.0.0.1", pacs.port)
            assert echo(peer, 5).answered
            assert all(outcome.accepted for outcome in send(peer, files(tmp_path), 10))
            assert count_instances(peer, series[0].StudyInstanceUID) == 12
            study, group = series[0].StudyInstanceUID, series[0].SeriesInstanceUID
            assert len(find_instances(peer, study, group)) == 12
            outcome = commitment.request(peer, "2.25.4711", references, 5)
            assert outcome.accepted, outcome.text
            (report,) = peers.eventually(lambda: list(reports), "the commitment report")
    assert report.transaction_uid == "2.25.4711"
    assert set(report.committed) == {each.SOPInstanceUID for each in series}
    assert report.failed == {"1.2.3.4.5": 0x0112}


def test_orthanc_that_does_not_know_us_commits_to_nothing(series: list[Dataset], tmp_path: Path) -> None:
    with peers.orthanc(tmp_path) as pacs:
        outcome = commitment.request(Peer("ORTHANC", "127.0.0.1", pacs.port), "1.2.9", [(wire.MR, "1.2.3")], 5)
    assert not outcome.accepted
