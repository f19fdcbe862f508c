"""What goes to a destination over one association, for whoever else wants to know of it: the audit trail."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from storage import Database, outbox, queue


class Cargo:
    """Results of one study, counted by SOP Class UID."""

    def __init__(self, study_instance_uid: str, classes: dict[Path, str]) -> None:
        """`classes` has the SOP class of each file that is planned to go."""
        self.study_instance_uid = study_instance_uid
        self.planned = Counter(classes.values())
        self.acknowledged = Counter[str]()
        self._classes = classes

    def taken(self, path: Path, *, accepted: bool) -> None:
        """The destination answered for this file."""
        if accepted:
            self.acknowledged[self._classes.get(path, "")] += 1


class Witness(Protocol):
    """Must not raise, and must not take long."""

    @property
    def is_on(self) -> bool:
        """Whether it wants to know."""

    def begins(self, cargo: Cargo) -> None:
        """It is about to be sent."""

    def ended(self, cargo: Cargo) -> None:
        """The association is over."""


@contextmanager
def witnessed(witness: Witness | None, db: Database, job_id: int, paths: Iterable[Path]) -> Iterator[Cargo]:
    """The cargo of one association, of which the witness hears before and after."""
    if witness is None or not witness.is_on:
        yield Cargo("", {})
        return
    of_file = {Path(each.path).name: each.sop_class_uid for each in outbox.results_of_job(db, job_id)}
    cargo = Cargo(queue.get(db, job_id).study_instance_uid, {path: of_file.get(path.name, "") for path in paths})
    witness.begins(cargo)
    try:
        yield cargo
    finally:
        witness.ended(cargo)
