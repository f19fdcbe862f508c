"""The steps that brought the schema to where it is; each opening of a database takes those that it has not seen.

A step is a module in `versions/`, written by hand, with `revision` and `down_revision`. There is no alembic.ini: a user
runs nothing. All steps of one opening are one transaction: a crash leaves the old schema or the new one.
"""

from pathlib import Path

import sqlalchemy as sa

from storage.errors import DatabaseUnusable
from storage.schema import HEAD


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to `schema.HEAD`.

    Raises DatabaseUnusable when it was written by a newer program.
    """
    current = _current(connection)
    if current == HEAD:
        return
    from alembic.config import Config  # slow to import, and seldom needed
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(Path(__file__).parent))
    if current is not None and current not in {step.revision for step in steps.walk_revisions()}:
        raise DatabaseUnusable(
            f"the database has the schema {current}, this program knows up to {HEAD}: it was written by a newer version"
        )
    with EnvironmentContext(Config(), steps) as environment:
        environment.configure(
            connection=connection, transactional_ddl=True, fn=lambda revision, _: steps._upgrade_revs("head", revision)
        )
        environment.run_migrations()


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
