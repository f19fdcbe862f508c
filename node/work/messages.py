"""What the worker's watchdog and its child say to each other: one JSON object a line.

    watchdog ── Settings, then Task … ──► child
    watchdog ◄── Ready, then Progress … and Analysed or Failed for each task ── child

JSON and not pickle: the child decodes what strangers sent, and its parent must not run what it says.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from storage.states import JobState


class Message(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def line(self) -> bytes:
        """As it goes through the pipe."""
        return self.model_dump_json().encode() + b"\n"


class StoredInstance(Message):
    """Where an instance lies, relative to the data folder, and its stored digest."""

    sop_instance_uid: str
    path: str
    sha256: str


class Predecessor(Message):
    """A report of an older revision of the study, which the new one replaces."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


class Task(Message):
    """One attempt at one job."""

    job_id: int
    study_instance_uid: str
    revision: int
    attempt: int
    created_at: datetime
    instances: tuple[StoredInstance, ...]
    predecessors: tuple[Predecessor, ...] = ()


class Ready(Message):
    """The bundle is loaded, and the device is the configured one."""

    kind: Literal["ready"] = "ready"
    bundle: str
    sha256: str
    trained: bool
    device: str
    engine: str
    precision: str
    load_s: float

    @property
    def facts(self) -> dict[str, Any]:
        """For the log and the sign of life."""
        return self.model_dump(exclude={"kind"})


class Progress(Message):
    """What is being done, and how far it is where that can be counted."""

    kind: Literal["progress"] = "progress"
    stage: str
    done: int = 0
    of: int = 0

    @property
    def words(self) -> str:
        """For people.

        >>> Progress(stage="predicts", done=12, of=61).words
        'predicts, 12 of 61'
        """
        return f"{self.stage}, {self.done} of {self.of}" if self.of else self.stage


class ResultFile(Message):
    """An encoded result, durable in the data folder but not yet noted in the database."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    result_kind: str
    ordinal: int
    path: str
    sha256: str
    size_bytes: int
    destinations: tuple[str, ...]


class Analysed(Message):
    """The study is read: REPORTED or SKIPPED."""

    kind: Literal["analysed"] = "analysed"
    state: JobState
    reason: str
    outcome: Mapping[str, Any]
    results: tuple[ResultFile, ...]


class Failed(Message):
    """The attempt failed.

    hold: nothing is wrong with the job or the worker (no disk space): the same attempt goes on after `delay_s`.
    clean_start: the child ends itself after this, and its place is taken by a new one.
    """

    kind: Literal["failed"] = "failed"
    decision: Literal["retry", "give up", "hold"]
    reason: str
    delay_s: float = 0.0
    outcome: Mapping[str, Any] = Field(default_factory=dict)
    clean_start: bool = False


Said = Ready | Progress | Analysed | Failed
said: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])
