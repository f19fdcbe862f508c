"""An archive is asked what it has, and fetched from: Orthanc and dcmqrscp, by C-GET and by C-MOVE."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset

from node.dicom.received import Receipt, Received
from node.dimse import query, retrieve
from node.dimse.retrieve import Wanted
from node.dimse.scu import Peer, send
from node.errors import Refused
from tests import factories, peers, wire

pytestmark = pytest.mark.peers
KNOWN = {"node": ("NEUROSSL", 11112)}  # Orthanc answers C-GET only to those whom it knows


class Kept:
    """What came: SOP Instance UID -> transfer syntax and data set."""

    def __init__(self) -> None:
        self.got: dict[str, tuple[str, bytes]] = {}

    def store(self, received: Received) -> Receipt:
        content = b"".join(bytes(piece) for piece in received.data)
        self.got[received.sop_instance_uid] = (received.transfer_syntax_uid, content)
        return Receipt.STORED


@pytest.fixture
def study(tmp_path: Path) -> list[Dataset]:
    """Two series of one study, as files in `in`."""
    first = factories.mr_series(tmp_path / "in" / "a", slices=12, rows=64, columns=64)
    uid = str(first[0].StudyInstanceUID)
    other = factories.mr_series(tmp_path / "in" / "b", slices=5, rows=64, columns=64, StudyInstanceUID=uid)
    return [*first, *other]


@contextmanager
def archive(name: str, folder: Path, to: dict[str, tuple[str, int]]) -> Iterator[Peer]:
    """One that holds the files of `in`, and knows whom it may move to."""
    files = sorted(path for path in (folder / "in").rglob("*") if path.is_file())
    if name == "orthanc":
        with peers.orthanc(folder, modalities=to) as pacs:
            pacs.upload(files)
            yield Peer(pacs.ae_title, "127.0.0.1", pacs.port)
    else:
        with peers.dcmqrscp(folder, peers=to) as scp:
            peer = Peer(scp.ae_title, "127.0.0.1", scp.port)
            assert all(outcome.accepted for outcome in send(peer, files, 10))
            yield peer


@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_what_an_archive_has_is_counted_and_comes_by_get(name: str, study: list[Dataset], tmp_path: Path) -> None:
    uid, kept = str(study[0].StudyInstanceUID), Kept()
    wanted = sorted(str(each.SOPInstanceUID) for each in study[:12])[:3]
    series = str(study[0].SeriesInstanceUID)
    with archive(name, tmp_path, KNOWN) as peer:
        found = query.find_series(peer, uid)
        assert {each.series_instance_uid for each in found} == {str(each.SeriesInstanceUID) for each in study}
        assert query.find_studies(peer, str(study[0].AccessionNumber)) == [uid]
        assert retrieve.get(peer, Wanted(uid, series, tuple(wanted)), kept.store).completed == 3
        assert sorted(kept.got) == wanted
        ended = retrieve.get(peer, Wanted(uid), kept.store)
    assert (ended.completed, ended.failed) == (17, 0)
    assert set(kept.got) == {str(each.SOPInstanceUID) for each in study}
    assert {syntax for syntax, _ in kept.got.values()} == {wire.EXPLICIT}
    sent = {str(each.SOPInstanceUID): each.PixelData for each in study}
    assert all(sent[uid] in content for uid, (_, content) in kept.got.items())


@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_an_archive_moves_to_our_listener(name: str, study: list[Dataset], tmp_path: Path) -> None:
    uid, kept = str(study[0].StudyInstanceUID), Kept()
    allowed = [{"ae_title": "ORTHANC"}, {"ae_title": "DCMQRSCP"}]
    with (
        peers.loopback_only(),
        wire.listener(kept.store, allow=allowed, check_called_ae_title=False) as server,
        archive(name, tmp_path, {"node": ("NEUROSSL", server.port)}) as peer,
    ):
        ended = retrieve.move(peer, Wanted(uid, str(study[-1].SeriesInstanceUID)), "NEUROSSL")
        with pytest.raises(Refused):
            retrieve.move(peer, Wanted(uid), "NOBODY")
    assert (ended.completed, ended.failed) == (5, 0)
    assert set(kept.got) == {str(each.SOPInstanceUID) for each in study[12:]}


def test_a_compressed_instance_comes_as_it_is_stored(tmp_path: Path) -> None:
    """Each MR class is proposed in each transfer syntax by itself."""
    (dataset,) = factories.mr_series(slices=1, rows=64, columns=64)
    compressed = factories.encoded(dataset, factories.UID("1.2.840.10008.1.2.5"))
    (tmp_path / "in").mkdir()
    compressed.save_as(tmp_path / "in" / "rle.dcm", enforce_file_format=True)
    kept = Kept()
    with archive("orthanc", tmp_path, KNOWN) as peer:
        assert retrieve.get(peer, Wanted(str(dataset.StudyInstanceUID)), kept.store).completed == 1
    ((syntax, content),) = kept.got.values()
    assert syntax == "1.2.840.10008.1.2.5"
    assert bytes(compressed.PixelData) in content
