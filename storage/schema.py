"""The tables. `migrations/` builds the same ones step by step; a test compares the two.

A column has the name of the record's field that it fills. A state is stored as its text, a time as microseconds since
1970 UTC, lists and mappings as JSON.
"""

import dataclasses
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from storage.records import Proof, SwitchName, Word
from storage.states import AnswerKind, AnswerState, DeliveryState, JobState, StudyState

HEAD = "0008"  # the newest migration: a database that says this needs none

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """The stored form of a time. Raises ValueError for one without a time zone."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()}: a time without a time zone cannot be stored")
    return (at - _EPOCH) // _MICROSECOND


class Time(TypeDecorator[datetime]):
    """Aware UTC <-> microseconds since 1970."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Name(TypeDecorator[StrEnum]):
    """A member of a StrEnum <-> its text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


class Json(TypeDecorator[Any]):
    """JSON text; a list comes back as a tuple, a mapping as a dict."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        content = None if value is None else json.loads(value)
        return tuple(content) if isinstance(content, list) else content


class Flag(TypeDecorator[bool]):
    """True or false <-> 1 or 0; a STRICT table knows no BOOLEAN."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> bool | None:
        return None if value is None else bool(value)


def one_of(column: sa.ColumnElement[Any], values: Iterable[StrEnum]) -> sa.ColumnElement[bool]:
    """`column IN (…)` with the values in the SQL itself: only so can SQLite use a partial index."""
    return column.in_([sa.literal(value, column.type, literal_execute=True) for value in values])


def columns(table: sa.Table, record: type[Any]) -> list[sa.Column[Any]]:
    """The columns that fill this record."""
    return [table.c[field.name] for field in dataclasses.fields(record)]


def _where(column: str, *values: StrEnum) -> sa.TextClause:
    return sa.text(f"{column} IN (" + ", ".join(f"'{value.value}'" for value in values) + ")")


metadata = sa.MetaData()

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_instance_uid", sa.Text, primary_key=True),
    sa.Column("state", Name(StudyState), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("instances", sa.Integer, nullable=False),
    sa.Column("expected_instances", sa.Integer),
    sa.Column("first_received_at", Time, nullable=False),
    sa.Column("last_received_at", Time, nullable=False),
    sa.Column("calling_ae_titles", Json, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint(_where("state", *StudyState), "studies_state"),
    sqlite_strict=True,
)
sa.Index("studies_receiving", studies.c.last_received_at, sqlite_where=_where("state", StudyState.RECEIVING))
sa.Index("studies_age", studies.c.last_received_at)

series = sa.Table(
    "series",
    metadata,
    sa.Column("study_instance_uid", sa.Text, sa.ForeignKey("studies.study_instance_uid"), primary_key=True),
    sa.Column("series_instance_uid", sa.Text, primary_key=True),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("instances", sa.Integer, nullable=False),
    sqlite_strict=True,
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("sop_class_uid", sa.Text, nullable=False),
    sa.Column("series_instance_uid", sa.Text, nullable=False),
    sa.Column("study_instance_uid", sa.Text, nullable=False),
    sa.Column("transfer_syntax_uid", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("calling_ae_title", sa.Text, nullable=False),
    sa.Column("received_at", Time, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # of the study, with which it came: later jobs see it too
    sa.ForeignKeyConstraint(
        ["study_instance_uid", "series_instance_uid"], ["series.study_instance_uid", "series.series_instance_uid"]
    ),
    sqlite_strict=True,
)
sa.Index("series_by_uid", series.c.series_instance_uid)
sa.Index("instances_series", instances.c.study_instance_uid, instances.c.series_instance_uid)
sa.Index("instances_path", instances.c.path, unique=True)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.Integer, primary_key=True),
    sa.Column("study_instance_uid", sa.Text, sa.ForeignKey("studies.study_instance_uid"), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", Name(JobState), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("maximum_attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("available_at", Time, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_boot", sa.Text),
    sa.Column("lease_expires_at", Time),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("outcome", Json),
    sa.Column("early", Flag, nullable=False),
    sa.Column("covers", sa.Integer, nullable=False),
    sa.Column("answer_id", sa.Integer),  # no foreign key: it may be another job's, and go before this one
    sa.CheckConstraint(_where("state", *JobState), "jobs_state"),
    sa.CheckConstraint(
        "(state = 'running') = (lease_owner IS NOT NULL) AND (lease_owner IS NULL) = (lease_expires_at IS NULL)",
        "jobs_lease",
    ),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
sa.Index("jobs_revision", jobs.c.study_instance_uid, jobs.c.revision, unique=True)
sa.Index("jobs_waiting", jobs.c.study_instance_uid, unique=True, sqlite_where=_where("state", JobState.QUEUED))
sa.Index("jobs_state", jobs.c.state)
sa.Index("jobs_updated", jobs.c.updated_at)
sa.Index("jobs_state_updated", jobs.c.state, jobs.c.updated_at)

rejections = sa.Table(  # also of instances that are not here, or not yet
    "rejections",
    metadata,
    sa.Column("study_instance_uid", sa.Text, primary_key=True),
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("note_instance_uid", sa.Text, primary_key=True),  # of the rejection note, itself an instance
    sa.Column("title", sa.Text, nullable=False),  # of the note: its code value in the scheme DCM
    sqlite_strict=True,
)
sa.Index("rejections_note", rejections.c.note_instance_uid)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("answer_id", sa.Integer, primary_key=True),
    sa.Column("study_instance_uid", sa.Text, nullable=False),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.job_id"), nullable=False),
    sa.Column("kind", Name(AnswerKind), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", Name(AnswerState), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.CheckConstraint(_where("kind", *AnswerKind), "answers_kind"),
    sa.CheckConstraint(_where("state", *AnswerState), "answers_state"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
sa.Index("answers_study", answers.c.study_instance_uid)
sa.Index("answers_job", answers.c.job_id)
sa.Index(
    "answers_standing", answers.c.study_instance_uid, unique=True, sqlite_where=_where("state", AnswerState.STANDING)
)
sa.Index("answers_kept", answers.c.study_instance_uid, unique=True, sqlite_where=_where("state", AnswerState.KEPT))

read_instances = sa.Table(  # what an answer was read from, as it was then
    "read_instances",
    metadata,
    sa.Column("answer_id", sa.Integer, primary_key=True),
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["answer_id"], ["answers.answer_id"], ondelete="CASCADE"),
    sqlite_strict=True,
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("sop_class_uid", sa.Text, nullable=False),
    sa.Column("series_instance_uid", sa.Text, nullable=False),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.job_id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("answer_id", sa.Integer, sa.ForeignKey("answers.answer_id")),
    sqlite_strict=True,
)
sa.Index("results_answer", results.c.answer_id)
sa.Index("results_job", results.c.job_id, results.c.ordinal)
sa.Index("results_path", results.c.path, unique=True)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.job_id"), nullable=False),
    sa.Column("sop_instance_uid", sa.Text, sa.ForeignKey("results.sop_instance_uid"), nullable=False),
    sa.Column("study_instance_uid", sa.Text, nullable=False),  # of the job: within a study, the order is kept
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),  # of the result: the order of sending
    sa.Column("state", Name(DeliveryState), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("proof", Name(Proof), nullable=False),
    sa.Column("transaction_uid", sa.Text),
    sa.Column("available_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.CheckConstraint(_where("state", *DeliveryState), "deliveries_state"),
    sa.CheckConstraint(_where("proof", *Proof), "deliveries_proof"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
sa.Index("deliveries_once", deliveries.c.sop_instance_uid, deliveries.c.destination, deliveries.c.job_id, unique=True)
sa.Index("deliveries_job", deliveries.c.job_id)
sa.Index(
    "deliveries_undelivered",
    *(deliveries.c.destination, deliveries.c.job_id, deliveries.c.ordinal),
    sqlite_where=_where("state", DeliveryState.PENDING, DeliveryState.SENDING),
)
sa.Index(
    "deliveries_in_order",
    *(deliveries.c.destination, deliveries.c.study_instance_uid, deliveries.c.job_id, deliveries.c.ordinal),
    sqlite_where=_where("state", DeliveryState.PENDING, DeliveryState.SENDING),
)
sa.Index("deliveries_sent", deliveries.c.destination, sqlite_where=_where("state", DeliveryState.SENT))
sa.Index("deliveries_transaction", deliveries.c.transaction_uid, sqlite_where=sa.text("transaction_uid IS NOT NULL"))

proof_requests = sa.Table(
    "proof_requests",
    metadata,
    sa.Column("request_id", sa.Integer, primary_key=True),
    sa.Column("delivery_id", sa.Integer, nullable=False),
    sa.Column("transaction_uid", sa.Text),  # of storage commitment; a look by C-FIND has none
    sa.Column("requested_at", Time, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.CheckConstraint("answer IN ('open', 'not asked', 'failed', 'closed')", "proof_requests_answer"),
    sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.delivery_id"], ondelete="CASCADE"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
sa.Index("proof_requests_delivery", proof_requests.c.delivery_id)
sa.Index(
    "proof_requests_transaction",
    proof_requests.c.transaction_uid,
    sqlite_where=sa.text("transaction_uid IS NOT NULL"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("event_id", sa.Integer, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("study_instance_uid", sa.Text),
    sa.Column("job_id", sa.Integer),
    sa.Column("delivery_id", sa.Integer),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
sa.Index("events_study", events.c.study_instance_uid)
sa.Index("events_job", events.c.job_id, sqlite_where=sa.text("job_id IS NOT NULL"))

doomed_files = sa.Table(  # their rows are gone, the files not yet
    "doomed_files", metadata, sa.Column("path", sa.Text, primary_key=True), sqlite_strict=True
)

accessions = sa.Table(  # what a study can be searched by: the number itself is nowhere
    "accessions",
    metadata,
    sa.Column("study_instance_uid", sa.Text, sa.ForeignKey("studies.study_instance_uid"), primary_key=True),
    sa.Column("keyed_hash", sa.Text, nullable=False),
    sqlite_strict=True,
)
sa.Index("accessions_hash", accessions.c.keyed_hash)

priorities = sa.Table(  # of the studies that are not at 0
    "priorities",
    metadata,
    sa.Column("study_instance_uid", sa.Text, sa.ForeignKey("studies.study_instance_uid"), primary_key=True),
    sa.Column("priority", sa.Integer, nullable=False),
    sqlite_strict=True,
)

readings = sa.Table(  # the words of those who read an answer; rows are only added
    "readings",
    metadata,
    sa.Column("reading_id", sa.Integer, primary_key=True),
    sa.Column("answer_id", sa.Integer, sa.ForeignKey("answers.answer_id"), nullable=False),
    sa.Column("word", Name(Word), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.CheckConstraint(_where("word", *Word), "readings_word"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
sa.Index("readings_answer", readings.c.answer_id)

trials = sa.Table(  # what another bundle said of the study of an answer, beside the one in charge
    "trials",
    metadata,
    sa.Column("bundle", sa.Text, primary_key=True),  # SHA-256, as of `ModelId`
    sa.Column("answer_id", sa.Integer, primary_key=True),
    sa.Column("said", Json, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.ForeignKeyConstraint(["answer_id"], ["answers.answer_id"], ondelete="CASCADE"),
    sqlite_strict=True,
)
sa.Index("trials_answer", trials.c.answer_id)

switches = sa.Table(  # those that are on
    "switches",
    metadata,
    sa.Column("name", Name(SwitchName), primary_key=True),
    sa.Column("since", Time, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.CheckConstraint(_where("name", *SwitchName), "switches_name"),
    sqlite_strict=True,
)

tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),  # JSON object with sorted keys
    sa.Column("slot", Time, primary_key=True),  # the hour in which it was counted, or 1970 for all that is long ago
    sa.Column("value", sa.REAL, nullable=False),
    sa.Column("at", Time, nullable=False),  # when it was last added to
    sqlite_strict=True,
)
sa.Index("tallies_slot", tallies.c.name, tallies.c.slot)

cursors = sa.Table(  # up to which event a reader of events has come
    "cursors",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Integer, nullable=False),
    sqlite_strict=True,
)

sightings = sa.Table(  # of the studies that were worked on; they outlive job and study, and name neither
    "sightings",
    metadata,
    sa.Column("job_id", sa.Integer, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("bundle", sa.Text, nullable=False),
    sa.Column("scanner", sa.Text, nullable=False),
    sa.Column("in_scope", sa.Integer),
    sa.Column("band", sa.Text),
    *(sa.Column(name, sa.REAL) for name in ("probability", "spread", "brightness", "contrast", "texture")),
    sqlite_strict=True,
)
sa.Index("sightings_at", sightings.c.at)

requests = sa.Table(  # of machines, by a key of theirs
    "requests",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),  # SHA-256 of who asked and their key
    sa.Column("asked", sa.Text, nullable=False),  # SHA-256 of what for
    sa.Column("answer", sa.Text, nullable=False),  # JSON
    sa.Column("at", Time, nullable=False),
    sqlite_strict=True,
)
sa.Index("requests_at", requests.c.at)

TRIGGERS = (
    "CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events "
    "BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END",
    "CREATE TRIGGER events_outlive_their_study BEFORE DELETE ON events "
    "WHEN EXISTS (SELECT 1 FROM studies WHERE study_instance_uid = OLD.study_instance_uid) "
    "BEGIN SELECT RAISE(ABORT, 'events go only after their study'); END",
)
for _trigger in TRIGGERS:
    sa.event.listen(events, "after_create", sa.DDL(_trigger))  # type: ignore[no-untyped-call]
