"""`neurossl rebuild` puts the database aside: never beside a process that works with it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.process.heartbeat import pulse
from storage import Database
from tests import stored
from tests.destination import wait_until
from tests.services import SLOW_START_S, Service

HEAD = """
import sys
from pathlib import Path
from node.config import load
from node.process.hardening import stop_on_signals
config = Path(sys.argv[1])
settings, stop = load(config), stop_on_signals()
"""

PROCESSES = {
    "listener": "from node.service.listener import listen; listen(settings, stop)",
    "office": "from node.service.office import run_office; run_office(settings, stop)",
    "worker-1": "from node.work.watchdog import work; work(settings, stop, 'worker-1')",
    "worker-2": "from node.work.watchdog import work; work(settings, stop, 'worker-2')",
    "service": (
        "from node.service import supervisor; supervisor.roles = lambda _: (); supervisor.serve(settings, stop)"
    ),
}


@pytest.fixture
def node(db: Database, bundle: Path, tmp_path: Path) -> Service:
    """A data folder with one instance; nothing runs on it, and its database is closed."""
    stored.received(db)
    db.close()
    return Service(tmp_path, bundle, None)


@contextmanager
def running(node: Service, code: str, is_there: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """One process of the node, alone, once it is there; asked to stop at the end."""
    with node.log.open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", HEAD + code, str(node.config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_there() or process.poll() is not None, "the process", SLOW_START_S)
        assert process.poll() is None, node.log.read_text()
        yield process
    finally:
        process.terminate()
        assert process.wait(40) == 0, node.log.read_text()


def has_settled(node: Service, role: str) -> bool:
    """Whether it does its rounds: then it has opened what it works with."""
    sign = pulse(node.folder.path("locks"), role)
    return sign is not None and (sign.state == "ready" or bool(sign.facts))


@pytest.mark.parametrize("role", PROCESSES)
def test_a_rebuild_beside_any_process_of_the_node_is_refused_with_its_name(node: Service, role: str) -> None:
    with running(node, PROCESSES[role], lambda: has_settled(node, role)) as process:
        refused = node.command("rebuild")
        assert refused.returncode == 1
        assert f"in use by {role} (process {process.pid})" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert list(node.folder.root.glob("neurossl.sqlite.*Z")) == []


def test_a_rebuild_beside_a_command_that_has_the_database_open_is_refused(node: Service, tmp_path: Path) -> None:
    there = tmp_path / "there"
    code = f"from node.cli.queue import database\nwith database(config): Path({str(there)!r}).touch(); stop.wait()"
    with running(node, code, there.exists):
        refused = node.command("rebuild")
        assert refused.returncode == 1
        assert "in use by a command that has the database open" in refused.stderr


def test_a_rebuild_beside_nobody_goes_ahead(node: Service) -> None:
    done = node.command("rebuild")
    assert done.returncode == 0, done.stderr
    assert len(list(node.folder.root.glob("neurossl.sqlite.*Z"))) == 1


@pytest.mark.parametrize("role", ["listener", "office", "worker-2", "service"])
def test_no_process_starts_while_a_rebuild_is_under_way(node: Service, role: str) -> None:
    with node.folder.alone():
        command = [sys.executable, "-c", HEAD + PROCESSES[role], str(node.config)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "has it for itself, to rebuild it" in refused.stderr
