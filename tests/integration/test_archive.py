"""The archive makes a study complete, and gives what is missing of it: counted, fetched, and said with the job."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind
from typer.testing import CliRunner

from node.archive.counting import Counting
from node.archive.fetching import Fetcher, Fetching
from node.cli import app
from node.config import Settings
from node.dimse.requestor import Peer
from node.service.listener import on_store
from storage import Database, DataFolder, instances, open_database, queue, studies
from storage.states import StudyState
from tests import factories, stored
from tests.integration.test_housekeeping import Clock, now, watch

SERIES = f"{stored.STUDY}.1"
Answers = dict[str, tuple[str, int | None]]  # Series Instance UID -> modality, count


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(DataFolder(tmp_path / "data"))
    yield database
    database.close()


@contextmanager
def archive(series: Answers, asked: list[str]) -> Iterator[Peer]:
    """One that answers C-FIND, and nothing else."""

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(f"{event.identifier.QueryRetrieveLevel} {event.identifier.StudyInstanceUID}")
        for uid, (modality, count) in series.items():
            match = Dataset()
            match.SeriesInstanceUID, match.Modality = uid, modality
            match.NumberOfSeriesRelatedInstances = count
            match.NumberOfStudyRelatedInstances = 4
            yield 0xFF00, match

    ae = AE("PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    assert server is not None
    try:
        yield Peer("PACS", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


def test_the_series_that_the_archive_counts_make_a_study_complete(db: Database) -> None:
    asked: list[str] = []
    series: Answers = {SERIES: ("MR", 2), "1.2.3.99": ("SR", 7)}  # the report is ours, or nobody sends it
    with archive(series, asked) as peer:
        counting = Counting(peer, 5, db)
        stored.received(db, 1, now=now())
        counting.ask()
        counting.ask()  # nothing new: not asked again
        assert asked == [f"SERIES {stored.STUDY}"]
        assert studies.get(db, stored.STUDY).expected_instances == 2
        stored.received(db, 2, now=now())
        watch(db, Clock()).look()
    assert studies.get(db, stored.STUDY).state is StudyState.STABLE
    assert "2 instances" in queue.listing(db)[0].reason


def test_an_archive_that_counts_no_series_is_asked_for_the_study(db: Database) -> None:
    with archive({SERIES: ("MR", None)}, []) as peer:
        stored.received(db, 1, now=now())
        Counting(peer, 5, db).ask()
    assert studies.get(db, stored.STUDY).expected_instances == 4


def test_an_archive_that_does_not_answer_delays_nothing(db: Database) -> None:
    stored.received(db, 1, now=now())
    Counting(Peer("PACS", "127.0.0.1", 1), 5, db).ask()
    assert studies.get(db, stored.STUDY).expected_instances is None


def test_a_silent_study_waits_for_one_try_to_fetch_and_says_what_could_not_be_got(db: Database) -> None:
    with archive({SERIES: ("MR", 3)}, []) as peer:  # it gives nothing: only C-FIND is offered
        stored.received(db, 1, now=now())
        Counting(peer, 5, db).ask()
        fetching = Fetching(Fetcher(peer, db, lambda _: pytest.fail("nothing can come"), timeout_s=5))
        clock = Clock()
        looking = watch(db, clock, fetching=fetching)
        looking.look()
        clock.s += 3600
        looking.look()
        assert studies.get(db, stored.STUDY).state is StudyState.RECEIVING  # is being fetched
        fetching.work()
        looking.look()
    (job,) = queue.listing(db)
    assert "1 of 3 counted instances are here" in job.reason
    assert "the archive gave 0: the peer accepts no presentation context" in job.reason


@pytest.mark.peers
@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_what_is_missing_comes_from_a_real_archive(name: str, tmp_path: Path, db: Database) -> None:
    from tests.integration.test_retrieve_peers import KNOWN
    from tests.integration.test_retrieve_peers import archive as real

    sent = factories.mr_series(tmp_path / "in" / "a", slices=12, rows=64, columns=64)
    uid = str(sent[0].StudyInstanceUID)
    settings = Settings(data_folder=tmp_path / "data")
    folder = DataFolder(tmp_path / "data")
    with real(name, tmp_path, KNOWN) as peer:
        fetcher = Fetcher(peer, db, partial(on_store, folder, db, settings), timeout_s=10)
        first = fetcher.fetch(uid)
        again = fetcher.fetch(uid)
        unknown = fetcher.fetch("1.2.3.4.5")
    assert (first.came, first.trouble) == (12, "")
    assert (again.came, again.trouble) == (0, "")
    assert unknown.trouble == "the archive does not have this study"
    assert len(instances.of_study(db, uid)) == 12
    assert studies.get(db, uid).calling_ae_titles == (peer.ae_title,)


@pytest.mark.peers
def test_the_command_brings_studies_by_accession_number(tmp_path: Path) -> None:
    from tests.integration.test_retrieve_peers import KNOWN
    from tests.integration.test_retrieve_peers import archive as real

    sent = factories.mr_series(tmp_path / "in" / "a", slices=3, rows=64, columns=64, AccessionNumber="A-17")

    def told(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["fetch", *arguments, "--config", str(config)])

    with real("orthanc", tmp_path, KNOWN) as peer:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"data_folder: data\narchive: {{ae_title: {peer.ae_title}, host: 127.0.0.1, port: {peer.port}, pause_s: 0}}"
        )
        brought, none, by_address = (
            told("--accession", "A-17"),
            told("--accession", "NONE"),
            told("--study", "1.2.3.4", "--from", str(peer), "--json"),
        )
    assert (brought.exit_code, brought.stdout) == (0, f"{sent[0].StudyInstanceUID}: 3 of 3 missing instances came\n")
    assert (none.exit_code, "no study of accession number NONE" in none.stderr) == (1, True)
    assert (by_address.exit_code, '"came": 0' in by_address.stdout) == (1, True)
    assert told().exit_code == told("--study", "1.2", "--accession", "1").exit_code == 2
