"""The node signs what it found with a key of its own (Ed25519, RFC 8032), so that a report cannot be altered unnoticed.

The private key lies in the data folder and goes nowhere else, the public one beside it. Anybody checks a report with

    openssl pkeyutl -verify -pubin -inkey signing.pub.pem -rawin -in TIME.json -sigfile TIME.json.sig
"""

import base64
import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from storage import DataFolder
from storage.errors import FolderUnusable
from storage.folder import sync

PRIVATE, PUBLIC = "signing.pem", "signing.pub.pem"
REPORTS = "commissioning"  # folder of the reports on bundles, each in one named by the SHA-256 of its bundle


@dataclass(frozen=True)
class Signed:
    """The SHA-256 of a text, and the signature of the text."""

    sha256: str
    raw: bytes

    @property
    def signature(self) -> str:
        """In base64."""
        return base64.b64encode(self.raw).decode("ascii")


def sign(folder: DataFolder, content: bytes) -> Signed:
    """Sign with the node's key, which is made where it is missing. Raises FolderUnusable."""
    return Signed(hashlib.sha256(content).hexdigest(), _key(folder).sign(content))


def holds(folder: DataFolder, path: Path) -> bool:
    """Whether the file is as this node signed it. Raises FolderUnusable."""
    try:
        _key(folder).public_key().verify(path.with_suffix(f"{path.suffix}.sig").read_bytes(), path.read_bytes())
    except (InvalidSignature, OSError):
        return False
    return True


def newest(folder: DataFolder, bundle_sha256: str) -> Path | None:
    """The newest report on this bundle whose signature holds; None when there is none. Raises FolderUnusable."""
    found = sorted((folder.root / REPORTS / bundle_sha256).glob("*.json"), reverse=True)
    return next((path for path in found if holds(folder, path)), None)


def public_key(folder: DataFolder) -> str:
    """The raw public key in base64, for whoever keeps the audit trail. Raises FolderUnusable."""
    return base64.b64encode(_key(folder).public_key().public_bytes_raw()).decode("ascii")


def _key(folder: DataFolder) -> Ed25519PrivateKey:
    path = folder.root / PRIVATE
    try:
        if not path.exists():
            _make(folder)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise FolderUnusable(f"{path}: cannot be used: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise FolderUnusable(f"{path}: is no Ed25519 key")
    return key


def _make(folder: DataFolder) -> None:
    """The first of several processes makes it."""
    key = Ed25519PrivateKey.generate()
    fresh = folder.path(f"tmp/{PRIVATE}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(fresh, folder.root / PRIVATE)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder.root / PUBLIC).write_bytes(public)
    fresh.unlink()
    sync(folder.root)
