"""One line about the node, as `neurossl check` writes it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fact:
    """One line."""

    name: str
    level: Literal["ok", "warning", "trouble"]
    text: str
