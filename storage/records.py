"""What the database holds, as frozen records. Times are aware UTC; nothing here identifies a patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.states import AnswerKind, AnswerState, DeliveryState, JobState, StudyState


@dataclass(frozen=True)
class Study:
    """A study as received so far."""

    study_instance_uid: str
    state: StudyState
    revision: int  # from 1; raised by an instance that comes after the study was stable
    instances: int  # stored so far
    expected_instances: int | None  # NumberOfStudyRelatedInstances, where the sender gave it or answered our C-FIND
    first_received_at: datetime
    last_received_at: datetime
    calling_ae_titles: tuple[str, ...]  # every sender
    version: int  # from 1; raised by every instance that is taken


@dataclass(frozen=True)
class Instance:
    """One stored instance: the file holds the bytes as received."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str  # "" where the header has none
    path: str  # relative to the data folder
    sha256: str  # of the encoded data set, without preamble and meta header
    size_bytes: int  # of the file
    calling_ae_title: str
    received_at: datetime


class Registration(StrEnum):
    """What became of an instance that was to be registered."""

    NEW = "new"
    DUPLICATE = "duplicate"  # same UID, same content: success, nothing changes
    CONFLICT = "conflict"  # same UID, other content: the first is kept, the second refused
    REPLACED = "replaced"  # same UID, other content, from a sender whose newest version counts: it is the stored one


@dataclass(frozen=True)
class Job:
    """The work on one revision of one study."""

    job_id: int
    study_instance_uid: str
    revision: int
    state: JobState
    attempt: int  # counted by the claim
    maximum_attempts: int
    reason: str  # why it is in this state, for people
    created_at: datetime  # pinned into the results, so that building twice gives the same bytes
    available_at: datetime  # not claimed before
    lease_owner: str | None
    lease_expires_at: datetime | None
    updated_at: datetime
    early: bool  # worked on before its study is complete; gives way to work on complete studies
    covers: int  # the version of the study that its last attempt saw; 0 before the first
    answer_id: int | None  # what its last attempt came to: an answer of its own, or one that the study has already
    outcome: Mapping[str, Any] | None  # selection, timings, prediction: what `queue show` prints


@dataclass(frozen=True)
class Answer:
    """What the node says of a study: a result, or that there is none.

    A study has one that stands, at most, and one that is kept.
    """

    answer_id: int
    study_instance_uid: str
    job_id: int  # whose results it has
    kind: AnswerKind
    key: str  # what it follows from (node/report/key.py); "" where an older version worked it out
    generation: int  # how often this very key had been published before; part of its results' UIDs
    state: AnswerState
    reason: str  # why it is in this state, for people
    created_at: datetime
    updated_at: datetime


REJECTION_NOTE = "rejection_note"  # the kind of result that calls others back (`notes`)


@dataclass(frozen=True)
class Result:
    """One encoded result object; its file never changes.

    `pictures` and `prediction` are no DICOM objects and go to nobody: a UID of ours stands for them, SOP class and
    series are "".
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    job_id: int
    kind: str  # summary, overlay, parametric_map, sr_comprehensive(_3d), sr_text, pictures, prediction, or a note
    ordinal: int  # order of sending within the job: captures first, structured report last
    path: str  # relative to the data folder
    sha256: str  # of the file
    size_bytes: int

    @property
    def is_object(self) -> bool:
        """Whether it is a DICOM object."""
        return bool(self.sop_class_uid)


class Proof(StrEnum):
    """How a destination proves that it keeps what it acknowledged."""

    NONE = "none"
    COMMITMENT = "commitment"  # storage commitment push model, PS3.4 annex J
    FIND = "find"  # read back by C-FIND at instance level


@dataclass(frozen=True)
class Delivery:
    """One result on its way to one destination."""

    delivery_id: int
    job_id: int
    sop_instance_uid: str
    destination: str  # its name in config.yaml
    state: DeliveryState
    attempt: int
    reason: str
    proof: Proof
    transaction_uid: str | None  # of the storage commitment request that is under way
    available_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Event:
    """One thing that happened; the table only grows."""

    event_id: int
    at: datetime
    study_instance_uid: str | None
    job_id: int | None
    delivery_id: int | None
    name: str  # "instance stored", "study stable", "job claimed", …
    before: str | None
    after: str | None
    reason: str


class Word(StrEnum):
    """What a reader says of an answer."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NOT_USABLE = "not usable"


@dataclass(frozen=True)
class Reading:
    """One reader's word on one answer; the newest of a reader counts."""

    reading_id: int
    answer_id: int
    word: Word
    reason: str
    who: str
    at: datetime


@dataclass(frozen=True)
class Said:
    """What another bundle said of the study of an answer."""

    bundle: str  # SHA-256 of its manifest
    answer_id: int
    said: Mapping[str, Any]
    at: datetime


class SwitchName(StrEnum):
    """What an operator can hold up."""

    INTAKE = "intake"  # on: the listener takes no instance (0xA700)
    SENDING = "sending"  # on: nothing goes to a destination
    DRAIN = "drain"  # on: nothing new begins: no association, no job, no delivery


@dataclass(frozen=True)
class Switch:
    """One that is on."""

    name: SwitchName
    since: datetime
    who: str
    reason: str

    @property
    def words(self) -> str:
        """Since when, by whom and why."""
        return f"since {self.since:%Y-%m-%d %H:%M} UTC by {self.who}: {self.reason}"


@dataclass(frozen=True)
class Tally:
    """How often something was counted within one hour, or a measure that was taken then."""

    name: str
    labels: Mapping[str, str]
    slot: datetime  # the beginning of the hour, or 1970 for all that is long ago
    value: float
    at: datetime  # when it was last added to


@dataclass(frozen=True)
class Sighting:
    """What a study looked like and what was said of it, without whose it was.

    job_id                  of the job that it was worked on in, which may be gone
    bundle, scanner         SHA-256 of the bundle, "" where none was asked; maker and model, or "unknown"
    in_scope                None where no series was read
    brightness, contrast    mean and standard deviation of the slices' grey values, 0 to 255
    texture                 spread of detail inside the head, of its mean (model/scope.py)
    """

    job_id: int
    at: datetime
    bundle: str
    scanner: str
    in_scope: bool | None = None
    band: str | None = None
    probability: float | None = None
    spread: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    texture: float | None = None
