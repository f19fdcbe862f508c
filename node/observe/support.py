"""What somebody who helps from afar needs to know, in one zip without patient data and without secrets.

    versions.json  configuration.json  health.json  processes.json  queue.json  events.jsonl  log.jsonl

Stored files, results and the outcomes of jobs stay here: they hold what a scanner or a person wrote about a patient.
So do the words with which an operator cancelled a job, and every line of the log that is not one of ours.
"""

import json
import os
import platform
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from node.config import load
from node.errors import ConfigurationError
from node.observe.health import of_configuration
from node.observe.jobs import plain
from node.observe.versions import versions
from node.process.heartbeat import pulse, pulses
from storage import Database, DataFolder, events, open_database, outbox, queue, studies
from storage.errors import StorageError
from storage.records import Event
from storage.states import JobState

MOST_EVENTS = 20_000
LONGEST_LOG_BYTES = 8 << 20
REMOVED = "removed"
OVERTAKEN = "overtaken"  # how the reason begins when a job was cancelled by the node itself
_SECRET = re.compile(r"key|password|passphrase|secret|token|credential", re.IGNORECASE)
_OWN_WORDS = ("when", "why")  # of selection.rules: they may quote a data set
_LOGIN = re.compile(r"//[^/@\s]*@")
_HTTP_PATH = re.compile(r"^(https?://[^/]+/).+")  # that of a webhook may hold a token


def write(config: Path, out: Path, now: datetime) -> list[str]:
    """Write the zip, which must not be there yet, and say what is in it. What cannot be found out says why instead.

    Raises FileExistsError, and OSError when the disk does not take it.
    """
    written = []
    with (
        os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle,
    ):
        for name, content in _contents(config, now):
            bundle.writestr(name, content)
            written.append(name)
    return written


def _contents(config: Path, now: datetime) -> Iterator[tuple[str, str]]:
    yield "versions.json", _json({**versions(), "platform": platform.platform(), "made_at": now.isoformat()})
    yield "health.json", _json([vars(fact) for fact in of_configuration(config)])
    try:
        settings = load(config)
    except ConfigurationError:
        return  # health.json says what is wrong with it
    folder = DataFolder(settings.data_folder)
    yield "configuration.json", _json(without_secrets(settings.model_dump(mode="json")))
    yield "processes.json", _json([{**vars(sign), "facts": dict(sign.facts)} for sign in _signs(folder)])
    yield "log.jsonl", "".join(_log(folder))
    yield "queue.json", _of_database(folder, _queue)
    yield "events.jsonl", _of_database(folder, _events)


def without_secrets(content: Any, name: str = "") -> Any:
    """The settings without keys, passwords and log-ins, and without the words of a site's own rules."""
    if isinstance(content, dict):
        return {key: without_secrets(value, key) for key, value in content.items()}
    if isinstance(content, list):
        return [without_secrets(each, name) for each in content]
    if content is not None and (name in _OWN_WORDS or _SECRET.search(name)):
        return REMOVED
    if not isinstance(content, str):
        return content
    return _LOGIN.sub(f"//{REMOVED}@", _HTTP_PATH.sub(rf"\g<1>{REMOVED}", content))


def _signs(folder: DataFolder) -> Any:
    return pulses(folder.root / "locks") if folder.root.is_dir() else ()


def _of_database(folder: DataFolder, ask: Callable[[Database], str]) -> str:
    if not folder.database.is_file():
        return _json("there is no database")
    try:
        db = open_database(folder)
        try:
            return ask(db)
        finally:
            db.close()
    except StorageError as error:
        return _json(f"{type(error).__name__}: {error}")


def _queue(db: Database) -> str:
    deliveries = {f"{destination} {state}": count for (destination, state), count in sorted(outbox.counts(db).items())}
    jobs = {str(state): count for state, count in queue.counts(db).items()}
    return _json({"jobs": jobs, "deliveries": deliveries, "studies received now": len(studies.receiving(db))})


def _events(db: Database) -> str:
    return "".join(
        json.dumps(plain(event) | {"reason": _reason(event)}) + "\n" for event in events.newest(db, MOST_EVENTS)
    )


def _reason(event: Event) -> str:
    """Why, without the words of an operator."""
    if event.after == JobState.CANCELLED and not event.reason.startswith(OVERTAKEN):
        return "cancelled by an operator"
    before, found, _ = event.reason.partition("cancelled: ")
    return f"{before}cancelled by an operator" if found else event.reason


def _log(folder: DataFolder) -> Iterator[str]:
    """The end of the log of the service that runs, where it goes to a file; lines of ours alone."""
    sign = pulse(folder.root / "locks", "service")
    path = Path(f"/proc/{sign.pid}/fd/2") if sign and sign.beats else None
    if path is None or not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_LOG_BYTES))
        for raw in file.read(LONGEST_LOG_BYTES).splitlines():
            line = raw.decode(errors="replace")
            if _is_ours(line):
                yield line + "\n"


def _is_ours(line: str) -> bool:
    try:
        content = json.loads(line)
    except ValueError:
        return False
    return isinstance(content, dict) and {"event", "process", "level", "timestamp"} <= content.keys()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, default=str) + "\n"
