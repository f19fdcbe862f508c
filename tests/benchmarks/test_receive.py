"""Instances a second from one storescu over one association, into our listener and into DCMTK's storescp, in turns.

Ours makes each instance durable (file synced, folder synced, row committed and synced) before it answers; storescp does
not sync at all. So the same is measured without storing, and the storing without a network: their sum is the whole.

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
from pydicom.uid import generate_uid

from node.dicom import part10
from node.dicom.received import Received
from node.dimse.status import Status
from node.receive import intake
from storage import DataFolder, open_database
from tests import factories, peers

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUNDS = int(os.environ.get("NEUROSSL_BENCHMARK_ROUNDS", "3"))
SERIES, SLICES = 3, 60
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


def rate(port: int, study: list[Path], *, nagle: bool = False) -> float:
    """Instances a second of one storescu."""
    options = ["-aet", "TESTER", "-aec", "NEUROSSL", "+sd", "+r"]
    started = perf_counter()
    done = peers.in_netns(
        [peers.program("storescu"), *options, "127.0.0.1", str(port), study[0].parents[1]],
        env=peers._environment(nagle),
    )
    taken = perf_counter() - started
    assert done.returncode == 0, done.stderr
    return len(study) / taken


def rate_of_storing(folder: Path, study: list[Path]) -> float:
    """Instances a second of file and row alone, as the listener stores them."""
    data_folder = DataFolder(folder)
    db = open_database(data_folder)
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
        status = intake.receive(data_folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)
        assert status is Status.SUCCESS
    taken = perf_counter() - started
    db.close()
    return len(study) / taken


def test_one_association_is_received_about_as_fast_as_it_is_made_durable(study: list[Path], tmp_path: Path) -> None:
    rates: dict[str, list[float]] = defaultdict(list)
    with peers.loopback_only():
        for number in range(ROUNDS):
            folder = tmp_path / str(number)
            with listener_process(folder / "ours") as port:
                rates["ours, durable"].append(rate(port, study))
            with listener_process(folder / "forgets", store=False) as port:
                rates["ours, nothing stored"].append(rate(port, study))
            with peers.storescp(folder, nagle=False) as scp:
                rates["storescp, nothing synced"].append(rate(scp.port, study))
            rates["storing alone, no network"].append(rate_of_storing(folder / "alone", study))
    middle = {name: median(values) for name, values in rates.items()}
    sys.stdout.write(f"\n{len(study)} instances of {study[0].stat().st_size} bytes, {ROUNDS} rounds, median\n")
    for name, value in middle.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        sys.stdout.write(f"{name:28} {value:6.0f} /s  {1000 / value:6.2f} ms  ({spread})\n")
    whole = 1 / middle["storing alone, no network"] + 1 / middle["ours, nothing stored"]
    assert middle["ours, durable"] > 0.5 / whole
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
