"""Debian's Orthanc as the PACS: it sends a study to the node, and the results come back into the same study."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import yaml
from pydicom.dataset import Dataset

from storage.records import Job
from storage.states import DeliveryState, JobState
from tests import factories, nodes, peers
from tests.checkers import iod_errors, rendered

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
PHILIPS = "series/philips_elition_adni_mprage_sag"


@dataclass(frozen=True)
class RoundTrip:
    """One study that went to the node and came back."""

    pacs: peers.Orthanc
    node: nodes.Node
    study: str  # Study Instance UID
    sent: Sequence[Path]
    job: Job

    def results(self, modality: str) -> list[Dataset]:
        """The objects of this modality that the PACS has in the study."""
        files = (self.pacs.file(instance) for instance in self.pacs.instances(self.study, modality))
        found = [pydicom.dcmread(BytesIO(file)) for file in files]
        return sorted(found, key=lambda each: int(each.InstanceNumber))


@pytest.fixture(scope="module", params=["made-up", pytest.param("philips", marks=pytest.mark.realdata)])
def round_trip(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, untrained_bundle: Path
) -> Iterator[RoundTrip]:
    folder = tmp_path_factory.mktemp("orthanc")
    if request.param == "philips":
        sent = sorted((request.getfixturevalue("real_data") / PHILIPS).glob("*.dcm"))
    else:
        sent = factories.write(factories.mr_series(), folder / "study")
    study = str(pydicom.dcmread(sent[0], stop_before_pixels=True).StudyInstanceUID)
    with peers.loopback_only():
        port = peers.free_port()
        with (
            peers.orthanc(folder, modalities={"neurossl": (nodes.AE_TITLE, port)}) as pacs,
            nodes.node(
                folder,
                untrained_bundle,
                port=port,
                allow=[pacs.ae_title],
                destinations=[nodes.destination("pacs", pacs.ae_title, pacs.port, proof="commitment")],
            ) as node,
        ):
            pacs.upload(sent)
            answer = pacs.send("neurossl", study)
            assert answer["FailedInstancesCount"] == 0
            yield RoundTrip(pacs, node, study, sent, node.ended(study))


def test_the_study_is_classified_and_its_results_are_delivered(round_trip: RoundTrip) -> None:
    assert round_trip.job.state is JobState.DONE, round_trip.job.reason
    assert round_trip.job.outcome is not None
    assert 0 <= round_trip.job.outcome["prediction"]["probability"] <= 1


def test_orthanc_proves_by_storage_commitment_that_it_keeps_every_result(round_trip: RoundTrip) -> None:
    states = {delivery.state for delivery in round_trip.node.deliveries(round_trip.job)}
    assert states == {DeliveryState.COMMITTED}


def test_the_results_lie_in_the_same_study_of_the_same_patient(round_trip: RoundTrip) -> None:
    source = pydicom.dcmread(round_trip.sent[0], stop_before_pixels=True)
    assert len(round_trip.pacs.ask("GET", "/studies")) == 1
    assert len(round_trip.results("SR")) == 1
    for result in [*round_trip.results("SR"), *round_trip.results("OT")]:
        for keyword in (
            "StudyInstanceUID",
            "PatientID",
            "PatientName",
            "PatientBirthDate",
            "StudyID",
            "AccessionNumber",
        ):
            assert result[keyword].value == source[keyword].value, keyword


def test_a_summary_and_the_configured_number_of_heat_maps_came(round_trip: RoundTrip) -> None:
    captures = round_trip.results("OT")
    assert len(captures) == 1 + 12
    assert {(capture.SamplesPerPixel, capture.PhotometricInterpretation) for capture in captures} == {(3, "RGB")}


def test_orthanc_can_draw_every_capture(round_trip: RoundTrip) -> None:
    for instance in round_trip.pacs.instances(round_trip.study, "OT"):
        assert round_trip.pacs.ask("GET", f"/instances/{instance}/preview").startswith(b"\x89PNG")


def test_dciodvfy_finds_no_error_in_what_orthanc_has(round_trip: RoundTrip, tmp_path: Path) -> None:
    for number, instance in enumerate(
        [*round_trip.pacs.instances(round_trip.study, "SR"), *round_trip.pacs.instances(round_trip.study, "OT")]
    ):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(round_trip.pacs.file(instance))
        assert iod_errors(path) == []


def test_dsr2html_shows_probability_and_research_use(round_trip: RoundTrip, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(round_trip.pacs.file(round_trip.pacs.instances(round_trip.study, "SR")[0]))
    page = rendered(path)
    assert "Probability" in page
    assert "RESEARCH USE ONLY" in page
    assert "UNTRAINED" in page


def test_every_image_that_the_report_names_is_in_the_study(round_trip: RoundTrip) -> None:
    (report,) = round_trip.results("SR")
    named = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    kept = {
        str(round_trip.pacs.ask("GET", f"/instances/{instance}")["MainDicomTags"]["SOPInstanceUID"])
        for instance in round_trip.pacs.instances(round_trip.study)
    }
    assert named <= kept
    assert len(named) >= len(round_trip.sent)


def test_sending_the_study_again_makes_no_second_result(round_trip: RoundTrip) -> None:
    before = len(round_trip.pacs.instances(round_trip.study))
    originals = [
        instance
        for series in round_trip.pacs.ask("GET", f"/studies/{round_trip.pacs.study(round_trip.study)}/series")
        if series["MainDicomTags"]["Modality"] == "MR"
        for instance in series["Instances"]
    ]
    again = {"Resources": originals, "Synchronous": True, "Timeout": 60}
    assert round_trip.pacs.ask("POST", "/modalities/neurossl/store", again)["FailedInstancesCount"] == 0
    time.sleep(2 * nodes.QUIET_PERIOD_S)
    later = round_trip.node.ended(round_trip.study)
    assert (later.job_id, later.updated_at) == (round_trip.job.job_id, round_trip.job.updated_at)
    assert len(round_trip.pacs.instances(round_trip.study)) == before


def test_the_forwarding_rule_of_the_compose_file_sends_mr_and_never_what_came_back(tmp_path: Path) -> None:
    rule = yaml.safe_load((ROOT / "compose.yaml").read_text())["configs"]["forward"]["content"]
    script = tmp_path / "forward.lua"
    script.write_text(rule)
    series = factories.mr_series(slices=3, rows=32, columns=32)
    ours = factories.mr_series(slices=1, rows=32, columns=32, description="ours", Modality="OT")
    files = factories.write([*series, *ours], tmp_path / "in")
    with (
        peers.storescp(tmp_path) as receiver,
        peers.orthanc(
            tmp_path, modalities={"neurossl": (receiver.ae_title, receiver.port)}, LuaScripts=[str(script)]
        ) as pacs,
    ):
        pacs.upload(files)
        peers.eventually(lambda: len(receiver.files()) == 3, "the MR series to be forwarded")
        time.sleep(3)  # StableAge is 1 s: by now the other series is stable as well
        assert {pydicom.dcmread(path).Modality for path in receiver.files()} == {"MR"}
        assert len(pacs.instances(str(series[0].StudyInstanceUID))) == 4
