"""Site settings: config.yaml and environment -> one frozen `Settings`; each error names its key.

Every key stands in `config.yaml` with its meaning, unit and default. An environment variable such as
`NEUROSSL__LISTENER__PORT=104` overrides `listener.port`. What shapes the weights or reads them (preprocessing,
temperature, thresholds) is not here: it comes from the bundle.
"""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from node import config_file
from node.config_base import LONGEST_S, AETitle, Count, Days, Name, Port, Seconds, SomeSeconds
from node.config_base import Section as Section
from node.config_base import Tls as Tls
from node.config_base import ae_title as ae_title
from node.config_dicomweb import DicomWeb
from node.config_telling import EmailChannel, Notifications, SecretPlace, WebhookChannel, http_address
from node.config_telling import Hl7Receiver as Hl7Receiver
from node.config_web import Web, anchored_web, is_loopback
from node.errors import ConfigurationError


def tag_expression(value: str) -> str:
    """An expression of node/dicom/rules.py, which says what is wrong with it."""
    from node.dicom import rules  # pydicom is large, and few sites have rules

    rules.parse(value)
    return value


ENVIRONMENT = "NEUROSSL__"  # how the names of overriding variables begin


class AllowedPeer(Section):
    """Who may send: the calling AE title and, where given, the address it must come from; an archive may correct."""

    ae_title: AETitle
    host: str | None = None
    role: Literal["none", "archive"] = "none"


class Listener(Section):
    """The Storage and Verification SCP."""

    ae_title: AETitle = "NEUROSSL"
    host: str = "127.0.0.1"
    port: Port = 11112
    allow: tuple[AllowedPeer, ...] = ()
    check_called_ae_title: bool = True
    accept: Literal["study", "mr", "all"] = "study"
    maximum_associations: Count = 20
    maximum_associations_per_peer: Count = 10
    maximum_instance_mib: Count = 512
    pdu_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30
    idle_timeout_s: SomeSeconds = 300
    maximum_disk_use_percent: Annotated[int, Field(ge=1, le=100)] = 90
    tls: Tls | None = None

    @property
    def archives(self) -> frozenset[str]:
        """The AE titles that have the role of an archive."""
        return frozenset(each.ae_title for each in self.allow if each.role == "archive")


class Archive(Section):
    """A PACS that is asked by C-FIND what a study has, and that what is missing is fetched from."""

    ae_title: AETitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    calling_ae_title: AETitle | None = None
    fetch: Literal["auto", "get", "move", "never"] = "auto"
    pause_s: Seconds = 1
    tls: Tls | None = None


class Completeness(Section):
    """When a study is complete."""

    quiet_period_s: Seconds = 60
    series_quiet_period_s: Seconds = 5
    publish: Literal["when_study_complete", "at_once"] = "when_study_complete"
    no_result_after_s: Seconds = 3600
    use_study_related_instances: bool = True


class Worker(Section):
    """The inference worker."""

    count: Count = 1
    bundle: Path | None = None
    allow_untrained_bundle: bool = False
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    lease_s: Annotated[float, Field(ge=5, le=LONGEST_S)] = 60
    job_timeout_s: SomeSeconds = 600
    maximum_attempts: Count = 3
    backoff_s: Seconds = 30
    maximum_backoff_s: Seconds = 900
    maximum_volume_mib: Count = 1024
    maximum_memory_mib: Annotated[int, Field(ge=0)] = 0


class SelectionRule(Section):
    """A site's own rule: a tag expression, and what becomes of a series for which it holds."""

    when: Annotated[str, AfterValidator(tag_expression)]
    then: Literal["refuse", "prefer", "accept"]
    why: Annotated[str, Field(min_length=1, max_length=200)]


class SelectionSettings(Section):
    """Which series may be read, beyond the built-in rules."""

    rules: tuple[SelectionRule, ...] = ()
    maximum_gap_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    minimum_slices: Count = 20
    minimum_coverage_mm: Annotated[float, Field(gt=0)] = 100
    maximum_spacing_mm: Annotated[float, Field(gt=0)] = 8


def plain_text(value: str) -> str:
    """Text that results bear beside the patient's, so it must read the same in every character set (PS3.5 6.1).

    >>> plain_text("St. Mary")
    'St. Mary'
    """
    if not (value.isascii() and (value.isprintable() or not value)) or "\\" in value:
        raise ValueError(
            f"{value!r} must be printable ASCII without backslash: results take the source's character set"
        )
    return value


PlainText = Annotated[str, AfterValidator(plain_text)]


class Results(Section):
    """What is made of a prediction."""

    captures: Annotated[int, Field(ge=0, le=200)] = 12
    parametric_map: bool = False
    report_skipped: bool = True
    capture_skipped: bool = False
    series_number: Annotated[int, Field(ge=1, le=999_000)] = 9100
    manufacturer: Annotated[PlainText, Field(min_length=1, max_length=64)] = "NeuroSSL"
    station_name: Annotated[PlainText, Field(min_length=1, max_length=16)] = "NEUROSSL"
    institution_name: Annotated[PlainText, Field(max_length=64)] = ""


