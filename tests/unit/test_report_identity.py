"""The same inputs give the same objects, in any process; anything that shapes a result gives it another UID."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydicom.uid import UID

from node import report
from node.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.report import Source
from node.report.identity import derived_uid, digest, local_time
from tests import reports
from tests.factories import mr_series

pytestmark = pytest.mark.slow  # each test encodes, or reads and judges, whole results

ROOT = Path(__file__).resolve().parents[2]
BUILD_AND_HASH = """
import hashlib, sys, time
from tests import reports
from tests.factories import mr_series
time.sleep(float(sys.argv[1]))
series = mr_series(slices=6, rows=32, columns=32)
how = reports.context(parametric_map=True, capture_skipped=True)
for each in reports.build(series, reports.prediction(series, slices=5), how):
    print(each.kind, each.sop_instance_uid, hashlib.sha256(each.content).hexdigest())
for each in reports.report.build_skipped(reports.Source(series), [reports.Verdict()], "no T1", how):
    print(each.kind, each.sop_instance_uid, hashlib.sha256(each.content).hexdigest())
"""


def small() -> list:
    return mr_series(slices=6, rows=32, columns=32)


def uids(series: list, made: object, how: report.Context) -> list[str]:
    return [each.sop_instance_uid for each in reports.build(series, made, how)]


@pytest.mark.slow
def test_two_processes_build_the_same_bytes_at_different_times() -> None:
    def build(delay_s: str) -> str:
        command = [sys.executable, "-c", BUILD_AND_HASH, delay_s]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    first = build("0")
    assert first == build("1.1")
    assert len(first.splitlines()) == 7


def test_uids_are_valid_and_all_different() -> None:
    series = small()
    how = reports.context(
        [
            reports.destination("a"),
            reports.destination("b", report="comprehensive_3d"),
            reports.destination("c", report="text"),
            reports.destination("d", captures=False),
            reports.destination("e", report="text", captures=False),
        ],
        captures=4,
        parametric_map=True,
    )
    results = reports.build(series, reports.prediction(series), how)
    every = [each.sop_instance_uid for each in results]
    assert len(set(every)) == len(every) == 1 + 4 + 1 + 5
    assert all(uid.startswith("2.25.") and len(uid) <= 44 for uid in every)
    assert len({each.series_instance_uid for each in results}) == 1 + 1 + 5


@pytest.mark.parametrize(
    "change",
    [
        {"captures": 3},
        {"series_number": 9200},
        {"manufacturer": "Another"},
        {"station_name": "OTHER"},
        {"institution_name": "Hospital"},
    ],
)
def test_a_setting_that_shapes_the_result_gives_new_uids(change: dict[str, object]) -> None:
    series, made = small(), reports.prediction(small(), slices=5)
    before, after = uids(series, made, reports.context()), uids(series, made, reports.context(**change))
    assert not set(before) & set(after)


def test_settings_that_shape_nothing_change_no_uid() -> None:
    series, made = small(), reports.prediction(small(), slices=5)
    unrelated = reports.context(report_skipped=False, capture_skipped=True)
    assert uids(series, made, reports.context()) == uids(series, made, unrelated)


def test_another_bundle_software_version_or_generation_gives_new_uids() -> None:
    series, made, how = small(), reports.prediction(small(), slices=5), reports.context()
    before = uids(series, made, how)
    other = replace(made, model=replace(made.model, sha256="f" * 64))
    assert not set(before) & set(uids(series, other, how))
    assert not set(before) & set(uids(series, made, replace(how, software_version="0.2.0")))
    assert not set(before) & set(uids(series, made, replace(how, generation=1)))


def test_another_content_of_an_instance_that_was_read_gives_new_uids() -> None:
    series, made, how = small(), reports.prediction(small(), slices=5), reports.context()
    contents = {str(each.SOPInstanceUID): "a" for each in series}
    before = uids(series, made, replace(how, contents=contents))
    contents[str(series[0].SOPInstanceUID)] = "b"
    assert not set(before) & set(uids(series, made, replace(how, contents=contents)))


def test_another_name_of_the_patient_gives_new_uids() -> None:
    series, made, how = small(), reports.prediction(small(), slices=5), reports.context()
    before = uids(series, made, how)
    for each in series:
        each.PatientName = "Corrected^Name"
    assert not set(before) & set(uids(series, made, how))


def test_series_that_were_not_read_leave_no_trace() -> None:
    series, made, how = small(), reports.prediction(small(), slices=5), reports.context()
    late = small()
    for number, each in enumerate(late):
        each.SeriesInstanceUID, each.SOPInstanceUID = "1.2.9", f"1.2.9.{number}"
    alone = report.build(Source(series), series, made, how)
    beside = report.build(Source([*late, *series]), series, made, how)
    assert alone == beside


def test_the_same_reasons_are_the_same_no_result_however_many_series_have_them() -> None:
    header, how = small()[0], reports.context()
    key = report.no_result_key(header, ["localizer", "not T1-weighted"], how)
    assert key == report.no_result_key(header, ["not T1-weighted", "localizer", "localizer"], how)
    assert key != report.no_result_key(header, ["localizer"], how)


def test_out_of_scope_and_in_scope_are_two_answers() -> None:
    series, how = small(), reports.context()
    keys = {report.result_key(series[0], series, reports.MODEL, how, inside=inside) for inside in (True, False)}
    assert len(keys) == 2


def test_another_receiver_of_the_same_form_changes_nothing() -> None:
    series, made = small(), reports.prediction(small(), slices=5)
    one = reports.build(series, made, reports.context([reports.destination("a")]))
    two = reports.build(series, made, reports.context([reports.destination("a"), reports.destination("b")]))
    assert [each.content for each in one] == [each.content for each in two]
    assert {each.destinations for each in two} == {("a", "b")}


def test_a_uid_of_ours_keeps_the_letter_of_the_standard() -> None:
    assert all(UID(derived_uid(str(number))).is_valid for number in range(50))


def test_parts_are_kept_apart() -> None:
    assert derived_uid("ab", "c") != derived_uid("a", "bc")
    assert digest(["b", "a"]) == digest(["a", "b"]) != digest(["ab"])


def test_the_device_uid_changes_with_the_bundle_and_the_tracking_uid_does_not() -> None:
    series, made = small(), reports.prediction(small(), slices=5)
    other = replace(made, model=replace(made.model, sha256="f" * 64))
    first, second = (
        reports.of_kind(reports.build(series, each, reports.context()), "sr_comprehensive") for each in (made, other)
    )
    assert first.ContributingEquipmentSequence[0].DeviceUID != second.ContributingEquipmentSequence[0].DeviceUID
    tracking = [
        [item.UID for item in each.ContentSequence[-1].ContentSequence[0].ContentSequence if "UID" in item]
        for each in (first, second)
    ]
    assert tracking[0] == tracking[1]


def test_every_time_in_the_objects_is_the_jobs() -> None:
    series = mr_series(slices=6, rows=32, columns=32, TimezoneOffsetFromUTC="+0530")
    for result in reports.build(series, reports.prediction(series, slices=5), reports.context(parametric_map=True)):
        ours = reports.read(result)
        times = [ours.InstanceCreationTime, ours.ContentTime, ours.SeriesTime]
        assert {str(each) for each in times} == {"153000.000000"}
        assert str(ours.ContentDate) == "20260115"
        assert ours.ContributingEquipmentSequence[0].ContributionDateTime == "20260115153000.000000+0530"


def test_every_file_names_the_implementation_that_wrote_it() -> None:
    """PS3.10 7.1: the same names that this node uses on the network."""
    for result in reports.build(small(), reports.prediction(slices=3), reports.context(captures=1)):
        meta = reports.read(result).file_meta
        names = (str(meta.ImplementationClassUID), str(meta.ImplementationVersionName))
        assert names == (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)


@pytest.mark.parametrize("offset", ["+0530", " -0330 ", "+1400"])
def test_the_offset_of_the_study_rules_the_clock(offset: str) -> None:
    at = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
    sign = -1 if "-" in offset else 1
    digits = offset.strip()[1:]
    delta = sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    assert local_time(at, offset).tzinfo == timezone(delta)
    assert local_time(at, offset) == at


@pytest.mark.parametrize("offset", [None, "", "CEST", "+9900", "0530"])
def test_without_a_usable_offset_the_clock_is_this_machines(offset: str | None) -> None:
    at = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
    assert local_time(at, offset).utcoffset() == at.astimezone().utcoffset()


def test_another_time_or_another_name_of_the_patient_gives_other_uids() -> None:
    """Both are in the bytes; `node/work/shelf.py` sees to it that an answer that lies here keeps its time."""
    series = small()
    how = reports.context()
    first = uids(series, reports.prediction(series), how)
    later = replace(how, created_at=how.created_at + timedelta(microseconds=1))
    assert set(first).isdisjoint(uids(series, reports.prediction(series), later))
    for header in series:
        header.PatientName = "Other^Name"
    assert set(first).isdisjoint(uids(series, reports.prediction(series), how))


@pytest.mark.filterwarnings("ignore:The PN component length")
def test_a_name_of_a_hundred_thousand_bytes_is_not_copied() -> None:
    series = small()
    for header in series:
        header.PatientName = "Doe^" + "x" * 60_000
    made = reports.build(series, reports.prediction(series), reports.context())
    assert all(b"x" * 2000 not in each.content for each in made)
