"""An operator's pause as the listener keeps it: no instance is taken (0xA700), or nobody new is let in (2/3/1).

Both tell a sender to come again later, and what is acknowledged already stays.
"""

from collections.abc import Callable, Mapping

import structlog

from node.dicom.received import Receipt, Received
from node.dimse.admission import Admission
from storage import Database, switches
from storage.errors import StorageError
from storage.records import SwitchName

log = structlog.get_logger()


class Valve:
    """Looks into the database now and then; between two looks it stays as it is."""

    def __init__(self, db: Database, admission: Admission) -> None:
        """Open, until the first look."""
        self._db = db
        self._admission = admission
        self.held_up: Mapping[str, str] = {}  # what is, and why

    @property
    def is_shut(self) -> bool:
        """Whether instances are refused."""
        return not self.held_up.keys().isdisjoint((SwitchName.INTAKE, SwitchName.DRAIN))

    def look(self) -> None:
        """Find out what an operator wants."""
        try:
            on = switches.on(self._db)
        except StorageError as error:
            log.warning("nobody knows what an operator holds up", reason=str(error))
            return
        found = {str(name): each.words for name, each in on.items()}
        if found != self.held_up:
            log.info("held up by an operator", **{name: found.get(name, "goes on") for name in {*found, *self.held_up}})
        self.held_up = found
        self._admission.is_drained = SwitchName.DRAIN in found

    def through(self, store: Callable[[Received], Receipt], received: Received) -> Receipt:
        """The answer to one C-STORE."""
        return Receipt.NO_ROOM if self.is_shut else store(received)
