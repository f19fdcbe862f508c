"""What must survive a power cut: received instances, the job queue, results and their deliveries.

One data folder holds files (written once, never changed) and one SQLite database. Several processes use both at the
same time. Nothing here knows torch or pydicom, and nothing here identifies a patient. Records, states
and errors are there without SQLAlchemy.

Invariants, and where each is held:

1.  A file is durable before its row and before the acknowledgement: written whole, renamed, data and folder synced
    (`files`). The row is one transaction with `synchronous=FULL` (`backends.sqlite`), which may come after the
    acknowledgement and hold many (`instances.register_all`): a file says all that its rows say.
2.  The same instance twice is one row (`instances.register`); a UID never has two contents: the first is kept.
3.  A state changes only in `moves`, along the tables of `states`, and leaves an event with its reason. Events are only
    added; the database itself refuses to change them, and lets them go only after their study went (`schema`).
4.  One job for a revision of a study, at most one of a study waiting (`schema`). The claim counts the attempt; a worker
    writes only under its own lease (`queue`, `outbox.complete`). A study has one answer that stands, at most, and one
    that is kept (`schema`); what is kept is sent to nobody (`answers`).
5.  Results, their deliveries and the state of their job are one transaction (`outbox.complete`). A result is sent at
    most once at a time to a destination, in the order of its ordinals, and counts as sent only when acknowledged.
6.  A crash between any two steps leaves one of: a leftover in `tmp/`, a file without a row (`files.orphans`, to be
    registered before anything new is taken, as it may be acknowledged; a torn one is put aside), a row
    under a lease (`queue.release`), a delivery that says `sending` (`outbox.release`), a deleted row whose file is
    noted as doomed (`files.sweep`). Each is put right without an operator, and none loses what was acknowledged.
7.  An empty database beside stored files is refused (`open_database`), unless the caller asks to rebuild it from the
    files. Whoever has the database open, and each process of the node, uses the folder; who rebuilds has it alone
    (`folder`).
8.  Nothing is deleted while its study is received, worked on or undelivered; row first, file later (`retention`).
9.  Time is an argument, aware UTC, stored as microseconds since 1970. A clock that was set back freezes nothing
    (`due`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.engine import Database, open_database
    from storage.folder import DataFolder

__all__ = ["DataFolder", "Database", "open_database"]

_HOME = {"DataFolder": "folder", "Database": "engine", "open_database": "engine"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"storage.{_HOME[name]}"), name)
