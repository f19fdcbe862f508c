"""SQLite changes no constraint of a table: one that grows is made anew, and its rows wait in a copy meanwhile."""

import sqlalchemy as sa
from alembic import op


def made_anew(table: str, statements: tuple[str, ...], values: str) -> None:
    """The table by these statements, with these values of each row that it had; numbers once given stay given."""
    given = (
        op.get_bind().execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table}).scalar()
    )
    op.execute(f"CREATE TABLE {table}_before AS SELECT * FROM {table}")  # noqa: S608 (names of a step)
    op.execute(f"DROP TABLE {table}")
    for statement in statements:
        op.execute(statement)
    op.execute(f"INSERT INTO {table} SELECT {values} FROM {table}_before")  # noqa: S608
    op.execute(f"DROP TABLE {table}_before")
    if given is not None:
        op.get_bind().execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
        given_again = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)")
        op.get_bind().execute(given_again, {"name": table, "seq": given})
