"""Who may log in: names, roles and Argon2id hashes in a file of the data folder, which the pages read when it changes.

{"anna": {"role": "operate", "hash": "$argon2id$…"}}
"""

import json
import os
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from node.access.visitor import Role
from node.config import Settings
from node.errors import ConfigurationError, Permanent

FILE = "users.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SHORTEST, LONGEST = 10, 256  # characters of a password
AT_A_TIME = threading.BoundedSemaphore(2)  # each check takes 64 MiB and a core


class UserRefused(Permanent):
    """A user who cannot be added, changed or removed, and why."""


@dataclass(frozen=True)
class User:
    """One who may log in."""

    name: str
    role: Role
    hash: str


class Users:
    """The file, read again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        """It need not be there yet: then nobody may log in."""
        self._path = path
        self._hasher = PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_hex(16))
        self._read: tuple[tuple[int, int, int] | None, Mapping[str, User]] = (None, {})

    def all(self) -> Mapping[str, User]:
        """By name. Raises ConfigurationError when the file cannot be understood."""
        try:
            status = self._path.stat()
            identity = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._read[0] != identity:
                content = json.loads(self._path.read_text(encoding="utf-8"))
                self._read = (
                    identity,
                    {name: User(name, Role(each["role"]), each["hash"]) for name, each in content.items()},
                )
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{self._path}: is no file of users: {type(error).__name__}") from error
        return self._read[1]

    def who(self, name: str, password: str) -> User | None:
        """The user of this name and password; takes as long for a name that nobody has."""
        user = self.all().get(name)
        with AT_A_TIME:
            try:
                self._hasher.verify(user.hash if user else self._nobody, password[:LONGEST])
            except (VerificationError, InvalidHashError):
                return None
        return user

    def put(self, name: str, role: Role, password: str) -> None:
        """Add a user, or give one another role or password. Raises UserRefused."""
        if not NAME.fullmatch(name):
            raise UserRefused(f"{name!r} is no name: letters, digits and . _ @ -, up to 64")
        if not SHORTEST <= len(password) <= LONGEST:
            raise UserRefused(f"a password has {SHORTEST} to {LONGEST} characters")
        self._write({**self.all(), name: User(name, role, self._hasher.hash(password))})

    def remove(self, name: str) -> None:
        """Raises UserRefused."""
        if name not in self.all():
            raise UserRefused(f"there is no user {name!r}")
        self._write({key: user for key, user in self.all().items() if key != name})

    def _write(self, users: Mapping[str, User]) -> None:
        content = {user.name: {"role": user.role, "hash": user.hash} for user in users.values()}
        partial = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                json.dump(content, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            raise UserRefused(f"{self._path}: cannot be written: {error.strerror}") from error


def users_of(settings: Settings) -> Users:
    """Those of this configuration."""
    return Users(settings.web.users_file or settings.data_folder / FILE)
