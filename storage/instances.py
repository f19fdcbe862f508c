"""Received instances: registered once; one at a time, or many in one transaction."""

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage import events, moves, studies
from storage.engine import Database
from storage.folder import DataFolder
from storage.records import Instance, Registration
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
) -> Registration:
    """Note an instance whose file is durable.

    `is_same` is asked about the known instance of this UID when its bytes differ: whether they say the same.

    A study that was stable goes back to RECEIVING with its next revision. DUPLICATE and CONFLICT leave the rows as they
    are, but a duplicate is taken in place of a stored file that has gone or was cut short; the caller then drops its
    own file with `files.discard`, which keeps what a row refers to.

    Raises DatabaseBusy, StorageFull, DatabaseUnusable: then nothing is noted, and the sender must not hear of success.
    """
    with db.transaction() as connection:
        known = connection.execute(_KNOWN, {"uid": instance.sop_instance_uid}).one_or_none()
        if known is not None:
            return _again(db, folder, connection, Instance(**known._asdict()), instance, now, is_same)
        _add(db, connection, [Arrival(instance, expected_instances)], now)
        return Registration.NEW


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


def _note_study(connection: sa.Connection, arrivals: Sequence[Arrival], now: datetime) -> int:
    """The revision of the study with which the instances count."""
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
        "instances": study.instances + count,
        "version": study.version + count,
        "last_received_at": now,
        "calling_ae_titles": _once([*study.calling_ae_titles, *senders]),
    }
    if study.state is StudyState.RECEIVING:
        connection.execute(_GROW_STUDY, grown | {"uid": study.study_instance_uid})
        return study.revision
    revision = study.revision + 1
    reason = f"a late instance came from {first.calling_ae_title}: revision {revision} begins"
    moves.study(connection, study, StudyState.RECEIVING, reason, now, revision=revision, **grown)
    return revision


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
