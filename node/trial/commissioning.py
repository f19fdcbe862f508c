"""A bundle against the labels of a site: each labelled study is answered as in service, and the report is kept.

    commissioning/<sha256 of the bundle>/<time>.json        what was found, study by study and in numbers
                                         <time>.json.sig    its signature (node/trial/signing.py)
                                         <time>.html        the same for people

The report knows a study by a keyed hash of its UID; it names neither patients nor studies.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from model import Predictor
from node.config import Settings
from node.dicom.values import number, text, words
from node.errors import UnreadableInstance
from node.offline import predictions
from node.series.choice import Limits
from node.series.pixels import open_header
from node.series.subject import age_years
from node.series.volume import read_series
from node.trial import answering, signing
from node.trial.answering import Said, Tell, Tried
from node.trial.labels import Labels
from node.work.analysis import scanner_of
from node.work.outcome import Outcome
from storage import Database, DataFolder, instances, trials
from storage.accessions import keyed_hash
from storage.folder import make_durably, sync
from storage.records import Job


@dataclass(frozen=True)
class Case:
    """A labelled study, what is known of it, and what the bundle says.

    line             of the table, that has the label
    study, subject   keyed hashes of its UID, and of its PatientID
    field_strength   tesla; age: years; None where the header does not say
    sex              F, M or O; "" where the header does not say
    """

    line: int
    study: str
    subject: str
    label: int
    scanner: str
    field_strength: float | None
    age: float | None
    sex: str
    said: Said

    @classmethod
    def of(cls, tried: Tried, header: Dataset, labels: Labels, folder: DataFolder) -> "Case":
        """`header` is of any instance that names the study as the table does."""
        name = labels.name(header)
        header = tried.header or header
        patient = text(header, "PatientID") or tried.study_instance_uid
        sex = words(header, "PatientSex") & {"F", "M", "O"}
        age = age_years(header)
        return cls(
            line=labels.lines[name],
            study=keyed_hash(folder, f"study {tried.study_instance_uid}"),
            subject=keyed_hash(folder, f"patient {patient}"),
            label=labels.of_value[name],
            scanner=Outcome(scanner=scanner_of(header)).scanner_name,
            field_strength=number(header, "MagneticFieldStrength"),
            age=None if age is None else round(age, 1),
            sex=next(iter(sex), ""),
            said=tried.said,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values; whose study it is, is not in it."""
        names = ("study", "label", "scanner", "field_strength", "age", "sex")
        said = ("probability", "spread", "band", "in_scope", "reason")
        return {name: getattr(self, name) for name in names} | {name: getattr(self.said, name) for name in said}


def of_stored(
    db: Database, folder: DataFolder, settings: Settings, predictor: Predictor, labels: Labels, tell: Tell
) -> Iterator[Case]:
    """Every stored study that has a label."""
    known = [(job, header) for job in trials.newest_jobs(db) if (header := _header(db, folder, job)) is not None]
    labelled = [(job, header) for job, header in known if labels.has(header)]
    for place, (job, header) in enumerate(labelled):
        tell("answers labelled studies", place, len(labelled))
        tried = answering.of_job(db, folder, settings, predictor, job, lambda *_: None)
        yield Case.of(tried, header, labels, folder)


def of_folder(
    path: Path, folder: DataFolder, predictor: Predictor, limits: Limits, labels: Labels, tell: Tell
) -> Iterator[Case]:
    """Every study in this folder of DICOM files that has a label; `folder` holds the key of the hashes."""
    tell("reads headers", 0, 0)
    studies = read_series(predictions.find([path]).others).studies
    labelled = [(uid, series) for uid, series in studies.items() if labels.has(series[0].headers[0])]
    for place, (uid, series) in enumerate(labelled):
        tell("answers labelled studies", place, len(labelled))
        tried = answering.of_series(uid, series, predictor, limits, lambda *_: None)
        yield Case.of(tried, series[0].headers[0], labels, folder)


def report(cases: Sequence[Case], predictor: Predictor, summary: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The report as plain values."""
    model = predictor.model_id
    return {
        "version": 1,
        "bundle": {name: getattr(model, name) for name in ("name", "version", "sha256", "trained")},
        "made": now.astimezone(UTC).isoformat(timespec="seconds"),
        "software": version("neurossl-node"),
        "studies": [each.as_json() for each in cases],
        "summary": summary,
    }


@dataclass(frozen=True)
class Kept:
    """A report where it lies, and its signature."""

    path: Path
    sha256: str
    signature: str  # Ed25519 over the file, base64


def keep(folder: DataFolder, content: dict[str, Any], page: str, now: datetime) -> Kept:
    """Write report, page and signature, durably. Raises FolderUnusable, OSError."""
    place = folder.root / signing.REPORTS / content["bundle"]["sha256"]
    for each in (folder.root / signing.REPORTS, place):
        make_durably(each)
    text = json.dumps(content, indent=2, allow_nan=False).encode() + b"\n"
    path = place / f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.json"
    signed = signing.sign(folder, text)
    _write(path.with_suffix(".html"), page.encode())
    _write(path.with_suffix(".json.sig"), signed.raw)
    _write(path, text)
    sync(place)
    return Kept(path, signed.sha256, signed.signature)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _header(db: Database, folder: DataFolder, job: Job) -> Dataset | None:
    """Of an instance of its study that can be read."""
    for each in instances.readable(db, job.study_instance_uid, job.revision):
        if each.modality == "MR":
            try:
                return open_header(folder.path(each.path))[0]
            except UnreadableInstance:
                continue
    return None
