"""An exam on its way through the real storage, office and attempt; clock and predictor are fake.

    with Hospital() as hospital:
        hospital.arrive("1.1", [("best", 1), ("best", 2)])     an association of its own
        hospital.wait(61)                                      the office looks, a worker works, the courier carries

Series go by name, and their rank is their order in SERIES; a series with a gap is refused, as selection does it.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

from node.config import Destination, Settings
from node.service import housekeeping
from node.service.housekeeping import CompletenessWatch
from node.work import attempt
from node.work.attempt import Attempt
from node.work.messages import Analysed, Outgoing, Task
from node.work.outcome import Outcome
from storage import Database, answers, files, instances, outbox, queue, studies
from storage.answers import NewAnswer, generation, recalled
from storage.records import Answer, Instance, Registration, Result
from storage.rejections import Rejects
from storage.states import AnswerKind, AnswerState, JobState
from tests import stored
from tests.stored import NOW

SERIES = ("odd", "best", "second", "t2", "localizer", "report")
READABLE = ("odd", "best", "second")  # by rank; "odd" is outside the scope
REASONS = {"t2": "not T1-weighted", "localizer": "localizer", "report": "no MR image"}
MEMORY = Path("/dev/shm")  # noqa: S108 (syncing costs nothing there, and nobody cuts the power)

Name = tuple[str, int]  # a series, and the number of an instance in it


@dataclass
class Clock:
    """Seconds since the hospital opened; nobody sets it but the test."""

    s: float = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.s)

    def monotonic(self) -> float:
        return self.s


class Hospital:
    """A node with one destination, and everything that the destination acknowledged."""

    def __init__(self, **completeness: Any) -> None:
        self.clock = Clock()
        self.sent: list[tuple[float, str]] = []  # when, and which SOP Instance UID
        self.predicted: Counter[str] = Counter()  # studies
        self._completeness = completeness
        self._open = ExitStack()

    def __enter__(self) -> "Hospital":
        root = self._open.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None))
        self.db: Database = self._open.enter_context(stored.opened(Path(root)))
        pacs = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)
        self.settings = Settings(data_folder=Path(root), destinations=(pacs,), completeness=self._completeness)
        for module in (housekeeping, attempt):
            self._open.enter_context(mock.patch.object(module, "_now", self.clock.now))
        self.restart_office()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def restart_office(self) -> None:
        """Its memory of silences goes."""
        self._watch = CompletenessWatch(self.settings, stored.folder(self.db), self.db, self.clock.monotonic)

    def arrive(
        self,
        study: str,
        names: Iterable[Name],
        *,
        sender: str = "SCANNER",
        expected: int | None = None,
        patient: str = "",
    ) -> int:
        """These instances come in; how many of them are new. A `patient` is a corrected one, by an archive's word."""
        return sum(self._receive(study, name, sender, expected, patient) for name in names)

    def reject(self, study: str, names: Sequence[Name]) -> None:
        """A rejection note about these instances comes in, before or after them."""
        uids = {uid_of(study, name) for name in names}
        note = self._stored(study, f"{study}.8.{_digest(*sorted(uids))[:8]}", "KO", "ARCHIVE", "a note")
        rejects = Rejects("113001", {study: uids})
        now = self.clock.now()
        instances.register(self.db, stored.folder(self.db), note, expected_instances=None, now=now, rejects=rejects)

    def _stored(self, study: str, uid: str, modality: str, sender: str, content: str) -> Instance:
        file = files.write(stored.folder(self.db), uid, [content.encode()])
        return Instance(
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            series_instance_uid=uid.rpartition(".")[0],
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality=modality,
            path=file.path,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            calling_ae_title=sender,
            received_at=self.clock.now(),
        )

    def _receive(self, study: str, name: Name, sender: str, expected: int | None, patient: str) -> bool:
        series, number = name
        content = f"{series} {number} of {study}{patient}"
        record = self._stored(study, uid_of(study, name), "SR" if series == "report" else "MR", sender, content)
        said = instances.register(
            self.db,
            stored.folder(self.db),
            record,
            expected_instances=expected,
            now=self.clock.now(),
            newest_counts=bool(patient),
        )
        if said in (Registration.DUPLICATE, Registration.CONFLICT):
            files.discard(stored.folder(self.db), self.db, record.path)
        return said is Registration.NEW

    def wait(self, seconds: float, *, step_s: float | None = None, work: bool = True) -> None:
        """Time passes; everybody does what there is to do after each step of it."""
        end_s = self.clock.s + seconds
        while self.clock.s < end_s:
            self.clock.s = min(end_s, self.clock.s + (step_s or seconds))
            self._watch.look()
            while work and self.work():
                pass
            self.carry()

    def work(self, *, dies: bool = False) -> bool:
        """A worker takes a job and sees it through, or dies of it; False when there is none."""
        job = queue.claim(self.db, "worker-1:1", 60, self.clock.now())
        if job is None:
            return False
        if dies:
            queue.release(self.db, "worker-1:", self.clock.now())
            return True
        Attempt(job, _Child(self), self.settings, self.db, Event(), lambda **_: None).run()
        return True

    def carry(self) -> None:
        """The courier sends what is due."""
        while (delivery := outbox.claim(self.db, "pacs", self.clock.now())) is not None:
            outbox.sent(self.db, delivery, "0x0000", self.clock.now())
            self.sent.append((self.clock.s, delivery.sop_instance_uid))

    def is_receiving(self) -> bool:
        """Some study may still grow, or is worked on."""
        busy = [JobState.QUEUED, JobState.RUNNING, JobState.REPORTED]
        return bool(studies.receiving(self.db) or queue.listing(self.db, states=busy, limit=1))

    def standing(self, study: str) -> Answer | None:
        """What the node says of the study."""
        every = answers.of_study(self.db, study)
        return next((each for each in every if each.state is AnswerState.STANDING), None)

    def content(self, answer: Answer) -> list[bytes]:
        """The objects of an answer, without what a fake result says of its generation."""
        results = outbox.results_of_job(self.db, answer.job_id)
        return [stored.folder(self.db).path(each.path).read_bytes() for each in results]


