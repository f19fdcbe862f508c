"""Settings of DICOMweb: the door that instances come in by STOW-RS."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from node.config_base import AETitle, Count, Port, Section
from node.config_telling import SecretPlace
from node.config_web import is_loopback


class DoorTls(Section):
    """Files in PEM form; with authorities every sender has to show a certificate of theirs."""

    certificate: Path
    key: Path
    authorities: Path | None = None


class WebSender(Section):
    """Who may store by STOW-RS: by a secret, from an address, or both."""

    ae_title: AETitle
    host: str | None = None
    secret: SecretPlace | None = None

    @model_validator(mode="after")
    def _is_known_by_something(self) -> Self:
        if self.host is None and self.secret is None:
            raise ValueError("needs a secret, a host, or both: a name alone proves nothing")
        return self


class DicomWeb(Section):
    """The door that instances come in by STOW-RS."""

    host: str = "127.0.0.1"
    port: Port = 11181
    tls: DoorTls | None = None
    allow: tuple[WebSender, ...] = ()
    visitors: Literal["none", "operate", "admin"] = "none"
    maximum_requests: Count = 20

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        secret = self.visitors != "none" or any(each.secret is not None for each in self.allow)
        if secret and self.tls is None and not is_loopback(self.host):
            raise ValueError("tls: is needed where secrets of senders come from other machines")
        return self
