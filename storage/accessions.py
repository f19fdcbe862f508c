"""Accession numbers as keyed hashes: a study can be found by its number, and the number cannot be read back.

The key lies in the data folder and in its backups, and goes nowhere else: without it, whoever has the database can
compare nothing with it.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from storage.engine import Database
from storage.errors import FolderUnusable
from storage.folder import DataFolder, sync
from storage.schema import accessions, studies

KEY_FILE = "accession.key"  # goes with every backup: without it the hashes find nothing
KEY_BYTES = 32


def keyed_hash(folder: DataFolder, accession_number: str) -> str:
    """HMAC-SHA256 of the number without outer spaces; the key is made where it is missing. Raises FolderUnusable."""
    return hmac.new(_key(folder), accession_number.strip().encode(), hashlib.sha256).hexdigest()


def note(db: Database, hashes: Mapping[str, str]) -> None:
    """The hash of each study that is there; the newest counts."""
    with db.transaction() as connection:
        for uid, found in hashes.items():
            known = sa.select(studies.c.study_instance_uid, sa.literal(found)).where(
                studies.c.study_instance_uid == uid
            )
            connection.execute(
                db.backend.insert(accessions)
                .from_select(["study_instance_uid", "keyed_hash"], known)
                .on_conflict_do_update(index_elements=["study_instance_uid"], set_={"keyed_hash": found})
            )


def _key(folder: DataFolder) -> bytes:
    path = folder.root / KEY_FILE
    try:
        with suppress(FileNotFoundError):
            return _whole(path)
        fresh = folder.path(f"tmp/{KEY_FILE}.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first
            os.link(fresh, path)
        fresh.unlink()
        sync(path.parent)
        return _whole(path)
    except OSError as error:
        raise FolderUnusable(f"{path}: cannot be used: {error.strerror}") from error


def _whole(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise FolderUnusable(f"{path}: is no key of {KEY_BYTES} bytes")
    return key