class Destination(Section):
    """A PACS that gets the results: by C-STORE, or by STOW-RS where it has a `url`, which says host and port."""

    name: Name
    ae_title: AETitle
    url: Annotated[str, AfterValidator(http_address)] | None = None
    authentication: Literal["none", "bearer", "basic"] = "none"
    secret: SecretPlace | None = None
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    calling_ae_title: AETitle | None = None
    report: Literal["comprehensive", "comprehensive_3d", "text"] = "comprehensive"
    captures: bool = True
    proof: Literal["none", "commitment", "find"] = "none"
    supersede: Literal["none", "rejection_note"] = "none"
    tls: Tls | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_where_its_url_says(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("url"), str):
            return values
        url = urlsplit(values["url"])
        return {"host": url.hostname or "", "port": url.port or (443 if url.scheme == "https" else 80), **values}

    @model_validator(mode="after")
    def _speaks_one_protocol(self) -> Self:
        if (self.authentication == "none") != (self.secret is None):
            raise ValueError("authentication and secret: one needs the other")
        if self.url is None:
            if self.secret is not None:
                raise ValueError("secret: is for a destination with a url")
            return self
        url = urlsplit(self.url)
        if (self.host, self.port) != (url.hostname, url.port or (443 if url.scheme == "https" else 80)):
            raise ValueError("host and port: are those of the url; leave them out")
        if url.query or url.fragment:
            raise ValueError("url: ends before its query")
        if self.proof != "none" or self.calling_ae_title is not None:
            raise ValueError("proof and calling_ae_title: are for C-STORE; by url the answer is the proof")
        if url.scheme == "http" and (self.tls is not None or (self.secret is not None and not is_loopback(self.host))):
            raise ValueError("url: must begin with https:// where there is tls, or a secret for another machine")
        return self


class DeliverySettings(Section):
    """How results are sent."""

    timeout_s: SomeSeconds = 30
    backoff_s: Seconds = 15
    maximum_backoff_s: Seconds = 900
    attempts_when_refused: Count = 3
    commitment_timeout_s: SomeSeconds = 600
    echo_every_s: Seconds = 300


class Retention(Section):
    """What is deleted, and when; nothing before its study is done, and nothing undelivered."""

    keep_studies_days: Days = 30
    keep_results_days: Days = 365
    maximum_disk_use_percent: Annotated[int, Field(ge=1, le=99)] | None = None


class Audit(Section):
    """Where the audit trail of PS3.15 A.5 goes."""

    transport: Literal["none", "udp", "tcp", "tls", "file"] = "none"
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 6514
    tls: Tls | None = None
    file: Path | None = None
    maximum_waiting: Count = 10_000

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> Self:
        needs = {"none": (), "udp": ("host",), "tcp": ("host",), "tls": ("host", "tls"), "file": ("file",)}
        missing = [name for name in needs[self.transport] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"transport {self.transport} needs {' and '.join(missing)}")
        return self


class Log(Section):
    """Structured log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """All site settings; an instance is valid or does not exist."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        env_prefix=ENVIRONMENT,
        env_nested_delimiter="__",
        validate_default=True,
    )

    data_folder: Path = Path("data")
    listener: Listener = Listener()
    completeness: Completeness = Completeness()
    dicomweb: DicomWeb | None = None
    archive: Archive | None = None
    worker: Worker = Worker()
    selection: SelectionSettings = SelectionSettings()
    results: Results = Results()
    destinations: tuple[Destination, ...] = ()
    hl7: tuple[Hl7Receiver, ...] = ()
    delivery: DeliverySettings = DeliverySettings()
    retention: Retention = Retention()
    audit: Audit = Audit()
    web: Web = Web()
    notifications: Notifications = Notifications()
    log: Log = Log()
    stop_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [each.name for each in self.receivers]
        if len(set(names)) != len(names):
            raise ValueError("destinations: two have the same name, those of hl7 counted")
        channels = [each.name for each in self.notifications.channels]
        if len(set(channels)) != len(channels):
            raise ValueError("notifications.channels: two have the same name")
        return self

    @model_validator(mode="after")
    def _visitors_are_known(self) -> Self:
        if self.dicomweb and self.dicomweb.visitors != "none" and self.web.authentication not in ("users", "proxy"):
            raise ValueError("dicomweb.visitors: needs web.authentication users or proxy; others have allow")
        return self

    @model_validator(mode="after")
    def _room_is_made_before_it_is_gone(self) -> Self:
        watermark, limit = self.retention.maximum_disk_use_percent, self.listener.maximum_disk_use_percent
        if watermark is not None and watermark >= limit:
            raise ValueError(
                f"retention.maximum_disk_use_percent: must be below listener.maximum_disk_use_percent, which is {limit}"
            )
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def destination(self, name: str) -> Destination | Hl7Receiver | None:
        """The destination of this name, if it is still configured."""
        return next((each for each in self.receivers if each.name == name), None)

    @property
    def receivers(self) -> tuple[Destination | Hl7Receiver, ...]:
        """Everybody who gets results: by DICOM, and by HL7."""
        return (*self.destinations, *self.hl7)


