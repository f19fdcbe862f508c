"""Received instances: registered once, in one transaction, before the sender hears of success."""

import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage import events, moves, studies
from storage.engine import Database
from storage.folder import DataFolder
from storage.records import Instance, Registration, Study
from storage.schema import columns, doomed_files, instances, series
from storage.schema import studies as studies_table
from storage.states import StudyState


def register(
    db: Database, folder: DataFolder, instance: Instance, *, expected_instances: int | None, now: datetime
) -> Registration:
    """Note an instance whose file is durable.

    A study that was stable goes back to RECEIVING with its next revision. DUPLICATE and CONFLICT leave the rows as they
    are, but a duplicate is taken in place of a stored file that has gone or was cut short; the caller then drops its
    own file with `files.discard`, which keeps what a row refers to.

    Raises DatabaseBusy, StorageFull, DatabaseUnusable: then nothing is noted, and the sender must not hear of success.
    """
    with db.transaction() as connection:
        known = connection.execute(_KNOWN, {"uid": instance.sop_instance_uid}).one_or_none()
        if known is not None:
            return _again(db, folder, connection, Instance(**known._asdict()), instance, now)
        revision = _note_study(connection, instance, expected_instances, now)
        _grow_series(db, connection, instance)
        connection.execute(instances.insert(), vars(instance) | {"revision": revision})
        return Registration.NEW


def of_study(db: Database, study_instance_uid: str, *, up_to_revision: int | None = None) -> list[Instance]:
    """The instances of a study, by series and UID: an order that does not depend on how they came.

    With `up_to_revision`, only those that the job of this revision is about: what came later is for the next one.
    """
    query = (
        sa.select(*columns(instances, Instance))
        .where(instances.c.study_instance_uid == study_instance_uid)
        .order_by(instances.c.series_instance_uid, instances.c.sop_instance_uid)
    )
    if up_to_revision is not None:
        query = query.where(instances.c.revision <= up_to_revision)
    with db.reading() as connection:
        return [Instance(**row._asdict()) for row in connection.execute(query)]


def find(db: Database, sop_instance_uid: str) -> Instance | None:
    """The instance, if it is stored."""
    with db.reading() as connection:
        row = connection.execute(_KNOWN, {"uid": sop_instance_uid}).one_or_none()
    return None if row is None else Instance(**row._asdict())


_KNOWN = sa.select(*columns(instances, Instance)).where(instances.c.sop_instance_uid == sa.bindparam("uid"))

_GROW_STUDY = studies_table.update().where(studies_table.c.study_instance_uid == sa.bindparam("uid"))


def _values(instance: Instance, *names: str) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in names}


def _grow_series(db: Database, connection: sa.Connection, instance: Instance) -> None:
    first = _values(instance, "study_instance_uid", "series_instance_uid", "modality") | {"instances": 1}
    connection.execute(
        db.backend.insert(series)
        .values(first)
        .on_conflict_do_update(
            index_elements=["study_instance_uid", "series_instance_uid"], set_={"instances": series.c.instances + 1}
        )
    )


def _note_study(connection: sa.Connection, instance: Instance, expected_instances: int | None, now: datetime) -> int:
    """The revision of the study with which the instance counts."""
    study = studies.find(connection, instance.study_instance_uid)
    if study is None:
        _open_study(connection, instance, expected_instances, now)
        return 1
    grown = {
        "instances": study.instances + 1,
        "last_received_at": now,
        "expected_instances": study.expected_instances if expected_instances is None else expected_instances,
        "calling_ae_titles": _with(study, instance.calling_ae_title),
    }
    if study.state is StudyState.RECEIVING:
        connection.execute(_GROW_STUDY, grown | {"uid": study.study_instance_uid})
        return study.revision
    revision = study.revision + 1
    reason = f"a late instance came from {instance.calling_ae_title}: revision {revision} begins"
    moves.study(connection, study, StudyState.RECEIVING, reason, now, revision=revision, **grown)
    return revision


def _open_study(connection: sa.Connection, instance: Instance, expected_instances: int | None, now: datetime) -> None:
    uid = instance.study_instance_uid
    connection.execute(
        studies_table.insert().values(
            study_instance_uid=uid,
            state=StudyState.RECEIVING,
            revision=1,
            instances=1,
            expected_instances=expected_instances,
            first_received_at=now,
            last_received_at=now,
            calling_ae_titles=(instance.calling_ae_title,),
        )
    )
    reason = f"first instance stored, from {instance.calling_ae_title}"
    events.append(connection, at=now, name="study receiving", study=uid, after=StudyState.RECEIVING, reason=reason)


def _again(
    db: Database, folder: DataFolder, connection: sa.Connection, known: Instance, instance: Instance, now: datetime
) -> Registration:
    def note(name: str, reason: str) -> None:
        events.append(connection, at=now, name=name, study=known.study_instance_uid, reason=reason)

    uid, sender = instance.sop_instance_uid, instance.calling_ae_title
    if known.sha256 != instance.sha256:
        note("instance refused", f"{uid} came from {sender} with another content: the first is kept")
        return Registration.CONFLICT
    study = studies.find(connection, known.study_instance_uid)
    if study is not None and sender not in study.calling_ae_titles:
        connection.execute(_GROW_STUDY, {"uid": study.study_instance_uid, "calling_ae_titles": _with(study, sender)})
    if known.path != instance.path and not _is_there(folder.path(known.path), known.size_bytes):
        connection.execute(db.backend.insert(doomed_files).values(path=known.path).on_conflict_do_nothing())
        connection.execute(
            instances.update()
            .where(instances.c.sop_instance_uid == uid)
            .values(**_values(instance, "path", "size_bytes", "transfer_syntax_uid"))
        )
        note("instance stored again", f"{uid}: its file was lost, {sender} sent it again")
    return Registration.DUPLICATE


def _is_there(path: Path, size_bytes: int) -> bool:
    """A glance at the file: whether its content is whole, `files.verify` tells when it is used."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size_bytes


def _with(study: Study, calling_ae_title: str) -> tuple[str, ...]:
    """Every sender once, in the order in which they came."""
    return tuple(dict.fromkeys((*study.calling_ae_titles, calling_ae_title)))
