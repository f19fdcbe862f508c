"""What happened, added up: each event once, in the order in which they came, however often the office is restarted.

Events are the truth; the sums (storage/tallies.py) outlive them. What an event adds is decided by `added`.

    studies_received                        deliveries{destination, outcome}
    jobs_ended{state}                       series_refused{reason}
    stage_s{stage, le}, stage_s_sum{stage}  predictions{band, scanner}, out_of_scope{scanner}
    report_s{le}, report_s_sum              spread{le}, spread_sum     reader_words{word, bundle}

Beside the sums, one row is kept for each study that was looked at (storage/sightings.py), for `drift`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from node.work.outcome import Outcome, PredictionOutcome
from storage import Database, queue, sightings, studies, tallies
from storage.errors import NotFound
from storage.records import Event, Job, Sighting
from storage.states import JobState
from storage.tallies import Counted

READER, READ = "tally", "reader's word"
AT_ONCE = 500
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)  # upper bounds of the durations
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1)  # of the spread
WORKED_OUT = {"job reported", "job skipped", "job kept", "job failed", "job done"}
DELIVERED = {"delivery sent": "sent", "delivery committed": "committed", "delivery refused": "refused"}


def count_events(db: Database) -> None:
    """Add up what has happened since the last time."""
    while True:
        seen = tallies.unseen_events(db, READER, AT_ONCE)
        sightings.keep(db, _newest(sighting for event in seen if (sighting := _sighted(db, event)) is not None))
        counted = [(event.at, each) for event in seen for each in _of_event(db, event)]
        if not tallies.add_events(db, READER, seen, counted) or len(seen) < AT_ONCE:
            return


def _of_event(db: Database, event: Event) -> Iterator[Counted]:
    ends_work = event.name in WORKED_OUT and (event.before == JobState.RUNNING or event.name == "job reported")
    job = _job(db, event) if ends_work or event.name == READ else None
    yield from added(event, job, _last_received(db, job) if job and event.name == "job reported" else None)


def _sighted(db: Database, event: Event) -> Sighting | None:
    """What a run of a worker saw; keeping it twice does no harm."""
    if event.name not in WORKED_OUT or event.before != JobState.RUNNING:
        return None
    job = _job(db, event)
    outcome = Outcome.from_row(job.outcome) if job else None
    return sighting(event, outcome) if outcome else None


def sighting(event: Event, outcome: Outcome) -> Sighting | None:
    """What is kept of a study to tell drift; None where it was not looked at, or was seen before."""
    if outcome.selection is None or outcome.reused is not None or event.job_id is None:
        return None
    kept = Sighting(event.job_id, event.at, "", outcome.scanner_name)
    found = outcome.prediction
    if found is None:
        return kept if outcome.selection.chosen is None else None
    return replace(
        kept,
        bundle=found.model.sha256,
        in_scope=found.scope.inside,
        band=found.band,
        probability=found.probability,
        spread=found.spread,
        brightness=found.grey.mean if found.grey else None,
        contrast=found.grey.deviation if found.grey else None,
        texture=found.scope.measurements.get("texture"),
    )


def _newest(found: Iterable[Sighting]) -> Iterable[Sighting]:
    return {each.job_id: each for each in found}.values()


def added(event: Event, job: Job | None, last_received_at: datetime | None) -> Iterator[Counted]:
    """What an event adds to the sums. `job` is as it is now, of an event on its work or answer, if it is there."""
    if event.name == "study receiving" and event.before is None:
        yield "studies_received", {}, 1
    elif event.name == READ:
        yield "reader_words", {"word": event.after or "", "bundle": _bundle(job)}, 1
    elif event.name in DELIVERED:
        yield "deliveries", {"destination": event.reason.partition(":")[0], "outcome": DELIVERED[event.name]}, 1
    elif event.name in WORKED_OUT:
        if event.before == JobState.RUNNING and job is not None:
            yield from _of_work(Outcome.from_row(job.outcome) or Outcome())
        if event.after != JobState.KEPT:
            yield "jobs_ended", {"state": event.after or ""}, 1
        if last_received_at is not None:
            yield from _in_buckets("report_s", {}, max(0.0, (event.at - last_received_at).total_seconds()), SECONDS)


def _bundle(job: Job | None) -> str:
    """What answered; "" where that is not known."""
    outcome = Outcome.from_row(job.outcome) if job else None
    return outcome.prediction.model.label if outcome and outcome.prediction else ""


def _of_work(outcome: Outcome) -> Iterator[Counted]:
    """What a run of a worker found."""
    for stage, seconds in outcome.timings_s.items():
        yield from _in_buckets("stage_s", {"stage": stage}, seconds, SECONDS)
    if outcome.selection is not None:
        for each in outcome.selection.series:
            if each.series_instance_uid != outcome.selection.chosen:
                yield "series_refused", {"reason": each.reason}, 1
    if outcome.prediction is not None:
        yield from _of_prediction(outcome.prediction, outcome.scanner_name)


def _of_prediction(prediction: PredictionOutcome, scanner: str) -> Iterator[Counted]:
    if not prediction.scope.inside:
        yield "out_of_scope", {"scanner": scanner}, 1
        return
    yield "predictions", {"band": prediction.band or "", "scanner": scanner}, 1
    if prediction.spread is not None:
        yield from _in_buckets("spread", {}, prediction.spread, SHARES)


def _in_buckets(name: str, labels: Mapping[str, str], value: float, bounds: tuple[float, ...]) -> Iterator[Counted]:
    """A histogram: how many fell between a bound and the one below it, and the sum of all."""
    bound = next((f"{each:g}" for each in bounds if value <= each), "+Inf")
    yield name, {**labels, "le": bound}, 1
    yield f"{name}_sum", labels, value


def _job(db: Database, event: Event) -> Job | None:
    try:
        return queue.get(db, event.job_id or 0)
    except NotFound:  # retention was quicker
        return None


def _last_received(db: Database, job: Job) -> datetime:
    return studies.get(db, job.study_instance_uid).last_received_at