UsesTls = TypeVar("UsesTls", Listener, Destination, Archive, Audit, Hl7Receiver, DicomWeb)


def load(path: Path) -> Settings:
    """Settings from a YAML file and the environment. Relative folders in it are relative to the file.

    Raises ConfigurationError with one line per wrong key.
    """
    content = config_file.read(path)
    _refuse_misspelt_variables()
    try:
        settings = Settings(**content)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_lines(path, error))) from None
    except SettingsError as error:
        raise ConfigurationError(f"environment: {error}") from None
    return anchored(settings, path.resolve().parent)


def _refuse_misspelt_variables() -> None:
    """A variable that overrides nothing is a mistake that nobody would notice. Raises ConfigurationError."""
    lines = []
    for name in sorted(each for each in os.environ if each.upper().startswith(ENVIRONMENT)):
        wrong = _unknown_part(name[len(ENVIRONMENT) :].lower().split("__"))
        if wrong is not None:
            lines.append(f"environment: {name}: there is no setting {wrong!r}")
    if lines:
        raise ConfigurationError("\n".join(lines))


def _unknown_part(parts: list[str]) -> str | None:
    """The first part of a variable's name that names no setting; None when each does."""
    section: type[BaseModel] = Settings
    for number, part in enumerate(parts):
        field = section.model_fields.get(part)
        if field is None:
            return ".".join(parts[: number + 1])
        inner = next((each for each in (field.annotation, *get_args(field.annotation)) if _is_section(each)), None)
        if inner is None:
            return None if number + 1 == len(parts) else ".".join(parts)
        section = inner
    return None


def _is_section(kind: object) -> TypeGuard[type[Section]]:
    return isinstance(kind, type) and issubclass(kind, Section)


def anchored(settings: Settings, folder: Path) -> Settings:
    """The same settings with relative paths made absolute under `folder`."""
    worker = settings.worker
    if worker.bundle is not None:
        worker = worker.model_copy(update={"bundle": folder / worker.bundle})
    return settings.model_copy(
        update={
            "data_folder": folder / settings.data_folder,
            "worker": worker,
            "listener": _anchored_tls(settings.listener, folder),
            "dicomweb": settings.dicomweb and _anchored_senders(_anchored_tls(settings.dicomweb, folder), folder),
            "archive": settings.archive and _anchored_tls(settings.archive, folder),
            "destinations": tuple(_anchored_destination(each, folder) for each in settings.destinations),
            "audit": _anchored_audit(settings.audit, folder),
            "web": anchored_web(settings.web, folder),
            "hl7": tuple(_anchored_tls(each, folder) for each in settings.hl7),
            "notifications": _anchored_notifications(settings.notifications, folder),
        }
    )


def _anchored_destination(destination: Destination, folder: Path) -> Destination:
    return _anchored_tls(destination, folder).model_copy(update=_anchored_secret(destination.secret, folder))


def _anchored_senders(dicomweb: DicomWeb, folder: Path) -> DicomWeb:
    allow = tuple(each.model_copy(update=_anchored_secret(each.secret, folder)) for each in dicomweb.allow)
    return dicomweb.model_copy(update={"allow": allow})


def _anchored_secret(secret: str | None, folder: Path) -> dict[str, str]:
    """What changes where a secret is a file."""
    if secret is None or not secret.startswith("file:"):
        return {}
    return {"secret": f"file:{folder / secret.removeprefix('file:')}"}


def _anchored_notifications(notifications: Notifications, folder: Path) -> Notifications:
    channels = []
    for each in notifications.channels:
        update: dict[str, object] = {**_anchored_secret(each.secret, folder)}
        if isinstance(each, EmailChannel | WebhookChannel) and each.authorities is not None:
            update["authorities"] = folder / each.authorities
        channels.append(each.model_copy(update=update))
    return notifications.model_copy(update={"channels": tuple(channels)})


def _anchored_audit(audit: Audit, folder: Path) -> Audit:
    anchored_file = None if audit.file is None else folder / audit.file
    return _anchored_tls(audit, folder).model_copy(update={"file": anchored_file})


def _anchored_tls(section: UsesTls, folder: Path) -> UsesTls:
    if section.tls is None:
        return section
    files = {name: folder / path for name, path in section.tls if path is not None}
    return section.model_copy(update={"tls": section.tls.model_copy(update=files)})


def _lines(path: Path, error: ValidationError) -> list[str]:
    return [
        f"{path}: {'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']}" for item in error.errors()
    ]
