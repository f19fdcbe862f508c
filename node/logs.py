"""Structured log on standard error, one line an event; ids only, never patient data.

What a library says is not ours to trust: pydicom's warnings and the messages of its exceptions quote the values of data
elements, so a foreign record keeps its logger, level and place, and its text is withheld. Exceptions are logged as type
and frames; their text only when the type is one of ours. Control characters cannot forge a line or drive a terminal.
"""

import logging
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from node.config import Log
from node.log_sink import Sink

OURS = ("node", "model", "storage")
CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def safe_text(error: BaseException) -> str:
    """The error for people, without the text of foreign exceptions, which may quote a data set.

    >>> safe_text(ValueError("Invalid value for VR DA: 'SECRET'"))
    'ValueError'
    """
    name = type(error).__name__
    if type(error).__module__.partition(".")[0] in OURS:
        return str(error).translate(CONTROL) or name
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{name} in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else name


def configure(settings: Log, process: str) -> None:
    """Send this process's log to standard error; `process` stands in each line.

    Nothing waits for a reader of the log (node/log_sink.py). A stream that was put in the place of standard error is
    written to at once.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[
            *_shared(process),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = Sink(process) if sys.stderr is sys.__stderr__ else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings, process))
    handler.addFilter(_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.raiseExceptions = False  # a full disk behind standard error never fails a store
    logging.captureWarnings(capture=True)
    _quieten()
    sys.excepthook = _last_words
    threading.excepthook = lambda failed: _last_words(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _shared(process: str) -> list[structlog.typing.Processor]:
    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**event, "process": process}

    return [
        structlog.contextvars.merge_contextvars,
        name_process,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_values,
        _without_control_characters,
    ]


def _formatter(settings: Log, process: str) -> logging.Formatter:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if settings.format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=[_withheld, *_shared(process)],
    )


def _worth_a_line(record: logging.LogRecord) -> bool:
    return isinstance(record.msg, dict) or record.levelno >= logging.WARNING


def _quieten() -> None:
    """Libraries that log every element or every run: their warnings would bury ours."""
    for name in ("pynetdicom", "pydicom", "highdicom", "py.warnings", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _withheld(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    if record.name.partition(".")[0] in OURS:
        return event
    place = f"{record.filename}:{record.lineno}"
    return {**event, "event": "a library's message, withheld", "logger": record.name, "place": place}


def _exception_without_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    error: Any = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = f"{type(error).__name__}: {safe_text(error)}"
        event["frames"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
    return event


def _without_control_characters(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: value.translate(CONTROL) if isinstance(value, str) else value for key, value in event.items()}


def _last_words(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("this process ends with an unexpected error", exc_info=(kind, error, trace))
