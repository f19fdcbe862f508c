"""The steps of the demo, in order."""

import json
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from model.bundle import DEMONSTRATION
from node.config import Settings, anchored
from node.demo import pacs
from node.demo.folder import DemoFolder
from node.demo.follow import Tell, follow
from node.demo.service import serving, wait_until_ready
from node.demo.template import write_template
from node.dimse.scu import Peer, send
from node.errors import ConfigurationError
from node.observe.jobs import JobFacts
from storage import DataFolder, open_database

NODE, SENDER = "NEUROSSL", "DEMO-SCANNER"
QUIET_PERIOD_S = 2.0
STUDY_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class DemoRun:
    """What the demo did and what came of it."""

    endings: Mapping[str, JobFacts]  # by Study Instance UID
    received: tuple[Path, ...]  # what the destination has, in the order in which it came
    refused: tuple[str, ...]  # instances that the node would not take, each with its reason
    took_s: Mapping[str, float]


def run(folder: DemoFolder, study: Path | None, device: str, tell: Tell) -> DemoRun:
    """Send a study, by default the template, through a node of its own, and wait for what comes back.

    Raises ConfigurationError when there is nothing to send, NodeEnded, TooSlow, and what sending raises.
    """
    clock = _Clock()
    tell("prepares the study", 0, 0)
    files = _studies(study) if study is not None else _studies_of(write_template(folder.study))
    tell("prepares the model", 0, 0)
    shutil.copytree(DEMONSTRATION, folder.bundle)
    clock.lap("prepare")
    with pacs.plays_pacs(folder.received, NODE) as pacs_port:
        settings = _settings(folder, pacs_port, device)
        folder.config.write_text(settings.model_dump_json(indent=2, exclude_defaults=True), encoding="utf-8")
        with serving(folder) as check:
            wait_until_ready(settings, check, tell)
            clock.lap("start the node")
            refused = _send(settings, [path for paths in files.values() for path in paths], tell)
            clock.lap("send")
            endings = _follow(settings, files, tell, check)
            clock.lap("until the last result")
    received = tuple(sorted(folder.received.iterdir()))
    return DemoRun(endings, received, refused, clock.laps)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._at = round(now - self._at, 2), now


def _studies(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise ConfigurationError(f"--study {folder}: there is no such folder")
    found = _studies_of(sorted(path for path in folder.rglob("*") if path.is_file()))
    if not found:
        raise ConfigurationError(f"--study {folder}: holds no DICOM file")
    return found


def _studies_of(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The DICOM files among these, by Study Instance UID."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        with suppress(InvalidDicomError, OSError, EOFError, ValueError):
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
            directory = header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
            if not directory and header.get("StudyInstanceUID"):
                found.setdefault(str(header.StudyInstanceUID), []).append(path)
    return found


def _settings(folder: DemoFolder, pacs_port: int, device: str) -> Settings:
    values = {
        "data_folder": folder.data,
        "listener": {"ae_title": NODE, "port": _free_port(), "allow": [{"ae_title": SENDER, "host": "127.0.0.1"}]},
        "completeness": {"quiet_period_s": QUIET_PERIOD_S, "no_result_after_s": QUIET_PERIOD_S},
        "worker": {"bundle": folder.bundle, "device": device},
        "destinations": [{"name": "pacs", "ae_title": pacs.AE_TITLE, "host": "127.0.0.1", "port": pacs_port}],
        "web": {"enabled": False},
        "log": {"format": "console"},
    }
    return anchored(Settings.model_validate(json.loads(json.dumps(values, default=str))), folder.root)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _send(settings: Settings, files: Sequence[Path], tell: Tell) -> tuple[str, ...]:
    """C-STORE everything; what was refused, with reasons. Raises ConfigurationError when nothing was taken."""
    peer = Peer(NODE, "127.0.0.1", settings.listener.port, SENDER, None)
    refused = []
    tell("sends the study by C-STORE", 0, len(files))
    for number, outcome in enumerate(send(peer, files, timeout_s=30), 1):
        if not outcome.accepted:
            refused.append(f"{outcome.path.name}: {outcome.text}")
        tell("sends the study by C-STORE", number, len(files))
    if len(refused) == len(files):
        raise ConfigurationError(f"the node took none of the {len(files)} files; the first: {refused[0]}")
    return tuple(refused)


def _follow(
    settings: Settings, files: Mapping[str, Sequence[Path]], tell: Tell, check: Callable[[], None]
) -> dict[str, JobFacts]:
    folder = DataFolder(settings.data_folder)
    db = open_database(folder)
    try:
        return {uid: follow(folder, db, uid, tell, check, STUDY_TIMEOUT_S) for uid in files}
    finally:
        db.close()
