"""Room on a disk that is too full: received instances go before their age says so, oldest first.

Only of studies whose every job is done, skipped or cancelled and every result with its destination. What failed may
still be retried, and what is unfinished needs its instances: both stay, however full the disk is.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from storage import files
from storage.engine import Database
from storage.folder import DataFolder
from storage.retention import purge_study, undelivered
from storage.schema import instances, jobs, studies
from storage.states import JobState, StudyState

_ENDED_WELL = (JobState.DONE, JobState.SKIPPED, JobState.CANCELLED)


def make_room(
    db: Database,
    folder: DataFolder,
    is_full: Callable[[], bool],
    now: datetime,
    *,
    on_gone: Callable[[str], None] = lambda _: None,
) -> int:
    """Delete the instances of one study after the other while the disk `is_full`; how many studies.

    Those that ended longest ago go first; `on_gone` hears the Study Instance UID of each.
    """
    found = _ended_and_delivered()
    ended_at = sa.select(sa.func.max(jobs.c.updated_at)).where(
        jobs.c.study_instance_uid == studies.c.study_instance_uid
    )
    with db.reading() as connection:
        candidates: list[str] = list(connection.execute(found.order_by(ended_at.scalar_subquery())).scalars())
    purged = 0
    for uid in candidates:
        if not is_full():
            break
        if purge_study(db, found, uid, "to make room", now):
            files.delete_doomed(folder, db)
            on_gone(uid)
            purged += 1
    return purged


def _ended_and_delivered() -> sa.Select[Any]:
    of_study = jobs.c.study_instance_uid == studies.c.study_instance_uid
    return sa.select(studies.c.study_instance_uid).where(
        studies.c.state == StudyState.STABLE,
        sa.exists().where(instances.c.study_instance_uid == studies.c.study_instance_uid),
        sa.exists().where(of_study),
        ~sa.exists().where(of_study, sa.or_(jobs.c.state.not_in(_ENDED_WELL), undelivered())),
    )
