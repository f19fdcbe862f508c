"""`neurossl serve` for the length of a demo."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.config import Settings
from node.demo.folder import DemoFolder
from node.demo.follow import Tell, TooSlow
from node.errors import NodeError
from node.process.heartbeat import pulse
from storage import DataFolder

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
LOG_LINES = 12


class NodeEnded(NodeError):
    """The node ended by itself; the message has the end of its log."""


@contextmanager
def serving(folder: DemoFolder) -> Iterator[Callable[[], None]]:
    """The service for the length of the block; gives a function that raises NodeEnded when it is gone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSSL__")}
    command = [sys.executable, "-P", "-m", "node", "serve", "--config", str(folder.config)]
    with folder.log.open("wb") as log:
        service = subprocess.Popen(  # noqa: S603 - our own program
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )

    def check() -> None:
        if service.poll() is not None:
            lines = folder.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            raise NodeEnded("\n".join([f"the node ended with exit code {service.returncode}:", *lines]))

    try:
        yield check
    finally:
        service.terminate()
        try:
            service.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()


def wait_until_ready(settings: Settings, check: Callable[[], None], tell: Tell) -> None:
    """Until worker, office and listener say so. Raises TooSlow, and what `check` raises."""
    locks = DataFolder(settings.data_folder).path("locks")
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        signs = {role: pulse(locks, role) for role in ("worker-1", "office", "listener")}
        ready = sum(sign is not None and sign.state == "ready" for sign in signs.values())
        tell("starts the node", ready, len(signs))
        if ready == len(signs):
            return
        check()
        if time.monotonic() > deadline:
            raise TooSlow(f"the node was not ready after {START_TIMEOUT_S:g} s")
        time.sleep(0.1)
