"""What each process of the node does for itself: private files, no core dumps, an end with its parent, a clean stop.

A parent that is killed with -9 cannot stop its children. They notice by the end of file on standard input, which the
parent holds open and never writes to again after the first line; the kernel's parent-death signal backs that up for a
child that hangs in native code.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
OWN_CHANNEL = 0  # standard input
FOR_THE_SERVICE_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # of systemd
CONFIGURATION_EXIT = 2  # a setting is wrong: one line per error has been said, nothing has been started


def harden() -> None:
    """Files for this user only (fault F82), no core dumps with patient data (F90), all descriptors there are (F21)."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536, hard))


def environment_for_children() -> dict[str, str]:
    """Ours without the settings in it: children get their settings whole, and must not apply these a second time."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("NEUROSSL__") and name not in FOR_THE_SERVICE_ALONE
    }


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. A second SIGINT ends the process at once. SIGHUP is passed over."""
    stop = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            os._exit(130)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return stop


def reload_on_hangup() -> threading.Event:
    """An event that SIGHUP sets: a log was rotated, a terminal lost, or the settings are to be read again."""
    hangup = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: hangup.set())
    return hangup


def end_with_parent(on_lost: Callable[[], None]) -> None:
    """Call `on_lost` once the parent has closed its end of our standard input, which it also does by dying."""

    def watch() -> None:
        while os.read(OWN_CHANNEL, 4096):
            pass
        on_lost()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, of process id `parent`, ends. Only on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def first_to_go() -> None:
    """When memory runs out, the kernel takes this process before the others (fault F25)."""
    try:
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    except OSError:
        return


def stop_or_exit(stop: threading.Event, grace_s: float) -> None:
    """Ask this process to stop, and end it when it has not within `grace_s`."""
    stop.set()
    time.sleep(grace_s)
    os._exit(1)


class RestartDelay:
    """How long to wait before a process that ended is started again (fault F11).

    >>> delay = RestartDelay()
    >>> [delay.after(lived_s) for lived_s in (0.5, 0.5, 0.5, 3600, 0.5)]
    [1.0, 2.0, 4.0, 1.0, 2.0]
    """

    FIRST_S = 1.0
    LONGEST_S = 60.0

    def __init__(self) -> None:
        self._failures = 0

    def after(self, lived_s: float) -> float:
        """The delay in seconds; it doubles while the process does not live longer than the longest delay."""
        if lived_s > self.LONGEST_S:
            self._failures = 0
        self._failures += 1
        return min(self.LONGEST_S, self.FIRST_S * 2.0 ** min(self._failures - 1, 16))
