"""Secrets are read when they are used, and kept nowhere."""

import os
from pathlib import Path

from node.errors import ConfigurationError


def secret(place: str, key: str = "notifications") -> str:
    """What lies at this place (`file:PATH` or `env:VARIABLE`), without the line end. `key` is whose it is.

    Raises ConfigurationError.
    """
    kind, _, where = place.partition(":")
    try:
        found = Path(where).read_text(encoding="utf-8") if kind == "file" else os.environ.get(where, "")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise ConfigurationError(f"{key}: {where}: cannot be read: {reason}") from None
    if not found.strip():
        raise ConfigurationError(f"{key}: {where}: there is no secret")
    return found.rstrip("\r\n")
