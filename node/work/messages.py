"""What the worker's watchdog and its child say to each other: one JSON object a line.

    watchdog ── Settings, then Task … ──► child
    watchdog ◄── Ready, then Progress … and Analysed or Failed for each task; Device now and then ── child

JSON and not pickle: the child decodes what strangers sent, and its parent must not run what it says.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from node.work.outcome import Outcome
from storage.answers import ENDS, NewAnswer
from storage.records import Answer, Result
from storage.states import JobState


class Line(BaseModel):
    """Anything that one says to the other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def encoded(self) -> bytes:
        """As it goes through the pipe."""
        return self.model_dump_json().encode() + b"\n"


class StoredInstance(Line):
    """Where an instance lies, relative to the data folder, and its stored digest."""

    sop_instance_uid: str
    path: str
    sha256: str


class Task(Line):
    """One attempt at one job."""

    job_id: int
    study_instance_uid: str
    revision: int
    attempt: int
    created_at: datetime
    instances: tuple[StoredInstance, ...]
    predecessors: tuple[Result, ...] = ()  # the reports of the answer that stands, which the new ones replace
    answers: tuple[Answer, ...] = ()  # that the study had: what need not be worked out again


class Ready(Line):
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


class Device(Line):
    """The memory of the accelerator, now: of all who use it."""

    kind: Literal["device"] = "device"
    name: str
    used_mib: int
    total_mib: int

    @property
    def facts(self) -> dict[str, Any]:
        """For the sign of life."""
        return {f"device_{key}": value for key, value in self.model_dump(exclude={"kind"}).items()}


class Progress(Line):
    """What is being done, and how far it is; `of` is 0 where that cannot be counted."""

    kind: Literal["progress"] = "progress"
    stage: str
    done: int = 0
    of: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """For the sign of life, and whoever reads it."""
        return self.model_dump(exclude={"kind"})

    @property
    def words(self) -> str:
        """For people.

        >>> Progress(stage="predicts", done=12, of=61).words
        'predicts, 12 of 61'
        """
        return f"{self.stage}, {self.done} of {self.of}" if self.of else self.stage


class Outgoing(Line):
    """A result whose file is durable, but not yet noted in the database, and the names of those who get it."""

    result: Result
    destinations: tuple[str, ...]


class Analysed(Line):
    """The study is read, and this is its answer; without results where it has that answer already."""

    kind: Literal["analysed"] = "analysed"
    answer: NewAnswer
    outcome: Outcome
    results: tuple[Outgoing, ...]

    @property
    def state(self) -> JobState:
        """Of the job, once its study is complete."""
        return ENDS[self.answer.kind]

    @property
    def reason(self) -> str:
        """For people."""
        return self.answer.reason


class Failed(Line):
    """The attempt failed.

    hold: nothing is wrong with the job or the worker (no disk space): the same attempt goes on after `delay_s`.
    clean_start: the child ends itself after this, and its place is taken by a new one.
    """

    kind: Literal["failed"] = "failed"
    decision: Literal["retry", "give up", "hold"]
    reason: str
    delay_s: float = 0.0
    outcome: Outcome | None = None
    clean_start: bool = False


Said = Ready | Device | Progress | Analysed | Failed
said: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])
