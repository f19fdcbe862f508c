"""`neurossl serve`: starts listener, worker, office and pages as processes, restarts what dies, stops them in order.

    service ─┬─ worker-1 … worker-N   watchdog, and its child that holds torch (node/work/watchdog.py)
             ├─ office                completeness, delivery, housekeeping (node/service/office.py)
             ├─ listener              the Storage SCP (node/service/listener.py)
             └─ web                   the pages for the browser (node/web/server.py)

The workers start first and the listener after them, so that nothing listens before the bundle and the device have been
found to be what the configuration says. It stops the other way round: the door first, and the pages last. Each child
gets the settings on standard input and keeps them over its restarts, and ends when that pipe closes, which it does when
this process dies (node/process/spawn.py).
"""

import threading
import time
from dataclasses import dataclass

import structlog

from node.config import Settings
from node.errors import Permanent
from node.observe.audit import note_configuration, trail_of
from node.process.hardening import CONFIGURATION_EXIT, RestartDelay
from node.process.heartbeat import STALE_S, forget_the_dead, pulse
from node.process.notify import ALIVE, READY, STOPPING, notify, reloading
from node.process.spawn import ChildProcess
from node.service.upkeep import Reload, Seat, Upkeep, sweep_unfinished
from storage import DataFolder

log = structlog.get_logger()

TICK_S = 0.2
HUNG_AFTER_S = 2 * STALE_S
START_WITHIN_S = 300.0


class StartFailed(Permanent):
    """A process of the service did not start, and has said why."""

    def __init__(self, message: str, exit_code: int) -> None:
        """`exit_code` is for the whole service."""
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Role:
    """One process of the service."""

    name: str
    command: str  # of the command line
    settled: tuple[str, ...]  # the states in which it has proved that its part of the configuration holds

    @property
    def module(self) -> tuple[str, ...]:
        """What its process runs: a part of the command line, which then waits for its settings."""
        return "node", self.command, "--supervised", self.name


def roles(settings: Settings) -> tuple[Role, ...]:
    """What runs, in the order of starting."""
    workers = (Role(f"worker-{number}", "work", ("ready",)) for number in range(1, settings.worker.count + 1))
    pages = (Role("web", "web", ("ready",)),) if settings.web.enabled else ()
    return (*workers, Role("office", "office", ("ready",)), Role("listener", "listen", ("ready",)), *pages)


class Supervised:
    """A role of the service, and the process that plays it: started again after a growing delay when it ends."""

    def __init__(self, role: Role, settings: Settings, folder: DataFolder) -> None:
        """Nothing runs before `start`."""
        self.role = role
        self.settings = settings
        self._folder = folder
        self._delay = RestartDelay()
        self._start_again_at_s: float | None = None
        self._process: ChildProcess | None = None

    def start(self) -> None:
        """Start the process; it loads its libraries, and then waits for `go`."""
        self._process = ChildProcess(*self.role.module)
        self._start_again_at_s = None

    def go(self) -> None:
        """Give it its settings."""
        if self._process:
            self._process.configure(self.settings)

    @property
    def pid(self) -> int:
        """Of the process that was started last; 0 before."""
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """Of the process; None while it runs or has not been started."""
        return self._process.exit_code if self._process else None

    @property
    def settled(self) -> bool:
        """Whether the running process has said that it is in order."""
        sign = pulse(self._folder.path("locks"), self.role.name)
        return bool(sign and self._process and sign.pid == self._process.pid and sign.state in self.role.settled)

    def look_after(self, now_s: float) -> None:
        """Start it again if it died, and kill it if it has stopped showing signs of life."""
        if self._start_again_at_s is not None:
            if now_s >= self._start_again_at_s:
                self.start()
                self.go()
        elif self._process is not None:
            self._look_at(self._process, now_s)

    def _look_at(self, process: ChildProcess, now_s: float) -> None:
        lived_s, code = now_s - process.started_at_s, process.exit_code
        if code is not None:
            process.kill()
            delay_s = self._delay.after(lived_s)
            self._start_again_at_s = now_s + delay_s
            log.error("process ended", role=self.role.name, exit_code=code, restart_in_s=delay_s)
        elif lived_s > HUNG_AFTER_S and not self._shows_life():
            log.error("process hangs, killed", role=self.role.name)
            process.kill()

    def _shows_life(self) -> bool:
        sign = pulse(self._folder.path("locks"), self.role.name)
        return sign is not None and sign.age_s < HUNG_AFTER_S

    def ask_to_stop(self) -> None:
        """SIGTERM, and no restart from here on."""
        self._start_again_at_s = float("inf")
        if self._process:
            self._process.terminate()

    def wait(self, timeout_s: float) -> None:
        """Wait for its end, and kill it when that does not come in time."""
        if self._process is None:
            return
        if self._process.wait(timeout_s) is None:
            log.warning("process did not stop in time, killed", role=self.role.name, timeout_s=timeout_s)
        self._process.kill()


