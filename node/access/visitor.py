"""Who asks, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Each may do what the ones before it may."""

    READ = "read"  # look
    OPERATE = "operate"  # retry, cancel, prefer; a reader's word
    ADMIN = "admin"  # withdraw, pause, drain

    def covers(self, wanted: "Role") -> bool:
        """Whether who has this role may do what `wanted` may.

        >>> Role.OPERATE.covers(Role.READ), Role.OPERATE.covers(Role.ADMIN)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(wanted)


@dataclass(frozen=True)
class Visitor:
    """Who asks: a name for the audit trail, and a role."""

    name: str
    role: Role
    session: bool = False  # they logged in here, and may log out

    def may(self, wanted: str) -> bool:
        """Whether they may do what this role may; for templates too."""
        return self.role.covers(Role(wanted))


ANYBODY_HERE = Visitor("this machine", Role.ADMIN)  # without authentication only loopback is served
