"""An answer that lies in the data folder is taken as it is: a UID has one content, and nobody gets a second set."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydicom import dcmread

from node import report
from node.work import shelf
from storage import DataFolder
from tests import reports
from tests.factories import mr_series


def encoded(later_s: float = 0, **settings: int) -> list[report.Encoded]:
    series = mr_series(slices=6, rows=32, columns=32)
    how = reports.context(captures=2, **settings)
    how = replace(how, created_at=how.created_at + timedelta(seconds=later_s))
    return reports.build(series, reports.prediction(series, slices=3), how)


def contents(folder: DataFolder, results: tuple[shelf.Outgoing, ...]) -> dict[str, bytes]:
    return {each.result.sop_instance_uid: folder.path(each.result.path).read_bytes() for each in results}


def test_what_was_stored_before_is_taken_with_its_times(folder: DataFolder) -> None:
    first = shelf.put(folder, encoded(), job_id=1)
    again = shelf.put(folder, encoded(later_s=3600), job_id=7)
    assert contents(folder, again) == contents(folder, first)
    assert [each.result.path for each in again] == [each.result.path for each in first]
    assert {each.result.job_id for each in again} == {7}


def test_another_answer_is_stored_beside_it(folder: DataFolder) -> None:
    first = shelf.put(folder, encoded(), job_id=1)
    other = shelf.put(folder, encoded(series_number=8000), job_id=1)
    assert set(contents(folder, first)).isdisjoint(contents(folder, other))


def test_a_set_of_which_a_file_is_damaged_or_gone_is_stored_anew(folder: DataFolder) -> None:
    first = shelf.put(folder, encoded(), job_id=1)
    damaged = folder.path(first[0].result.path)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    again = shelf.put(folder, encoded(later_s=60), job_id=1)
    assert {each.result.path for each in again}.isdisjoint(each.result.path for each in first)
    assert {each.result.sop_instance_uid for each in again}.isdisjoint(each.result.sop_instance_uid for each in first)
    assert all(Path(folder.path(each.result.path)).is_file() for each in again)


def test_what_is_taken_is_of_one_making_and_goes_under_the_uids_that_stand_in_it(folder: DataFolder) -> None:
    """A report of one making names the captures of that one."""
    first = shelf.put(folder, encoded(), job_id=1)
    folder.path(first[-1].result.path).unlink()
    second = shelf.put(folder, encoded(later_s=60), job_id=1)
    third = shelf.put(folder, encoded(later_s=3600), job_id=1)
    assert contents(folder, third) == contents(folder, second)
    for each in third:
        stored = dcmread(folder.path(each.result.path))
        assert (each.result.sop_instance_uid, each.result.series_instance_uid) == (
            stored.SOPInstanceUID,
            stored.SeriesInstanceUID,
        )


def test_pictures_that_are_gone_are_made_again_and_leave_the_objects_as_they_lie(folder: DataFolder) -> None:
    made = reports.prediction(slices=3)
    pictures = report.build_pictures(made, "key.0", 4)
    first = shelf.put(folder, [*encoded(), pictures], job_id=1)
    folder.path(first[-1].result.path).unlink()
    again = shelf.put(folder, [*encoded(later_s=60), pictures], job_id=1)
    assert [each.result.path for each in again[:-1]] == [each.result.path for each in first[:-1]]
    assert folder.path(again[-1].result.path).read_bytes() == pictures.content


def test_pictures_make_up_for_no_object(folder: DataFolder) -> None:
    pictures = report.build_pictures(reports.prediction(slices=3), "key.0", 4)
    first = shelf.put(folder, [*encoded(), pictures], job_id=1)
    folder.path(first[0].result.path).unlink()
    again = shelf.put(folder, [*encoded(later_s=60), pictures], job_id=1)
    assert {each.result.path for each in again[:-1]}.isdisjoint(each.result.path for each in first)
    assert again[-1].result.path == first[-1].result.path
