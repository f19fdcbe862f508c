"""The conformance statement says what this configuration does, and the copy in the repository is current."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import Settings
from node.conformance.statement import REJECTIONS, SENT, STORE_STATUSES, statement
from node.dicom.received import Receipt
from node.dimse import contexts
from node.dimse.status import ANSWERS, Disposition, disposition

ROOT = Path(__file__).resolve().parents[2]
SITE = """
listener:
  ae_title: BRAINS
  host: 10.0.0.9
  port: 104
  accept: mr
  allow: [{ae_title: MRSCANNER1, host: 10.1.2.3}, {ae_title: PACS}]
  tls: {certificate: a.pem, key: a.key, authorities: ca.pem}
completeness:
  quiet_period_s: 90
archive: {ae_title: ARCHIVE, host: archive.example.org, port: 11112}
results: {manufacturer: Maker, series_number: 7000}
destinations:
  - {name: pacs, ae_title: PACS, host: pacs.example.org, port: 11112, report: comprehensive_3d, proof: commitment}
  - {name: reading, ae_title: READ, host: 10.0.0.2, port: 105, calling_ae_title: OTHER, captures: false}
"""


def test_the_copy_in_the_repository_is_current() -> None:
    """Renew it with `neurossl conformance --output node/conformance/CONFORMANCE.md`."""
    kept = (ROOT / "node" / "conformance" / "CONFORMANCE.md").read_text(encoding="utf-8")
    assert kept == statement(Settings(), "the default settings")


@pytest.fixture(scope="module")
def of_a_site(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    told = CliRunner().invoke(app, ["conformance", "--config", str(path)])
    assert told.exit_code == 0, told.output
    return told.stdout


@pytest.mark.parametrize(
    "line",
    [
        "*Made by `neurossl conformance` from site.yaml, after PS3.2.",
        "| called AE title | must be `BRAINS` |",
        "| calling AE titles | `MRSCANNER1` from 10.1.2.3, `PACS` |",
        "| pacs | `PACS` | pacs.example.org:11112 | `BRAINS` | comprehensive_3d | yes | commitment | no |",
        "| reading | `READ` | 10.0.0.2:105 | `OTHER` | comprehensive | no | none | no |",
        "TCP over IPv4 or IPv6. Listens on `10.0.0.9`, port 104.",
        "RECEIVER takes TLS 1.2 or newer only, with certificates on both sides (PS3.15 B.12).",
        "| (0020,0011) | Series Number | IS | `7000` |",
        "| (0008,0070) | Manufacturer | LO | `Maker` |",
    ],
)
def test_it_says_what_the_configuration_says(line: str, of_a_site: str) -> None:
    assert line in of_a_site


def test_it_names_what_is_configured_in_its_sentences(of_a_site: str) -> None:
    words = " ".join(of_a_site.split())
    assert "no instance came for 90 s" in words
    assert "With `archive` (`ARCHIVE`, archive.example.org:11112)" in words


def test_it_lists_the_storage_classes_that_are_accepted(of_a_site: str) -> None:
    listed = set(re.findall(r"\| `([0-9.]+)` \| \*Storage\* \| SCP \|", of_a_site))
    assert listed == contexts.storage_classes("mr")
    everything = statement(Settings(listener={"accept": "all"}), "a test")
    assert set(re.findall(r"\| `([0-9.]+)` \| \*Storage\* \| SCP \|", everything)) == contexts.storage_classes("all")
    assert "| 1.2.840" not in statement(Settings(), "a test")


def test_it_describes_every_kind_of_object_with_its_values(of_a_site: str) -> None:
    titles = re.findall(r"^### 7\.\d+ (.*): (.*)$", of_a_site, re.MULTILINE)
    assert [title for title, _ in titles] == [
        "Summary page",
        "Slice with heat map",
        "Attention rollout as numbers",
        "Report, Comprehensive SR",
        "Report, Comprehensive 3D SR",
        "Report, Basic Text SR",
        "Report of a study without result",
        "Rejection note",
    ]
    assert of_a_site.count("| (0010,0010) | Patient's Name | PN | the source's bytes |") == 8
    assert "| >>> | CONTAINS | NUM | (122157, DCM, Probability) | unit `%` |" in of_a_site
    assert "| (0008,0018) | SOP Instance UID | UI | our UID, 2.25 |" in of_a_site
    assert "| (0040,A360) | Predecessor Documents Sequence | SQ | one item |" in of_a_site


def test_every_status_that_the_receiver_can_answer_a_store_with_is_listed() -> None:
    source = (ROOT / "node" / "dimse" / "acceptor.py").read_text(encoding="utf-8")
    answered = set(re.findall(r"\bStatus\.([A-Z_]+)", source)) - {"UNRECOGNIZED_OPERATION"}  # of other requests
    answered |= {status.name for status in ANSWERS.values()}
    assert {status.name for status, _ in STORE_STATUSES} == answered


def test_every_receipt_has_a_status() -> None:
    assert set(ANSWERS) == set(Receipt)


def test_every_rejection_of_the_receiver_is_listed() -> None:
    source = (ROOT / "node" / "dimse" / "admission.py").read_text(encoding="utf-8")
    returned = set(re.findall(r"return ([A-Z_]{8,})", source))
    from node.dimse import status

    assert {rejection for rejection, _ in REJECTIONS} == {getattr(status, name) for name in returned}


def test_every_verdict_on_an_answer_has_an_example() -> None:
    assert {disposition(code) for code in SENT} == set(Disposition)


def test_it_is_written_to_a_file_on_request(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["conformance", "--output", str(tmp_path / "statement.md")])
    assert (told.exit_code, told.stdout) == (0, "")
    assert (tmp_path / "statement.md").read_text(encoding="utf-8").startswith("# DICOM Conformance Statement")


def test_a_wrong_configuration_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("listener: {ae_title: '" + "X" * 17 + "'}")
    told = CliRunner().invoke(app, ["conformance", "--config", str(path)])
    assert told.exit_code == 2
    assert "listener.ae_title" in told.stderr
    assert "Traceback" not in told.stderr


def test_the_audit_trail_and_the_watermark_are_told_as_they_are_configured() -> None:
    plain = statement(Settings(), "x")
    assert "syslog after RFC 5424): not configured." in plain
    assert "while the disk is fuller" not in plain
    audit = {"transport": "tls", "host": "siem", "tls": {"certificate": "a", "key": "b", "authorities": "c"}}
    told = statement(Settings(audit=audit, retention={"maximum_disk_use_percent": 80}), "x")
    assert "syslog after RFC 5424): to siem:6514 by TLS." in told
    assert "earlier while the disk is fuller than 80 %" in told