@dataclass
class _Child:
    """Works on a task: chooses as node/series/choice.py does, answers by key as node/work/answering.py does."""

    hospital: Hospital
    memory_mib: float = 0.0
    _said: Analysed | None = None

    def say(self, task: Task) -> None:
        self._said = self._analysed(task)

    def hear(self, within_s: float) -> Analysed | None:
        return self._said

    def kill(self) -> None:
        raise AssertionError("nothing here is over a limit")

    def _analysed(self, task: Task) -> Analysed:
        new = replace(answer := _answer(task), generation=generation(task.answers, task.job_id, answer.key))
        if recalled(task.answers, task.job_id, new.key) is not None:
            return Analysed(answer=replace(new, is_known=True), outcome=Outcome(software="0"), results=())
        self.hospital.predicted[task.study_instance_uid] += new.kind is AnswerKind.RESULT
        speaks = new.kind is not AnswerKind.NO_RESULT or new.reason.startswith("MR")
        results = tuple(self._result(task, new, kind, number) for number, kind in enumerate(("overlay", "sr_text"), 1))
        return Analysed(answer=new, outcome=Outcome(software="0"), results=results if speaks else ())

    def _result(self, task: Task, new: NewAnswer, kind: str, number: int) -> Outgoing:
        folder = stored.folder(self.hospital.db)
        uid = f"{task.study_instance_uid}.9.{int(new.key[:12], 16)}.{new.generation}.{number}"
        file = files.write(folder, uid, [f"{kind}: {new.reason} {new.key}".encode()], area="results")
        result = Result(
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
            series_instance_uid=uid.rpartition(".")[0],
            job_id=task.job_id,
            kind=kind,
            ordinal=number,
            path=file.path,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
        )
        return Outgoing(result=result, destinations=("pacs",))


def uid_of(study: str, name: Name) -> str:
    """The SOP Instance UID of an instance of the exam."""
    return f"{study}.{SERIES.index(name[0]) + 1}.{name[1]}"


def _answer(task: Task) -> NewAnswer:
    """The first series by rank that is whole and in scope, else one that is whole, else why there is none."""
    content = {each.sop_instance_uid: each.sha256 for each in task.instances}
    series: dict[str, list[int]] = {}
    for uid in content:
        number, instance = uid.rsplit(".", 2)[1:]
        series.setdefault(SERIES[int(number) - 1], []).append(int(instance))
    whole = [name for name in READABLE if _is_regular(series.get(name, []))]
    best = next((name for name in whole if name != "odd"), "")
    if best or whole:
        name = best or whole[0]
        read = sorted(uid for uid in content if SERIES[int(uid.rsplit(".", 2)[1]) - 1] == name)
        kind = AnswerKind.RESULT if best else AnswerKind.OUT_OF_SCOPE
        key = _digest(kind, *(part for uid in read for part in (uid, content[uid])))
        return NewAnswer(kind, key, f"read {name}", read={uid: content[uid] for uid in read})
    reasons = sorted({REASONS.get(name, "a gap") for name in series})
    modality = "MR" if set(series) != {"report"} else "nothing"
    return NewAnswer(AnswerKind.NO_RESULT, _digest("none", *reasons), f"{modality}: {', '.join(reasons)}")


def _is_regular(numbers: Sequence[int]) -> bool:
    """At least two slices, and none missing between them."""
    return len(numbers) > 1 and len(numbers) == max(numbers) - min(numbers) + 1


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
