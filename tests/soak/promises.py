"""What a node promises, counted after a soak; every line with its number, and what broke it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from node.dicom import part10
from storage import Database, DataFolder, answers, files, instances, outbox, queue, studies
from storage.engine import quick_check
from storage.errors import StorageError
from storage.states import AnswerState, DeliveryState, JobState
from tests.destination import Destination
from tests.soak.traffic import Sent

ENDED = {JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED}
UNDER_WAY = {DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.REFUSED}
READABLE = ("whole", "in pieces")


@dataclass
class Account:
    """Counts in the order of the table, and broken promises."""

    counts: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, what: str, number: int, *, broken: bool = False) -> None:
        self.counts[what] = number
        if broken:
            self.broken.append(f"{what}: {number}")

    def __str__(self) -> str:
        width = max(len(what) for what in self.counts)
        lines = [f"{what:<{width}}  {number:>8,}" for what, number in self.counts.items()]
        return "\n".join([*lines, *(f"BROKEN  {each}" for each in self.broken)])


def all_ended(db: Database, sent: Sent) -> bool:
    """Whether nothing is left to do."""
    jobs = queue.listing(db)
    if any(job.state not in ENDED for job in jobs):
        return False
    if any(state in (DeliveryState.PENDING, DeliveryState.SENDING) for _, state in outbox.counts(db)):
        return False
    return {job.study_instance_uid for job in jobs} >= sent.studies.keys()


def account(folder: DataFolder, db: Database, sent: Sent, pacs: Destination, interruptions: int) -> Account:
    """Of a node that has come to rest."""
    found = Account()
    _instances(found, folder, db, sent)
    _jobs(found, db, sent)
    _results(found, pacs, interruptions)
    _folder(found, folder, db)
    found.broken += sent.wrong
    return found


def _instances(found: Account, folder: DataFolder, db: Database, sent: Sent) -> None:
    kept, altered = 0, 0
    for uid, digest in sent.acknowledged.items():
        instance = instances.find(db, uid)
        if instance is None:
            continue
        try:
            path = files.verify(folder, instance.path, instance.sha256)
        except StorageError:
            continue
        kept += 1
        altered += _digest(path) != digest
    lost = len(sent.acknowledged) - kept
    found.count("instances acknowledged", len(sent.acknowledged))
    found.count("  of these lost", lost, broken=lost > 0)
    found.count("  of these altered", altered, broken=altered > 0)


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()[part10.read_meta(path).data_set_offset :]).hexdigest()


def _jobs(found: Account, db: Database, sent: Sent) -> None:
    jobs = queue.listing(db)
    newest = {job.study_instance_uid: job for job in reversed(jobs)}
    states = Counter(job.state for job in jobs)
    found.count("studies", len(sent.studies))
    jobless = len(sent.studies.keys() - newest.keys())
    found.count("  without a job", jobless, broken=jobless > 0)
    found.broken += [f"{kind}: {studies.get(db, uid)}" for uid, kind in sent.studies.items() if uid not in newest]
    for state in JobState:
        found.count(f"jobs {state}", states[state], broken=state not in ENDED and states[state] > 0)
    wrong = [
        f"{kind} study ended {newest[uid].state}: {newest[uid].reason}"
        for uid, kind in sent.studies.items()
        if uid in newest and newest[uid].state not in _right_ends(kind)
    ]
    found.count("studies that ended as they should not", len(wrong), broken=bool(wrong))
    found.broken += wrong[:5]
    standing = {uid: sum(each.state is AnswerState.STANDING for each in answers.of_study(db, uid)) for uid in newest}
    several = sum(number > 1 for number in standing.values())
    none = sum(standing.get(uid) != 1 for uid, kind in sent.studies.items() if kind in READABLE)
    found.count("studies with several standing answers", several, broken=several > 0)
    found.count("readable studies without one", none, broken=none > 0)
    refused = sum(number for (_, state), number in outbox.counts(db).items() if state in UNDER_WAY)
    found.count("deliveries that did not end well", refused, broken=refused > 0)


def _right_ends(kind: str) -> set[JobState]:
    """Of a study of this kind; one whose late series came first, or alone, is as unreadable as that series."""
    match kind:
        case "two patients":
            return {JobState.FAILED}
        case "unreadable":
            return {JobState.SKIPPED, JobState.DONE}
        case _:
            return {JobState.DONE}


def _results(found: Account, pacs: Destination, interruptions: int) -> None:
    times = Counter(uid for uid, _ in pacs.stored)
    repeated = sum(number - 1 for number in times.values())
    two = sum(len(contents) > 1 for contents in pacs.contents.values())
    found.count("results at the destination", len(times))
    found.count("  sent a second time", repeated, broken=repeated > interruptions)
    found.count("  interruptions that allow it", interruptions)
    found.count("  with two contents", two, broken=two > 0)
    for modality, number in sorted(pacs.modalities.items()):
        found.count(f"  {modality}", number)


def _folder(found: Account, folder: DataFolder, db: Database) -> None:
    """A result whose worker died, or was refused room, before its row is a stray that the office sweeps in time."""
    left = len(list((folder.root / "tmp").iterdir()))
    found.count("unfinished files", left, broken=left > 0)
    found.count("stray results swept", files.sweep(folder, db, datetime.now(UTC), grace_s=0).strays)
    orphans = [*files.orphans(folder, db), *files.orphans(folder, db, "results")]
    found.count("files without a row", len(orphans), broken=bool(orphans))
    found.broken += orphans
    try:
        quick_check(db)
    except StorageError as error:
        found.broken.append(str(error))
