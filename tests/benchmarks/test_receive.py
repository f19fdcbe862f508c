"""Instances a second from storescu into our listener, into Orthanc and into DCMTK's storescp, in turns.

Ours makes each instance durable (file and folder synced) before it answers, and writes its row behind the answer.
Orthanc syncs each file, storescp nothing. So the same is measured without storing, and the storing without a network:
their sum is the whole. Figures of one run are compared with each other alone: what else the machine does falls on all.

    pytest -s tests/benchmarks/test_receive.py
"""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node.dicom import part10
from node.dicom.received import Receipt, Received
from node.receive import intake
from node.receive.registrar import Registrar
from storage import Database, DataFolder, files, instances, open_database
from tests import factories, peers

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUNDS = int(os.environ.get("NEUROSSL_BENCHMARK_ROUNDS", "3"))
SERIES, SLICES = 4, 45
AE = "NEUROSSL"
PROCESS = Path(__file__).parents[1] / "integration" / "listener_process.py"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """180 MR instances of 256 x 256, 132 KB each."""
    folder = tmp_path_factory.mktemp("study")
    series = factories.mr_series(slices=SLICES, rows=256, columns=256)
    paths = []
    for number in range(SERIES):
        for each in series:
            each.SOPInstanceUID = generate_uid()
        paths += factories.write(series, folder / str(number))
    return paths


@contextmanager
def listener_process(folder: Path, *, store: bool = True) -> Iterator[int]:
    """Our listener in a process of its own; its port."""
    command = [sys.executable, str(PROCESS), str(folder), *([] if store else ["--forget"])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def rate(port: int, study: list[Path], *, nagle: bool = False, by_series: bool = False, called: str = AE) -> float:
    """Instances a second of one storescu, or of one for each series at the same time."""
    command = [peers.program("storescu"), "-aet", "TESTER", "-aec", called, "+sd", "+r", "127.0.0.1", str(port)]
    whole, series = study[0].parents[1], sorted({path.parent for path in study})
    started = perf_counter()
    senders = [
        subprocess.Popen([*command, folder], env=peers._environment(nagle), stderr=subprocess.PIPE)
        for folder in (series if by_series else [whole])
    ]
    failed = [told for sender in senders if (told := sender.communicate(timeout=60)[1], sender.returncode)[1]]
    taken = perf_counter() - started
    assert failed == []
    return len(study) / taken


def rate_of_storing(folder: Path, study: list[Path], *, behind: bool = True) -> float:
    """Instances a second of file and row alone, as the listener stores them, or with each row before its answer."""
    data_folder = DataFolder(folder)
    db = open_database(data_folder)
    files.make_room(data_folder)
    with Registrar(db, data_folder) as registrar:
        taken = seconds_of_storing(data_folder, db, registrar.note if behind else None, study)
    assert len(instances.of_study(db, dcmread(study[0]).StudyInstanceUID)) == len(study)
    db.close()
    return len(study) / taken


def seconds_of_storing(folder: DataFolder, db: Database, note: intake.Note | None, study: list[Path]) -> float:
    """Until all have their answers."""
    started = perf_counter()
    for path in study:
        meta = part10.read_meta(path)
        received = Received(
            "TESTER",
            "127.0.0.1",
            meta.sop_class_uid,
            meta.sop_instance_uid,
            meta.transfer_syntax_uid,
            iter(part10.data_set(path, meta.data_set_offset)),
        )
        now = datetime.now(UTC)
        receipt = intake.receive(folder, db, received, now, maximum_disk_use_percent=100, note=note)
        assert receipt is Receipt.STORED
    return perf_counter() - started


def test_one_association_is_received_about_as_fast_as_it_is_made_durable(study: list[Path], tmp_path: Path) -> None:
    rates: dict[str, list[float]] = defaultdict(list)
    with peers.loopback_only():
        for number in range(ROUNDS):
            folder = tmp_path / str(number)
            with listener_process(folder / "ours") as port:
                rates["ours, durable"].append(rate(port, study))
            with listener_process(folder / "ours four times") as port:
                rates["ours, durable, 4 senders"].append(rate(port, study, by_series=True))
            with peers.orthanc(folder, nagle=False) as pacs:
                rates["Orthanc, file synced"].append(rate(pacs.port, study, called=pacs.ae_title))
            with listener_process(folder / "forgets", store=False) as port:
                rates["ours, nothing stored"].append(rate(port, study))
            with peers.storescp(folder, nagle=False) as scp:
                rates["storescp, nothing synced"].append(rate(scp.port, study))
            rates["storing alone, no network"].append(rate_of_storing(folder / "alone", study))
            rates["storing alone, row at once"].append(rate_of_storing(folder / "at once", study, behind=False))
    middle = {name: median(values) for name, values in rates.items()}
    sys.stdout.write(f"\n{len(study)} instances of {study[0].stat().st_size} bytes, {ROUNDS} rounds, median\n")
    for name, value in middle.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        sys.stdout.write(f"{name:28} {value:6.0f} /s  {1000 / value:6.2f} ms  ({spread})\n")
    whole = 1 / middle["storing alone, no network"] + 1 / middle["ours, nothing stored"]
    assert middle["ours, durable"] > 0.5 / whole
    assert middle["storing alone, no network"] > 1.2 * middle["storing alone, row at once"]
    assert middle["ours, durable, 4 senders"] > middle["ours, durable"]
    assert middle["ours, nothing stored"] > 0.25 * middle["storescp, nothing synced"]


def test_a_sender_as_debian_ships_it_is_not_slowed_down_by_us(study: list[Path], tmp_path: Path) -> None:
    """With Nagle's algorithm on at both ends storescp takes 22 instances a second."""
    with peers.loopback_only():
        with listener_process(tmp_path, store=False) as port:
            ours = rate(port, study, nagle=True)
        with peers.storescp(tmp_path, nagle=True) as scp:
            theirs = rate(scp.port, study, nagle=True)
    sys.stdout.write(f"\nNagle on, nothing stored: ours {ours:.0f} /s, storescp {theirs:.0f} /s\n")
    assert ours > 3 * theirs
