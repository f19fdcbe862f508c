"""The listener as DCMTK and Orthanc see it, as Debian ships them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import monotonic

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from node.config import AllowedPeer
from node.receive import intake
from storage import Database, DataFolder, files, instances
from tests import factories, peers, wire

pytestmark = pytest.mark.peers

ALLOWED = tuple(AllowedPeer(ae_title=title) for title in ("STORESCU", "ECHOSCU", "DCMSEND", "ORTHANC"))
IN_JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


@pytest.fixture
def port(folder: DataFolder, db: Database) -> Iterator[int]:
    """A listener in the network of the peers, storing for real."""

    def on_store(received: wire.Received) -> wire.Receipt:
        return intake.receive(folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)

    with peers.loopback_only(), wire.listener(on_store, lambda _report: None, allow=ALLOWED) as server:
        yield server.port


def run(program: str, port: int, *arguments: object, nagle: bool = True) -> str:
    """A DCMTK program against the node; its output. Fails when it fails."""
    command = [peers.program(program), "-v", "-aec", "NEUROSSL", "127.0.0.1", str(port), *map(str, arguments)]
    done = peers.in_netns(command, env=peers._environment(nagle))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def stored(folder: DataFolder, db: Database, study: str) -> dict[str, Dataset]:
    """What is stored of a study, each file verified."""
    rows = instances.of_study(db, study)
    return {row.sop_instance_uid: dcmread(files.verify(folder, row.path, row.sha256)) for row in rows}


def test_echoscu_is_answered(port: int) -> None:
    assert "Received Echo Response (Success)" in run("echoscu", port)


def test_a_series_of_storescu_is_stored_as_it_was(port: int, folder: DataFolder, db: Database, tmp_path: Path) -> None:
    series = factories.mr_series(tmp_path / "in", slices=30, rows=64, columns=64)
    run("storescu", port, "+sd", tmp_path / "in")
    found = stored(folder, db, series[0].StudyInstanceUID)
    assert {uid: Dataset(dataset) for uid, dataset in found.items()} == {each.SOPInstanceUID: each for each in series}


def test_dcmsend_is_served(port: int, folder: DataFolder, db: Database, tmp_path: Path) -> None:
    series = factories.mr_series(tmp_path / "in", slices=5, rows=64, columns=64)
    run("dcmsend", port, "+sd", tmp_path / "in")
    assert len(stored(folder, db, series[0].StudyInstanceUID)) == 5


def test_a_sender_that_leaves_nagle_on_is_not_held_up(tmp_path: Path) -> None:
    """Without acknowledgements at once it is 45 ms from one instance to the next, whatever else is fast."""
    factories.mr_series(tmp_path / "in", slices=100, rows=32, columns=32)
    came: list[float] = []

    def note(received: wire.Received) -> wire.Receipt:
        came.append(monotonic())
        return wire.take(received)

    with peers.loopback_only(), wire.listener(note, allow=ALLOWED) as server:
        run("storescu", server.port, "+sd", tmp_path / "in")
    assert median(after - before for before, after in pairwise(came)) < 0.03


@pytest.mark.parametrize(
    ("option", "syntax"),
    [("-xe", wire.EXPLICIT), ("-xi", wire.IMPLICIT)],
)
def test_storescu_chooses_the_uncompressed_syntax(
    port: int, folder: DataFolder, db: Database, tmp_path: Path, option: str, syntax: str
) -> None:
    series = factories.mr_series(tmp_path / "in", slices=2, rows=32, columns=32)
    run("storescu", port, option, "+sd", tmp_path / "in")
    found = stored(folder, db, series[0].StudyInstanceUID)
    assert {str(each.file_meta.TransferSyntaxUID) for each in found.values()} == {syntax}


@pytest.mark.parametrize(
    ("option", "syntax"),
    [("-xr", RLELossless), ("-xt", JPEGLSLossless), ("-xv", JPEG2000Lossless)],
)
def test_storescu_sends_what_is_compressed_as_it_is(
    port: int, folder: DataFolder, db: Database, tmp_path: Path, option: str, syntax: str
) -> None:
    (dataset,) = factories.mr_series(slices=1, rows=32, columns=32)
    (path,) = factories.write([dataset], tmp_path / "in", transfer_syntax=syntax)
    run("storescu", port, option, path)
    (found,) = stored(folder, db, dataset.StudyInstanceUID).values()
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.PixelData == dcmread(path).PixelData


def test_storescu_sends_lossless_jpeg(port: int, folder: DataFolder, db: Database, tmp_path: Path) -> None:
    (dataset,) = factories.mr_series(slices=1, rows=32, columns=32)
    (plain,) = factories.write([dataset], tmp_path / "in")
    coded = tmp_path / "coded.dcm"
    done = peers.in_netns([peers.program("dcmcjpeg"), plain, coded])
    assert done.returncode == 0, done.stderr
    run("storescu", port, "-xs", coded)
    (found,) = stored(folder, db, dataset.StudyInstanceUID).values()
    assert found.file_meta.TransferSyntaxUID == IN_JPEG_LOSSLESS


def test_storescu_hears_why_it_may_not(port: int, tmp_path: Path) -> None:
    (path,) = factories.write(factories.mr_series(slices=1, rows=32, columns=32), tmp_path / "in")
    command = [peers.program("storescu"), "-aet", "NOBODY", "-aec", "NEUROSSL", "127.0.0.1", str(port), path]
    done = peers.in_netns(command)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stderr


def test_orthanc_sends_a_study_with_all_that_is_in_it(folder: DataFolder, db: Database, tmp_path: Path) -> None:
    series = factories.mr_series(tmp_path / "in", slices=20, rows=64, columns=64)

    def on_store(received: wire.Received) -> wire.Receipt:
        return intake.receive(folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)

    with (
        peers.loopback_only(),
        wire.listener(on_store, allow=ALLOWED) as server,
        peers.orthanc(tmp_path, modalities={"node": ("NEUROSSL", server.port)}) as pacs,
    ):
        assert pacs.ask("POST", "/modalities/node/echo", "{}") == {}
        pacs.upload(sorted((tmp_path / "in").iterdir()))
        answer = pacs.send("node", series[0].StudyInstanceUID)
        assert answer["FailedInstancesCount"] == 0, json.dumps(answer)
    found = stored(folder, db, series[0].StudyInstanceUID)
    assert {uid: Dataset(dataset) for uid, dataset in found.items()} == {each.SOPInstanceUID: each for each in series}
