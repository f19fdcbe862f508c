"""What the ways out have in common: how long they wait, how they fail, and whom they trust."""

import ssl
from pathlib import Path
from typing import Protocol

from node.errors import ConfigurationError, Transient
from node.notify.notice import Message

TIMEOUT_S = 10.0  # of each step


class Untold(Transient):
    """A channel did not take a message; the text holds no secret and nothing that the other side said."""


class Way(Protocol):
    """One way out."""

    def tell(self, message: Message) -> None:
        """Hand it over. Raises Untold, ConfigurationError."""


def trusted(authorities: Path | None) -> ssl.SSLContext:
    """Certificates and host names are checked, against these authorities or the system's. Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no certificates"
        raise ConfigurationError(f"notifications: {authorities}: cannot be used: {reason}") from None
