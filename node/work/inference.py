"""The worker's child: holds torch and the bundle, decodes what strangers sent, and works on one task after the other.

Reads its settings and its tasks from standard input and answers on standard output, one JSON object a line
(`messages`). Whatever a library prints goes to standard error. It ends with its parent, and by itself after an error
that nobody foresaw: the next process starts clean, which is what a poisoned CUDA context needs (fault F24).
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import structlog

from model import Bundle, Predictor
from model.errors import BundleError, DeviceError
from node import logs
from node.config import Settings, Worker
from node.errors import ConfigurationError, NodeError
from node.logs import safe_text
from node.process.hardening import CONFIGURATION_EXIT, die_with_parent, first_to_go, harden
from node.retry import RETRY_FOREVER, GiveUp, decide
from node.work.analysis import Analysis
from node.work.messages import Device, Failed, Line, Progress, Ready, Task
from storage import DataFolder
from storage.errors import StorageError

log = structlog.get_logger()

CLEAN_START_EXIT = 3
PROGRESS_EVERY_S = 0.2
IDLE_S = 10.0  # so often the device is looked at while there is nothing to do


def main() -> None:
    """Run until standard input ends."""
    die_with_parent(os.getppid())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # meant for the watchdog, which decides whether the job may end
    harden()
    first_to_go()
    channel = _own_channel()
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    logs.configure(settings.log, "inference")
    try:
        predictor, ready = load(settings.worker)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(CONFIGURATION_EXIT)
    channel.write(ready.encoded())
    folder = DataFolder(settings.data_folder)
    tell_device = partial(_tell_device, predictor, channel)
    tell_device()
    while line := _next_line(tell_device):
        answer = work_on(Task.model_validate_json(line), settings, folder, predictor, channel)
        channel.write(answer.encoded())
        tell_device()
        if isinstance(answer, Failed) and answer.clean_start:
            sys.exit(CLEAN_START_EXIT)


def load(worker: Worker) -> tuple[Predictor, Ready]:
    """The predictor that the settings ask for. Raises ConfigurationError with one line per error."""
    began_s = time.perf_counter()
    if worker.bundle is None:
        raise ConfigurationError("worker.bundle: is not set; there is no model to work with")
    try:
        bundle = Bundle.load(worker.bundle)
        if not bundle.model_id.trained and not worker.allow_untrained_bundle:
            raise ConfigurationError(
                f"worker.bundle: {worker.bundle} is UNTRAINED; its numbers mean nothing. "
                "To try the node with it all the same, set worker.allow_untrained_bundle: true"
            )
        predictor = Predictor(bundle, worker.device, worker.precision, worker.threads)
    except BundleError as error:
        raise ConfigurationError(f"worker.bundle: {error}") from error
    except DeviceError as error:
        raise ConfigurationError(f"worker.device: {error}") from error
    ready = Ready(
        bundle=f"{bundle.model_id.name} {bundle.model_id.version}",
        sha256=bundle.model_id.sha256,
        trained=bundle.model_id.trained,
        device=str(predictor.device),
        engine=predictor.engine_name,
        precision=str(predictor.precision),
        load_s=round(time.perf_counter() - began_s, 3),
    )
    return predictor, ready


def work_on(task: Task, settings: Settings, folder: DataFolder, predictor: Predictor, channel: BinaryIO) -> Line:
    """Analysed, or Failed with the decision what to do next."""
    structlog.contextvars.bind_contextvars(job_id=task.job_id)
    teller = Teller(channel, partial(_tell_device, predictor, channel))
    analysis = Analysis(task, settings, folder, predictor, teller)
    try:
        return analysis.run()
    except Exception as error:  # noqa: BLE001 (the job must end in a state, whatever a library raised)
        return _failed(error, task, settings, analysis)


def _failed(error: Exception, task: Task, settings: Settings, analysis: Analysis) -> Failed:
    foreseen = isinstance(error, NodeError | StorageError)
    if not foreseen:
        log.error("an error that nobody foresaw", exc_info=error)
    said = f"{type(error).__name__}: {safe_text(error)}"
    outcome = analysis.outcome.model_copy(update={"error": said})
    decision = decide(error, task.attempt, settings.worker)
    if isinstance(decision, GiveUp):
        return Failed(decision="give up", reason=decision.reason, outcome=outcome, clean_start=not foreseen)
    return Failed(
        decision="hold" if isinstance(error, RETRY_FOREVER) else "retry",
        reason=decision.reason,
        delay_s=decision.delay_s,
        outcome=outcome,
        clean_start=not foreseen,
    )


class Teller:
    """Tells the watchdog of each new stage at once, and of its steps now and then."""

    def __init__(self, channel: BinaryIO, tell_device: Callable[[], None]) -> None:
        """`channel` is the watchdog's; `tell_device` says there how full the device is."""
        self._channel = channel
        self._tell_device = tell_device
        self._stage = ""
        self._told_at_s = 0.0

    def __call__(self, stage: str, done: int, of: int) -> None:
        """So far."""
        now_s = time.monotonic()
        if stage != self._stage or now_s - self._told_at_s >= PROGRESS_EVERY_S:
            self._stage, self._told_at_s = stage, now_s
            self._channel.write(Progress(stage=stage, done=done, of=of).encoded())
            self._tell_device()


def _next_line(idle: Callable[[], None]) -> bytes:
    """The next line of standard input, b"" at its end; `idle` is called now and then while none comes.

    The watchdog sends a task only when the one before is answered, so nothing waits in the buffer.
    """
    while not select.select([sys.stdin], [], [], IDLE_S)[0]:
        idle()
    return sys.stdin.buffer.readline()


def _tell_device(predictor: Predictor, channel: BinaryIO) -> None:
    """How full the device is; of a processor nothing is said."""
    memory = predictor.memory
    if memory is not None:
        device = Device(name=memory.device, used_mib=memory.used_bytes >> 20, total_mib=memory.total_bytes >> 20)
        channel.write(device.encoded())


def _own_channel() -> BinaryIO:
    """Standard output for us alone: what anything else prints there goes to standard error."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    main()
