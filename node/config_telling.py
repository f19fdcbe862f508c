"""Site settings of what leaves the node besides DICOM: notices to people, and HL7 v2 results to an information system.

A secret does not stand in the settings: they say where it is, `file:` and a path, or `env:` and the name of a variable.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from node.config_base import Days, Name, Seconds, Section, Tls

Kind = Literal["job_failed", "destination", "peer_silent", "disk", "certificate", "drift", "restart"]
KINDS: tuple[Kind, ...] = ("job_failed", "destination", "peer_silent", "disk", "certificate", "drift", "restart")
PLACE = re.compile(r"file:.+|env:[A-Za-z_][A-Za-z0-9_]*")
QUIET = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def place_of_secret(value: str) -> str:
    """Where a secret is, not what it is.

    >>> place_of_secret("env:MAIL_PASSWORD")
    'env:MAIL_PASSWORD'
    """
    if not PLACE.fullmatch(value):
        raise ValueError("must say where the secret is: file:PATH or env:VARIABLE")
    return value


def hours_of_day(value: str) -> str:
    """From and until, by the local clock: "22:00-06:30"."""
    if value and not QUIET.fullmatch(value):
        raise ValueError('must look like "22:00-06:30"')
    return value


def http_address(value: str) -> str:
    """A URL that a webhook may have; without a log-in, which is a secret."""
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
        raise ValueError("must begin with http:// or https:// and hold no log-in")
    return value


def hl7_text(value: str) -> str:
    """A field of a message header: printable ASCII without HL7's delimiters."""
    if not (value.isascii() and (value.isprintable() or not value)) or set(value) & set("|~\\&"):
        raise ValueError(f"{value!r} must be printable ASCII without | ~ \\ and &")
    return value


SecretPlace = Annotated[str, AfterValidator(place_of_secret)]
MailAddress = Annotated[str, Field(pattern=r"^[^\s@<>,]+@[^\s@<>,]+$")]
Hl7Text = Annotated[str, AfterValidator(hl7_text), Field(max_length=180)]


class EmailChannel(Section):
    """A mail server that takes our notices."""

    name: Name
    kind: Literal["email"]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    authorities: Path | None = None
    sender: MailAddress
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    user: str = ""
    secret: SecretPlace | None = None


class WebhookChannel(Section):
    """An HTTP address that gets signed notices."""

    name: Name
    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(http_address)]
    authorities: Path | None = None
    secret: SecretPlace


class ServiceChannel(Section):
    """Any service that apprise knows; its URL is the secret."""

    name: Name
    kind: Literal["apprise"]
    secret: SecretPlace


Channel = Annotated[EmailChannel | WebhookChannel | ServiceChannel, Field(discriminator="kind")]


class Notifications(Section):
    """Who is told what happens to the node, and when."""

    channels: tuple[Channel, ...] = ()
    kinds: tuple[Kind, ...] = KINDS
    urgent: tuple[Kind, ...] = ("destination", "disk")
    quiet_hours: Annotated[str, AfterValidator(hours_of_day)] = ""
    digest_s: Seconds = 60
    pause_s: Seconds = 900
    destination_down_s: Seconds = 300
    peer_silent_s: Seconds = 86400
    disk_use_percent: Annotated[int, Field(ge=1, le=100)] = 80
    certificate_days: Days = 30


class Hl7Receiver(Section):
    """An information system that gets each result as an HL7 v2 message over MLLP."""

    name: Name
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    receiving_application: Hl7Text = ""
    receiving_facility: Hl7Text = ""
    sending_application: Hl7Text = "NEUROSSL"
    sending_facility: Hl7Text = ""
    processing: Literal["P", "T", "D"] = "P"
    character_set: Literal["utf-8", "iso-8859-1", "ascii"] = "utf-8"
    result_status: Literal["P", "F"] = "P"
    skipped: bool = False
    enhanced_acknowledgement: bool = False
    patient_id_issuer: Hl7Text = ""
    link: str = ""
    tls: Tls | None = None

    @property
    def proof(self) -> Literal["none"]:
        """An acknowledged message is taken; HL7 has no storage commitment."""
        return "none"
