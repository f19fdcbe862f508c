"""DCMTK against the node: echoscu and storescu send, storescp and dcmqrscp receive."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from storage.records import Job
from storage.states import DeliveryState, JobState
from tests import factories, nodes, peers
from tests.checkers import dumped, iod_errors, rendered
from tests.destination import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.timeout(300)]

SENDER = "STORESCU"


@dataclass(frozen=True)
class Site:
    """A node, with storescp and dcmqrscp as its destinations."""

    node: nodes.Node
    storescp: peers.Scp
    archive: peers.Scp

    def dcmtk(self, program: str, *arguments: str | Path, calling: str = SENDER) -> subprocess.CompletedProcess[str]:
        """A DCMTK client that calls the node."""
        command = [peers.program(program), "-aet", calling, "-aec", nodes.AE_TITLE]
        return peers.in_netns([*command, "127.0.0.1", str(self.node.port), *arguments])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, untrained_bundle: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("dcmtk")
    with (
        peers.loopback_only(),
        peers.storescp(folder) as storescp,
        peers.dcmqrscp(folder) as archive,
        nodes.node(
            folder,
            untrained_bundle,
            allow=[SENDER],
            destinations=[
                nodes.destination("storescp", storescp.ae_title, storescp.port),
                nodes.destination("archive", archive.ae_title, archive.port, proof="find"),
            ],
        ) as node,
    ):
        yield Site(node, storescp, archive)


@pytest.fixture(scope="module")
def study(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job of a study that storescu sent."""
    files = factories.write(factories.mr_series(), tmp_path_factory.mktemp("study"))
    sent = site.dcmtk("storescu", *files)
    assert sent.returncode == 0, sent.stderr
    return site.node.ended(str(pydicom.dcmread(files[0]).StudyInstanceUID))


def test_echoscu_is_answered(site: Site) -> None:
    assert site.dcmtk("echoscu").returncode == 0


def test_a_caller_that_is_not_on_the_list_is_rejected(site: Site) -> None:
    told = site.dcmtk("echoscu", calling="STRANGER")
    assert told.returncode != 0
    assert "Calling AE Title Not Recognized" in told.stderr


def test_what_storescu_sent_is_classified_and_delivered_to_both(site: Site, study: Job) -> None:
    assert study.state is JobState.DONE, study.reason
    states = {(each.destination, each.state) for each in site.node.deliveries(study)}
    assert states == {("storescp", DeliveryState.SENT), ("archive", DeliveryState.COMMITTED)}
    assert len(site.storescp.files()) == len(site.archive.files()) == 14


def test_what_storescp_received_is_valid(site: Site, study: Job) -> None:
    assert study.state is JobState.DONE
    assert {path.name: iod_errors(path) for path in site.storescp.files()} == {
        path.name: [] for path in site.storescp.files()
    }


def test_the_report_opens_in_dsr2html_and_dsrdump(site: Site, study: Job) -> None:
    assert study.state is JobState.DONE
    (report,) = (path for path in site.storescp.files() if pydicom.dcmread(path).Modality == "SR")
    assert "Measurement Group" in rendered(report)
    assert "Probability" in dumped(report)


@pytest.mark.parametrize(
    ("options", "transfer_syntax"),
    [
        (["-xi"], pydicom.uid.ImplicitVRLittleEndian),
        (["-xb"], pydicom.uid.ExplicitVRBigEndian),
        (["-xr"], pydicom.uid.RLELossless),
        (["-xv"], pydicom.uid.JPEG2000Lossless),
    ],
)
def test_every_transfer_syntax_is_stored_as_it_came(
    site: Site, tmp_path: Path, options: list[str], transfer_syntax: pydicom.uid.UID
) -> None:
    patient = {**factories.PATIENT, "PatientID": str(transfer_syntax)}
    series = factories.mr_series(slices=3, rows=32, columns=32, patient=patient)
    files = factories.write(series, tmp_path, transfer_syntax=transfer_syntax)
    sent = site.dcmtk("storescu", *options, *files)
    assert sent.returncode == 0, sent.stderr
    study = str(series[0].StudyInstanceUID)
    wait_until(lambda: len(site.node.stored(study)) == 3, "the rows behind the answers")
    assert {each.transfer_syntax_uid for each in site.node.stored(study)} == {str(transfer_syntax)}


def test_a_study_with_nothing_to_read_ends_skipped_and_says_why(site: Site, tmp_path: Path) -> None:
    patient = {**factories.PATIENT, "PatientID": "T2"}
    series = factories.mr_series(
        slices=24, rows=64, columns=64, patient=patient, description="T2 TSE", EchoTime=98, ScanningSequence="SE",
        SequenceVariant="SK", RepetitionTime=5000, InversionTime=factories.ABSENT, SequenceName="*tse2d1_15",
        MRAcquisitionType="2D", ProtocolName="t2_tse", FlipAngle=150,
    )  # fmt: skip
    files = factories.write(series, tmp_path)
    assert site.dcmtk("storescu", *files).returncode == 0
    job = site.node.ended(str(series[0].StudyInstanceUID))
    assert job.state is JobState.SKIPPED
    assert "T1" in job.reason
