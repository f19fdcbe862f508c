"""Received instances: registered once; one at a time, or many in one transaction."""

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage import events, moves, readings, rejections, studies, withdrawals
from storage.engine import Database
from storage.folder import DataFolder
from storage.readings import Heard
from storage.records import Instance, Registration, Study
from storage.rejections import NOTHING, Rejects
from storage.schema import columns, doomed_files, instances, series
from storage.schema import studies as studies_table
from storage.states import StudyState


@dataclass(frozen=True)
class Arrival:
    """An instance whose file is durable, and what else its rows need."""

    instance: Instance
    expected_instances: int | None = None  # of its study, as its sender counts


def register(
    db: Database,
    folder: DataFolder,
    instance: Instance,
    *,
    expected_instances: int | None,
    now: datetime,
    is_same: Callable[[Instance], bool] = lambda known: False,
    newest_counts: bool = False,
    rejects: Rejects = NOTHING,
    heard: Sequence[Heard] = (),
) -> Registration:
    """Note an instance whose file is durable.

    `is_same` is asked about the known instance of this UID when its bytes differ: whether they say the same. If they
    do not, the first is kept, or with `newest_counts` this one takes its place, in another study where it says so.
    `rejects` and `heard` are what it says of others, when it is a rejection note, or a reader's report on one of ours.

    A study that was stable goes back to RECEIVING with its next revision. DUPLICATE and CONFLICT leave the rows as they
    are, but a duplicate is taken in place of a stored file that has gone or was cut short; the caller then drops its
    own file with `files.discard`, which keeps what a row refers to. The file that was replaced is doomed.

    Raises DatabaseBusy, StorageFull, DatabaseUnusable: then nothing is noted, and the sender must not hear of success.
    """
    with db.transaction() as connection:
        known = connection.execute(_KNOWN, {"uid": instance.sop_instance_uid}).one_or_none()
        if known is None:
            _add(db, connection, [Arrival(instance, expected_instances)], now)
            _note_what_it_says(connection, instance, rejects, heard, now)
            return Registration.NEW
        before = Instance(**known._asdict())
        if newest_counts and before.sha256 != instance.sha256 and not is_same(before):
            _replace(db, connection, before, Arrival(instance, expected_instances), now)
            _note_what_it_says(connection, instance, rejects, heard, now)
            return Registration.REPLACED
        return _again(db, folder, connection, before, instance, now, is_same)


def register_all(db: Database, arrivals: Sequence[Arrival], now: datetime) -> list[Arrival]:
    """Note those whose UID is new, in one transaction, as if one came after the other; the others are returned.

    No UID is there twice. Raises as `register` does: then nothing is noted.
    """
    uids = [each.instance.sop_instance_uid for each in arrivals]
    with db.transaction() as connection:
        query = sa.select(instances.c.sop_instance_uid).where(instances.c.sop_instance_uid.in_(uids))
        known = set(connection.execute(query).scalars())
        new = [each for each in arrivals if each.instance.sop_instance_uid not in known]
        for group in _by_study(new):
            _add(db, connection, group, now)
    return [each for each in arrivals if each.instance.sop_instance_uid in known]


def is_known(db: Database, sop_instance_uid: str) -> bool:
    """Whether it is stored; quicker than `find`."""
    return db.finds("SELECT 1 FROM instances WHERE sop_instance_uid = ?", sop_instance_uid)


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


def readable(db: Database, study_instance_uid: str, up_to_revision: int) -> list[Instance]:
    """As `of_study`, without those that were rejected, and without the notes that reject them."""
    unread = sa.select(instances.c.sop_instance_uid).where(
        instances.c.study_instance_uid == study_instance_uid, sa.or_(rejections.is_rejected(), rejections.is_note())
    )
    with db.reading() as connection:
        left_out = set(connection.execute(unread).scalars())
    every = of_study(db, study_instance_uid, up_to_revision=up_to_revision)
    return [each for each in every if each.sop_instance_uid not in left_out]


def find(db: Database, sop_instance_uid: str) -> Instance | None:
    """The instance, if it is stored."""
    with db.reading() as connection:
        row = connection.execute(_KNOWN, {"uid": sop_instance_uid}).one_or_none()
    return None if row is None else Instance(**row._asdict())


