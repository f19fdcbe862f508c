"""The peers that the acceptance tests rely on run, keep what they get, and see nothing but loopback."""

import socket
from pathlib import Path

import pydicom
import pytest

from tests import factories, peers

pytestmark = pytest.mark.peers


@pytest.fixture
def three_slices(tmp_path: Path) -> list[Path]:
    return factories.write(factories.mr_series(slices=3, rows=32, columns=32), tmp_path / "three")


def storescu(port: int, files: list[Path], called: str = "ANY-SCP") -> None:
    sent = peers.in_netns([peers.program("storescu"), "-aec", called, "127.0.0.1", str(port), *files])
    assert sent.returncode == 0, sent.stderr


def test_the_network_of_the_peers_is_loopback_alone() -> None:
    with peers.loopback_only():
        assert [name for _, name in socket.if_nameindex()] == ["lo"]


def test_leaving_the_peers_gives_the_old_network_back() -> None:
    before = socket.if_nameindex()
    with peers.loopback_only(), peers.loopback_only():
        pass
    assert socket.if_nameindex() == before


def test_storescp_keeps_what_it_gets(tmp_path: Path, three_slices: list[Path]) -> None:
    with peers.storescp(tmp_path) as scp:
        storescu(scp.port, three_slices)
        assert len(scp.files()) == 3


def test_dcmqrscp_answers_for_what_it_keeps(tmp_path: Path, three_slices: list[Path]) -> None:
    header = pydicom.dcmread(three_slices[0])
    keys = [f"{keyword}={header[keyword].value}" for keyword in ("StudyInstanceUID", "SeriesInstanceUID")]
    with peers.dcmqrscp(tmp_path) as archive:
        storescu(archive.port, three_slices, archive.ae_title)
        query = [peers.program("findscu"), "-v", "-S", "-aec", archive.ae_title]
        for key in ("QueryRetrieveLevel=IMAGE", *keys, "SOPInstanceUID"):
            query += ["-k", key]
        answer = peers.in_netns([*query, "127.0.0.1", str(archive.port)])
        assert (answer.stdout + answer.stderr).count("Find Response:") == 3


def test_orthanc_takes_a_study_by_rest_and_sends_it_on(tmp_path: Path, three_slices: list[Path]) -> None:
    study = pydicom.dcmread(three_slices[0]).StudyInstanceUID
    with (
        peers.storescp(tmp_path) as scp,
        peers.orthanc(tmp_path, modalities={"next": (scp.ae_title, scp.port)}) as pacs,
    ):
        pacs.upload(three_slices)
        assert len(pacs.instances(study, "MR")) == 3
        assert pacs.send("next", study)["FailedInstancesCount"] == 0
        assert len(scp.files()) == 3
