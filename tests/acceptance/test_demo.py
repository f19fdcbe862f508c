"""`neurossl demo`: the whole way on one machine, and a clear word when it cannot be walked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image

from tests import factories, peers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def command(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "node", "demo", *arguments]


def demo(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=280, check=False, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The demo as the README starts it, but on a machine that has no network but loopback: its folder, its answer."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    with peers.loopback_only():
        told = demo("--keep", folder, "--json")
    assert told.returncode == 0, told.stderr
    return folder, json.loads(told.stdout)


@pytest.mark.peers
def test_the_template_is_classified_and_every_result_delivered(default: tuple[Path, dict[str, Any]]) -> None:
    _, answer = default
    (study,) = answer["studies"].values()
    assert study["state"] == "done"
    assert 0 < study["outcome"]["prediction"]["probability"] < 1
    assert study["outcome"]["prediction"]["spread"] > 0
    assert set(study["deliveries"]) == {"sent"}
    assert len(study["deliveries"]) == len(answer["received"])


@pytest.mark.peers
def test_what_the_destination_received_is_in_the_study_that_was_sent(default: tuple[Path, dict[str, Any]]) -> None:
    folder, answer = default
    source = pydicom.dcmread(next((folder / "study").iterdir()))
    received = [pydicom.dcmread(path) for path in answer["received"]]
    assert {each.StudyInstanceUID for each in received} == {source.StudyInstanceUID}
    assert {str(each.PatientName) for each in received} == {"Made-up^Template"}
    assert [each.Modality for each in received] == ["OT"] * (len(received) - 1) + ["SR"]


@pytest.mark.peers
def test_the_report_is_there_as_text_and_says_research_use(default: tuple[Path, dict[str, Any]]) -> None:
    _, answer = default
    text = Path(answer["report"]).read_text()
    (study,) = answer["studies"].values()
    assert f"Probability: {100 * study['outcome']['prediction']['probability']:.2f} %" in text
    assert "neurossl-demonstration" in text
    assert "UNTRAINED" not in text
    assert "RESEARCH USE ONLY" in text


@pytest.mark.peers
def test_the_montage_shows_heat_in_colour(default: tuple[Path, dict[str, Any]]) -> None:
    _, answer = default
    montage = Image.open(answer["montage"])
    assert min(montage.size) > 800
    red, green, blue = montage.convert("RGB").resize((400, 300)).split()
    hot = [r > b + 60 and r > g for r, g, b in zip(red.tobytes(), green.tobytes(), blue.tobytes(), strict=True)]
    assert sum(hot) > 100


@pytest.mark.peers
def test_everything_is_kept_where_it_was_asked_to_be(default: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = default
    names = {path.name for path in folder.iterdir()}
    assert names == {"bundle", "config.yaml", "data", "montage.png", "node.log", "received", "report.txt", "study"}
    assert (folder / "data" / "neurossl.sqlite").stat().st_size > 0


def test_the_numbers_stand_on_the_screen_and_only_the_results_stay(tmp_path: Path) -> None:
    factories.enhanced_mr(tmp_path / "study", plane="axial")
    (tmp_path / "study" / "notes.txt").write_text("not DICOM")
    told = demo("--study", tmp_path / "study", TMPDIR=str(tmp_path), COLUMNS="200")
    assert told.returncode == 0, told.stderr
    for words in (
        "probability",
        "uncertainty",
        "band",
        "done",
        "demonstration weights",
        "RESEARCH USE ONLY",
        "Measurement Group",
    ):
        assert words in told.stdout
    (left,) = tmp_path.glob("neurossl-demo-*")
    assert {path.name for path in left.iterdir()} == {"received", "report.txt", "montage.png"}
    for path in left.glob("received/*"):
        assert str(path) in told.stdout


def test_a_study_without_a_t1_of_the_head_ends_with_the_reason(tmp_path: Path) -> None:
    factories.mr_series(tmp_path / "knee", slices=24, rows=64, columns=64, BodyPartExamined="KNEE", description="knee")
    told = demo("--study", tmp_path / "knee", TMPDIR=str(tmp_path), COLUMNS="200")
    assert told.returncode == 1
    assert "skipped" in told.stdout
    assert "knee" in told.stdout
    assert "not a head" in told.stdout


@pytest.mark.parametrize(
    ("folder", "words"), [("nowhere", "no such folder"), ("empty", "no DICOM file"), ("text", "no DICOM file")]
)
def test_a_folder_that_holds_nothing_to_send_is_named(tmp_path: Path, folder: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.dcm").write_text("no DICOM")
    told = demo("--study", tmp_path / folder, TMPDIR=str(tmp_path))
    assert told.returncode == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.glob("neurossl-demo-*")) == []


def test_a_folder_with_something_in_it_is_not_used_to_keep(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    told = demo("--keep", tmp_path)
    assert told.returncode == 2
    assert "not empty" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_nothing_running_and_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    home = tmp_path / "tmp"
    home.mkdir()
    with log.open("wb") as output:
        running = subprocess.Popen(
            command(),
            stdout=output,
            stderr=output,
            env={**os.environ, "TMPDIR": str(home)},
            preexec_fn=lambda: signal.signal(
                signal.SIGINT, signal.SIG_DFL
            ),  # ignored where the tests run in background
        )
    try:
        peers.eventually(lambda: list(home.glob("neurossl-demo-*/data/locks/worker-1.alive")), "the node to start")
        time.sleep(0.5)
        running.send_signal(number)
        assert running.wait(60) == 130, log.read_text()
    finally:
        running.kill()
    assert list(home.iterdir()) == []
    assert [line for line in processes() if str(home) in line] == []


def processes() -> list[str]:
    """The command lines of everything that runs."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return lines
