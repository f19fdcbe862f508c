"""What it costs to deliver the results of one study to Orthanc and storescp as Debian ships them, Nagle on.

The report, the summary page and 12 slices with heat maps go as the node sends them: from files, captures first, over
one association. The bound is a ratio within this run: against DCMTK's own storescu, which sends the same files.

    pytest -s tests/benchmarks/test_delivery.py
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.dimse.scu import Peer, send
from tests import peers, reports
from tests.factories import mr_series

ROUNDS, SLOWEST = 5, 1.5

pytestmark = pytest.mark.peers


def test_delivery_takes_no_longer_than_storescu(tmp_path: Path) -> None:
    files = _results(tmp_path / "results")
    storescu = peers.program("storescu")
    with peers.loopback_only(), peers.storescp(tmp_path) as scp, peers.orthanc(tmp_path) as pacs:
        for name, title, port in (("storescp", scp.ae_title, scp.port), ("Orthanc", "ORTHANC", pacs.port)):
            peer = Peer(title, "127.0.0.1", port)
            command = [storescu, "-xy", "-aec", title, "127.0.0.1", str(port), *files]

            def ours(peer: Peer = peer) -> None:
                assert all(outcome.accepted for outcome in send(peer, files, 30))

            def theirs(command: list[str | Path] = command) -> None:
                subprocess.run(command, check=True, capture_output=True)

            mine, other = _median(ours), _median(theirs)
            sys.stderr.write(f"\nto {name}: {len(files)} results in {mine:.3f} s; storescu {other:.3f} s\n")
            assert mine < SLOWEST * other


def _results(folder: Path) -> list[Path]:
    series = mr_series(slices=192, rows=256, columns=256)
    folder.mkdir()
    built = reports.build(series, reports.prediction(series), reports.context(captures=12))
    paths = [folder / f"{number:02}.dcm" for number in range(len(built))]
    for path, each in zip(paths, built, strict=True):
        path.write_bytes(each.content)
    return paths


def _median(action: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        took.append(time.perf_counter() - started)
    return statistics.median(took)
