"""Whether a destination answers C-ECHO: asked now and then, beside what is sent, and what came of it is kept."""

from datetime import UTC, datetime

import structlog

from node.config import Destination, Settings
from node.deliver.courier import is_held_up
from node.dimse import scu
from node.dimse.requestor import peer_of
from storage import Database, tallies

log = structlog.get_logger()

ANSWERS_WITHIN_S = 5.0  # each step: a stop of the office waits for it


class Verification:
    """Asks one destination."""

    def __init__(self, destination: Destination, settings: Settings, db: Database) -> None:
        """Nothing is asked yet."""
        self.name = destination.name
        self.trouble = ""  # why the last C-ECHO was not answered
        self.is_down: bool | None = None  # whether nobody is there; None while nobody was asked
        self._peer = peer_of(destination, settings)
        self._timeout_s = min(settings.delivery.timeout_s, ANSWERS_WITHIN_S)
        self._db = db

    def ask(self) -> None:
        """Once; a peer that answers otherwise, by a rejection, is there all the same."""
        if is_held_up(self._db):
            return
        found = scu.echo(self._peer, self._timeout_s)
        trouble = "" if found.answered else found.text
        if self.is_down is None or trouble != self.trouble:
            log.info("destination asked by C-ECHO", destination=self.name, answered=found.answered, reason=found.text)
        self.trouble, self.is_down = trouble, not found.answered and not found.answers_otherwise
        now, labels = datetime.now(UTC), {"destination": self.name}
        outcome = "answered" if found.answered else "unanswered"
        tallies.add(self._db, [("destination_echoes", {**labels, "outcome": outcome}, 1)], now)
        if found.answered and found.seconds is not None:
            tallies.measure(self._db, "destination_echo_s", labels, found.seconds, now)