def serve(settings: Settings, stop: threading.Event, reload: Reload | None = None) -> None:
    """Run the service until `stop`; `reload` says when to go on with other settings.

    Raises StartFailed when one of its processes does not start, ProgramReplaced, and storage.errors.FolderInUse when
    another service has this data folder.
    """
    folder = DataFolder(settings.data_folder)
    with Seat(folder) as heart, trail_of(settings, "service") as trail:
        note_configuration(trail, settings)
        forget_the_dead(folder.path("locks"))
        sweep_unfinished(folder)
        upkeep, children = Upkeep(), _children(settings, folder)
        try:
            _start(children, heart, stop)
            if not stop.is_set():
                listener = settings.listener
                log.info("serving", ae_title=listener.ae_title, host=listener.host, pages=_address(folder))
                notify(READY)
            while not stop.wait(TICK_S):
                heart.beat()
                upkeep.round({child.pid for child in children})
                for child in children:
                    child.look_after(time.monotonic())
                if reload is not None and (wanted := reload.wanted()) is not None:
                    note_configuration(trail, wanted)
                    children = _go_on_with(wanted, children, settings, heart, stop)
                    settings = children[0].settings
        finally:
            notify(STOPPING)
            heart.beat("stopping")
            stop_in_order(children, settings.stop_timeout_s, heart)
            log.info("stopped")


def _address(folder: DataFolder) -> str | None:
    """Where a browser finds the pages; None when they are not served."""
    sign = pulse(folder.path("locks"), "web")
    return sign.facts.get("address") if sign and sign.beats else None


def _children(settings: Settings, folder: DataFolder) -> list[Supervised]:
    return [Supervised(role, settings, folder) for role in roles(settings)]


def _go_on_with(
    wanted: Settings, children: list[Supervised], settings: Settings, heart: Seat, stop: threading.Event
) -> list[Supervised]:
    """The processes with other settings; with the old ones where they do not start with those."""
    folder = DataFolder(settings.data_folder)
    notify(reloading())
    log.info("settings reloaded: the processes are started anew")
    stop_in_order(children, settings.stop_timeout_s, heart)
    found = _children(wanted, folder)
    try:
        _start(found, heart, stop)
    except StartFailed as failed:
        log.error("the new settings do not work: the old ones hold", reason=str(failed))  # noqa: TRY400 - all is said
        stop_in_order(found, settings.stop_timeout_s, heart)
        found = _children(settings, folder)
        _start(found, heart, stop)
    notify(READY)
    return found


def _start(children: list[Supervised], heart: Seat, stop: threading.Event) -> None:
    """All processes load side by side; then the workers go, then the others, each when what went before has settled."""
    workers = [child for child in children if child.role.command == "work"]
    for child in children:
        child.start()
    for group in (workers, *([child] for child in children if child not in workers)):
        deadline_s = time.monotonic() + START_WITHIN_S
        for child in group:
            child.go()
        while not stop.is_set() and not all(child.settled for child in group):
            heart.beat("starting")
            notify(ALIVE)
            for child in group:
                _check_start(child, deadline_s)
            stop.wait(TICK_S / 4)


def _check_start(child: Supervised, deadline_s: float) -> None:
    code = child.exit_code
    if code is not None:
        exit_code = CONFIGURATION_EXIT if code == CONFIGURATION_EXIT else 1
        raise StartFailed(f"nothing runs: the {child.role.name} process did not start, for the reason above", exit_code)
    if time.monotonic() > deadline_s:
        raise StartFailed(f"nothing runs: the {child.role.name} process was not ready within {START_WITHIN_S:g} s", 1)


def stop_in_order(children: list[Supervised], timeout_s: float, heart: Seat) -> None:
    """The listener first, so that nothing new is acknowledged, then the workers, the office, and the pages."""
    order = {"listen": 0, "work": 1, "office": 2, "web": 3}
    for rank in order.values():
        group = [child for child in children if order[child.role.command] == rank]
        for child in group:
            child.ask_to_stop()
        deadline = time.monotonic() + timeout_s
        for child in group:
            heart.beat("stopping")
            notify(ALIVE)
            child.wait(max(0.1, deadline - time.monotonic()))