_KNOWN = sa.select(*columns(instances, Instance)).where(instances.c.sop_instance_uid == sa.bindparam("uid"))

_GROW_STUDY = studies_table.update().where(studies_table.c.study_instance_uid == sa.bindparam("uid"))


def _values(instance: Instance, *names: str) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in names}


def _by_study(arrivals: Iterable[Arrival]) -> Iterable[list[Arrival]]:
    groups: dict[str, list[Arrival]] = {}
    for each in arrivals:
        groups.setdefault(each.instance.study_instance_uid, []).append(each)
    return groups.values()


def _add(db: Database, connection: sa.Connection, arrivals: Sequence[Arrival], now: datetime) -> None:
    """The rows of instances of one study that are not known yet."""
    revision = _note_study(connection, arrivals, now)
    _grow_series(db, connection, [each.instance for each in arrivals])
    connection.execute(instances.insert(), [vars(each.instance) | {"revision": revision} for each in arrivals])


def _grow_series(db: Database, connection: sa.Connection, new: Sequence[Instance]) -> None:
    counts = Counter(each.series_instance_uid for each in new)
    firsts = {each.series_instance_uid: each for each in reversed(new)}
    insert = db.backend.insert(series)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["study_instance_uid", "series_instance_uid"],
            set_={"instances": series.c.instances + insert.excluded.instances},
        ),
        [
            _values(firsts[uid], "study_instance_uid", "series_instance_uid", "modality") | {"instances": count}
            for uid, count in counts.items()
        ],
    )


def _note_study(
    connection: sa.Connection, arrivals: Sequence[Arrival], now: datetime, *, had_before: bool = False
) -> int:
    """The revision of the study with which the instances count; `had_before`: it had them in another version."""
    first, count = arrivals[0].instance, len(arrivals)
    senders = [each.instance.calling_ae_title for each in arrivals]
    expected = [each.expected_instances for each in arrivals if each.expected_instances is not None]
    counted = {"expected_instances": expected[-1]} if expected else {}
    study = studies.find(connection, first.study_instance_uid)
    if study is None:
        values = counted | {"instances": count, "version": count, "calling_ae_titles": _once(senders)}
        _open_study(connection, first, now, values)
        return 1
    grown = counted | {
        "instances": study.instances + (0 if had_before else count),
        "calling_ae_titles": _once([*study.calling_ae_titles, *senders]),
    }
    what = "a newer version of an instance" if had_before else "a late instance"
    return _changed(connection, study, f"{what} came from {senders[0]}", now, times=count, **grown)


def _changed(connection: sa.Connection, study: Study, why: str, now: datetime, *, times: int = 1, **values: Any) -> int:
    """The revision of a study that is not what it was; it is received again if it was stable."""
    values |= {"version": study.version + times, "last_received_at": now}
    if study.state is StudyState.RECEIVING:
        connection.execute(_GROW_STUDY, values | {"uid": study.study_instance_uid})
        return study.revision
    revision = study.revision + 1
    reason = f"{why}: revision {revision} begins"
    moves.study(connection, study, StudyState.RECEIVING, reason, now, revision=revision, **values)
    return revision


def _replace(
    db: Database,
    connection: sa.Connection,
    before: Instance,
    newer: Arrival,
    now: datetime,
) -> None:
    """The newer version takes the place of the one before, whose file is doomed; it may be of another study."""
    instance = newer.instance
    uid, moved = instance.sop_instance_uid, before.study_instance_uid != instance.study_instance_uid
    revision = _note_study(connection, [newer], now, had_before=not moved)
    _grow_series(db, connection, [instance])
    connection.execute(
        instances.update().where(instances.c.sop_instance_uid == uid).values(vars(instance) | {"revision": revision})
    )
    _shrink_series(connection, before)
    connection.execute(db.backend.insert(doomed_files).values(path=before.path).on_conflict_do_nothing())
    for study in rejections.forget(connection, uid):
        _reject(connection, study, f"the rejection note {uid} became another", now)
    where = f", from study {before.study_instance_uid}" if moved else ""
    reason = f"{uid}: a newer version came from {instance.calling_ae_title}{where}"
    events.append(connection, at=now, name="instance replaced", study=instance.study_instance_uid, reason=reason)
    if moved:
        _lose(connection, before, instance, now)


