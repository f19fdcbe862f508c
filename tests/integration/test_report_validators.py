"""What independent programs say of every kind of result: dicom3tools, DCMTK, and PixelMed where it is installed."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from node import report
from node.report import Encoded, Source
from tests import checkers, reports
from tests.factories import enhanced_mr, mr_series

pytestmark = pytest.mark.peers

SERIES = mr_series(slices=8, rows=32, columns=32)
# Java 17 limits XPath expressions far below what PixelMed's templates need.
JAVA = "-Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0"
PIXELMED = "DicomSRValidator"
# Attributes of the current standard that dicom3tools of 2022 does not know for these objects.
NEWER_THAN_DCIODVFY = re.compile(r"Attribute is not present in standard DICOM IOD|Unrecognized defined term")
# TID 1501 leaves qualitative evaluations and comments open, TID 2000 images; PixelMed names them.
# CID 100 is extensible (PS3.16): an MRI of the brain is none of its examples, and the truer code.
OPEN_IN_TEMPLATE = re.compile(
    r"(CODE|TEXT|IMAGE) \([^)]*\): Content Item not in template$"
    r"|Code \(24590-2,LN,\"MR Brain\"\) not found in context group 100$"
)


def every_result() -> dict[str, list[Encoded]]:
    forms = ("comprehensive", "comprehensive_3d", "text")
    destinations = [reports.destination(form.replace("_", "-"), report=form) for form in forms]
    how = reports.context(
        destinations, captures=2, parametric_map=True, capture_skipped=True, institution_name="Clinic"
    )
    superseding = replace(how, predecessor=[Earlier()])
    enhanced = [enhanced_mr(slices=8, rows=32, columns=32)]
    untrained = reports.prediction(SERIES, model=replace(reports.MODEL, trained=False))
    verdicts = [reports.Verdict(), reports.Verdict(series_number=None, description="", modality="")]
    likely = reports.build(SERIES, reports.prediction(SERIES), how)
    objects = [reports.read(each) for each in likely]
    return {
        "likely": likely,
        "replaced": [report.build_rejection(objects, "key", how, superseded=True)],
        "withdrawn": [report.build_rejection(objects[:1], "key", how, superseded=False)],
        "superseding": reports.build(SERIES, reports.prediction(SERIES), superseding),
        "untrained": reports.build(SERIES, untrained, how),
        "out of scope": reports.build(SERIES, reports.out_of_scope(), how),
        "multi-frame": reports.build(enhanced, reports.prediction(enhanced), how),
        "skipped": report.build_skipped(Source(SERIES), verdicts, "no series is a T1-weighted volume", how),
    }


class Earlier:
    sop_class_uid = "1.2.840.10008.5.1.4.1.1.88.33"
    sop_instance_uid = "2.25.1"
    series_instance_uid = "2.25.2"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Encoded]:
    """Every result as a file."""
    folder = tmp_path_factory.mktemp("results")
    written = {}
    for case, results in every_result().items():
        for each in results:
            path = folder / f"{case.replace(' ', '-')}-{each.ordinal:02}-{each.kind}.dcm"
            path.write_bytes(each.content)
            written[path] = each
    return written


def structured(files: dict[Path, Encoded]) -> list[Path]:
    return [path for path, each in files.items() if each.kind.startswith("sr_")]


def test_dciodvfy_finds_no_error_in_any_result(files: dict[Path, Encoded]) -> None:
    assert {path.name: errors for path in files if (errors := checkers.iod_errors(path))} == {}


def test_dciodvfy_warns_only_of_what_is_newer_than_itself(files: dict[Path, Encoded]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    odd = {}
    for path in files:
        told = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        warnings = [line for line in (told.stderr + told.stdout).splitlines() if line.startswith("Warning")]
        odd[path.name] = [line for line in warnings if not NEWER_THAN_DCIODVFY.search(line)]
    assert {name: lines for name, lines in odd.items() if lines} == {}


def test_dsrdump_shows_every_report_with_its_concept_names(files: dict[Path, Encoded]) -> None:
    for path in structured(files):
        shown = checkers.dumped(path)
        assert "CONTINUOUS" not in shown
        assert "UNVERIFIED" in shown


def test_dsr2html_shows_numbers_beside_their_names(files: dict[Path, Encoded]) -> None:
    for path in structured(files):
        page = re.sub(r"<[^>]*>|\s+", " ", checkers.rendered(path))
        assert "RESEARCH USE ONLY - not for diagnosis" in page
        if path.name.startswith("likely") and "comprehensive" in path.name:
            assert re.search(r"Probability\s*:\s*82\.34", page)
            assert re.search(r"Decision band\s*:\s*High likelihood", page)


def test_dsr2xml_writes_every_report(files: dict[Path, Encoded]) -> None:
    if shutil.which("dsr2xml") is None:
        pytest.skip("dsr2xml is not installed")
    for path in structured(files):
        told = subprocess.run(["dsr2xml", path], capture_output=True, text=True, check=False)
        assert (told.returncode, told.stderr) == (0, ""), path.name
        assert "<content>" in told.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["likely-04-sr_comprehensive", "likely-05-sr_comprehensive_3d", "skipped-01-sr_text"])
def test_pixelmed_finds_no_error_against_the_templates(name: str, files: dict[Path, Encoded]) -> None:
    if shutil.which(PIXELMED) is None:
        pytest.skip("PixelMed's DicomSRValidator is not installed")
    (path,) = [each for each in files if each.stem == name]
    told = subprocess.run(
        [PIXELMED, path],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "JAVA_TOOL_OPTIONS": JAVA},
    )
    lines = (told.stdout + told.stderr).splitlines()
    assert any("Root Template Validation Complete" in line for line in lines)
    assert "IOD validation complete" in lines
    findings = [line for line in lines if line.startswith(("Error", "Warning"))]
    assert [line for line in findings if not OPEN_IN_TEMPLATE.search(line)] == []
