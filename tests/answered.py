"""Studies with an answer as the worker leaves it: report, captures and pictures in files, the outcome in the job's row.

The head and the numbers are made up (tests/reports.py), and no network is involved.
"""

from collections.abc import Sequence
from typing import Any

from model.types import Prediction
from node import report
from node.work import shelf
from node.work.outcome import Outcome, PredictionOutcome, SelectionOutcome, SeriesOutcome
from storage import Database, outbox
from storage.outbox import NewDelivery
from storage.records import Job
from tests import outcomes, reports, stored
from tests.factories import mr_series

NAME = "Unmistakable^Person"
READ = f"{stored.STUDY}.1"


def study(
    db: Database,
    made: Prediction | None = None,
    refused: Sequence[dict[str, Any]] = (),
    *,
    study_instance_uid: str = stored.STUDY,
) -> Job:
    """A study of somebody called NAME, reported and not yet delivered to `pacs`; `refused` are series beside that."""
    made = made or reports.prediction(slices=9)
    job = stored.running(db, study=study_instance_uid)
    series = mr_series(slices=3, rows=16, columns=16, PatientName=NAME)
    encoded = reports.build(series, made, reports.context(captures=2))
    if made.slices:
        encoded.append(report.build_pictures(made, f"answer of job {job.job_id}.0", len(encoded)))
    kept = shelf.put(stored.folder(db), encoded, job.job_id)
    deliveries = [NewDelivery(each.result.sop_instance_uid, name) for each in kept for name in each.destinations]
    rows = [each.result for each in kept]
    answer, outcome = stored.answer(job), _outcome(made, refused).as_row()
    return outbox.complete(db, stored.folder(db), job, answer, rows, deliveries, outcome, stored.NOW)


def _outcome(made: Prediction, refused: Sequence[dict[str, Any]]) -> Outcome:
    series = [outcomes.series(READ), *refused]
    return Outcome(
        software="0.1.0",
        timings_s={"verify": 0.1, "prediction": 2.5},
        selection=SelectionOutcome(
            chosen=READ, series=tuple(SeriesOutcome.model_validate(each) for each in series), unreadable=()
        ),
        prediction=PredictionOutcome.of(made),
        attempt=1,
    )