def _lose(connection: sa.Connection, before: Instance, instance: Instance, now: datetime) -> None:
    """The study that an instance was moved out of: what was said of it by that instance is revoked."""
    study = studies.find(connection, before.study_instance_uid)
    if study is not None:
        why = f"{before.sop_instance_uid} belongs to study {instance.study_instance_uid} now"
        _changed(connection, study, why, now, instances=study.instances - 1, expected_instances=None)
        withdrawals.revoke_changed(connection, study.study_instance_uid, now, replaced=False)


def _note_what_it_says(
    connection: sa.Connection, new: Instance, rejects: Rejects, heard: Iterable[Heard], now: datetime
) -> None:
    _note_rejections(connection, new, rejects, now)
    for each in heard:
        readings.hear(connection, each, now)


def _note_rejections(connection: sa.Connection, note: Instance, rejects: Rejects, now: datetime) -> None:
    if not rejects.instances:
        return
    uid, sender = note.sop_instance_uid, note.calling_ae_title
    for study in rejections.note(connection, uid, rejects):
        _reject(connection, study, f"{sender} sent the rejection note {uid}", now)
    withdrawals.withdraw_rejected(connection, uid, f"{sender} rejected its report by the note {uid}", now)


def _reject(connection: sa.Connection, study_instance_uid: str, why: str, now: datetime) -> None:
    """Other instances of the study may be read from now on."""
    study = studies.find(connection, study_instance_uid)
    if study is not None:
        _changed(connection, study, why, now)
        events.append(connection, at=now, name="instances rejected", study=study_instance_uid, reason=why)
        withdrawals.revoke_changed(connection, study_instance_uid, now, replaced=False)


def _shrink_series(connection: sa.Connection, instance: Instance) -> None:
    """It has one instance less; without any it goes."""
    this = (
        series.c.study_instance_uid == instance.study_instance_uid,
        series.c.series_instance_uid == instance.series_instance_uid,
    )
    connection.execute(series.update().where(*this).values(instances=series.c.instances - 1))
    connection.execute(series.delete().where(*this, series.c.instances == 0))


def _open_study(connection: sa.Connection, first: Instance, now: datetime, values: dict[str, Any]) -> None:
    uid = first.study_instance_uid
    connection.execute(
        studies_table.insert().values(
            study_instance_uid=uid,
            state=StudyState.RECEIVING,
            revision=1,
            first_received_at=now,
            last_received_at=now,
            **values,
        )
    )
    reason = f"first instance stored, from {first.calling_ae_title}"
    events.append(connection, at=now, name="study receiving", study=uid, after=StudyState.RECEIVING, reason=reason)


def _again(
    db: Database,
    folder: DataFolder,
    connection: sa.Connection,
    known: Instance,
    instance: Instance,
    now: datetime,
    is_same: Callable[[Instance], bool],
) -> Registration:
    def note(name: str, reason: str) -> None:
        events.append(connection, at=now, name=name, study=known.study_instance_uid, reason=reason)

    uid, sender = instance.sop_instance_uid, instance.calling_ae_title
    if known.sha256 != instance.sha256 and not is_same(known):
        note("instance refused", f"{uid} came from {sender} with another content: the first is kept")
        return Registration.CONFLICT
    study = studies.find(connection, known.study_instance_uid)
    if study is not None and sender not in study.calling_ae_titles:
        titles = _once([*study.calling_ae_titles, sender])
        connection.execute(_GROW_STUDY, {"uid": study.study_instance_uid, "calling_ae_titles": titles})
    if known.path != instance.path and not _is_there(folder.path(known.path), known.size_bytes):
        connection.execute(db.backend.insert(doomed_files).values(path=known.path).on_conflict_do_nothing())
        connection.execute(
            instances.update()
            .where(instances.c.sop_instance_uid == uid)
            .values(**_values(instance, "path", "sha256", "size_bytes", "transfer_syntax_uid"))
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


def _once(calling_ae_titles: Iterable[str]) -> tuple[str, ...]:
    """Every sender once, in the order in which they came."""
    return tuple(dict.fromkeys(calling_ae_titles))
