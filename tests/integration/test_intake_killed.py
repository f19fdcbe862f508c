"""kill -9 before each write to the disk while instances come in: the next start has all that was acknowledged."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from pydicom import Dataset

from node.dicom.received import Receipt
from node.receive import intake, recovery
from node.receive.registrar import Registrar
from storage import DataFolder, files, instances, open_database, studies
from tests import factories
from tests.integration.test_storage_processes import killed_at, memory
from tests.unit.test_intake import received

pytestmark = pytest.mark.slow

__all__ = ["memory"]

NOW = datetime(2026, 3, 29, 1, 59, 59, tzinfo=UTC)
HERE = (Receipt.STORED, Receipt.HERE_ALREADY)


def take(place: Path, series: list[Dataset]) -> None:
    """Start, and receive; what is acknowledged is written down as soon as it is."""
    folder = DataFolder(place / "data")
    db = open_database(folder)
    recovery.adopt_orphans(folder, db, NOW)
    with Registrar(db, folder) as rows, (place / "acknowledged").open("a", encoding="ascii", buffering=1) as told:
        for each in series:
            if intake.receive(folder, db, received(each), NOW, maximum_disk_use_percent=100, note=rows.note) in HERE:
                told.write(f"{each.SOPInstanceUID}\n")
    db.close()


def acknowledged(place: Path) -> Iterator[str]:
    told = place / "acknowledged"
    return iter(told.read_text(encoding="ascii").split()) if told.exists() else iter(())


def test_killed_at_any_step_the_listener_keeps_what_it_acknowledged(memory: Path) -> None:
    series = factories.mr_series(slices=3, rows=16, columns=16)
    study, step, interrupted = series[0].StudyInstanceUID, 0, True
    while interrupted:
        step += 1
        place = memory / str(step)
        place.mkdir()
        interrupted = killed_at(step, partial(take, place, series))
        before = set(acknowledged(place))
        take(place, series)  # the sender sends all of it again
        folder = DataFolder(place / "data")
        db = open_database(folder)
        rows = {row.sop_instance_uid: row for row in instances.of_study(db, study)}
        assert before <= set(acknowledged(place)) == set(rows), f"killed at step {step}"
        assert studies.get(db, study).instances == len(series)
        for row in rows.values():
            files.verify(folder, row.path, row.sha256)
        assert list(files.orphans(folder, db)) == []
        db.close()
    assert step > 15


def test_a_second_start_after_a_kill_changes_nothing(memory: Path) -> None:
    series = factories.mr_series(slices=3, rows=16, columns=16)
    assert killed_at(14, partial(take, memory, series))
    folder, seen = DataFolder(memory / "data"), []
    for _ in range(3):
        db = open_database(folder)
        recovery.adopt_orphans(folder, db, NOW)
        seen.append((studies.receiving(db), instances.of_study(db, series[0].StudyInstanceUID)))
        db.close()
    assert seen[0] == seen[1] == seen[2]
    assert set(acknowledged(memory)) <= {row.sop_instance_uid for row in seen[0][1]}
