"""The numbers of the node for Prometheus: computed when they are asked for, from the database and the signs of life.

Nothing is counted in this process: the sums are those of `tally` and of the listener's ledger, so that they are the
same whichever process is asked, and survive every restart. A label is an AE title, a state, a reason or a name of the
settings; nothing names a study or a patient. Peers that the settings do not name are one: they choose their titles.
"""

import importlib.metadata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from node.config import Settings
from node.observe import drift, peers, state
from node.observe.statistics import Spectrum, spectrum
from node.observe.tally import READER, SECONDS, SHARES
from storage import Database, DataFolder, queue, studies, tallies
from storage.records import SwitchName, Tally
from storage.states import JobState

UNKNOWN = "(unknown)"
OPEN = (JobState.QUEUED, JobState.RUNNING, JobState.KEPT, JobState.REPORTED, JobState.FAILED)
COUNTERS = {  # tally -> name, labels that are kept, and what it is
    "received_instances": ("received_instances", ("peer",), "Instances that a peer stored."),
    "received_bytes": ("received_bytes", ("peer",), "Bytes of these instances."),
    "associations": ("associations", ("peer",), "Associations that were accepted."),
    "associations_refused": ("associations_refused", ("peer", "reason"), "Associations that were refused."),
    "instances_refused": ("instances_refused", ("peer", "reason"), "Instances that were refused."),
    "studies_received": ("studies_received", (), "Studies of which a first instance came."),
    "jobs_ended": ("jobs_ended", ("state",), "Jobs whose work came to this end."),
    "deliveries": ("deliveries", ("destination", "outcome"), "What became of results at a destination."),
    "predictions": ("predictions", ("band",), "Answers by decision band."),
    "out_of_scope": ("out_of_scope", (), "Studies that are none that the model may classify."),
    "series_refused": ("series_refused", ("reason",), "Series that were not read."),
    "reader_words": ("reader_words", ("word", "bundle"), "What readers said of answers."),
}
HISTOGRAMS = {  # tally -> name, labels, bounds, and what it is
    "stage_s": ("stage_duration_seconds", ("stage",), SECONDS, "How long a stage of the work took."),
    "report_s": ("report_seconds", (), SECONDS, "From a study's last instance to its report."),
    "spread": ("spread", (), SHARES, "Spread of the probability over the dropout samples."),
}


def exposition(settings: Settings, folder: DataFolder, db: Database, accept: str = "") -> tuple[bytes, str]:
    """The numbers now, and their content type, in the format that `accept` prefers."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Node(settings, folder, db, datetime.now(UTC)))
    return encode(registry), content_type


@dataclass(frozen=True)
class _Node(Collector):
    settings: Settings
    folder: DataFolder
    db: Database
    now: datetime

    def collect(self) -> Iterator[Metric]:
        """Everything, once."""
        named = {each.ae_title for each in self.settings.listener.allow}
        yield from _counters(tallies.totals(self.db, *COUNTERS), named)
        sums = [f"{name}_sum" for name in HISTOGRAMS]
        yield from _histograms(tallies.totals(self.db, *HISTOGRAMS, *sums))
        yield from self._work()
        yield from _peers(peers.of_peers(self.settings, self.folder, self.db, self.now), self.now)
        yield from _state(state.of_node(self.settings, self.folder, self.db, self.now), self.now)
        yield from _drift(drift.kept(self.folder))

    def _work(self) -> Iterator[Metric]:
        yield _gauge("studies", "Studies by state.", "state", studies.counts(self.db))
        yield _gauge("jobs", "Jobs by state.", "state", queue.counts(self.db))
        oldest = queue.oldest(self.db, OPEN)
        yield _number("events_uncounted", "That are still to be added to the sums.", tallies.behind(self.db, READER))
        ages = {each: max(0.0, (self.now - at).total_seconds()) for each, at in oldest.items()}
        yield _gauge("oldest_job_seconds", "Age of the oldest job of a state that is not its end.", "state", ages)


def _counters(found: Sequence[Tally], named: Collection[str]) -> Iterator[Metric]:
    for tally, (name, labels, words) in COUNTERS.items():
        family = CounterMetricFamily(f"neurossl_{name}", words, labels=labels)
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        if not labels:
            sums[()] = 0.0
        for each in found:
            if each.name == tally:
                key = {label: each.labels.get(label, "") for label in labels}
                if key.get("peer", "") not in {"", *named}:
                    key["peer"] = UNKNOWN
                sums[tuple(key.values())] += each.value
        for values, value in sorted(sums.items()):
            family.add_metric(values, value)
        yield family


def _histograms(found: Sequence[Tally]) -> Iterator[Metric]:
    for tally, (name, labels, bounds, words) in HISTOGRAMS.items():
        family = HistogramMetricFamily(f"neurossl_{name}", words, labels=labels)
        keys = sorted({tuple(each.labels[label] for label in labels) for each in found if each.name == tally})
        for key in keys or ([()] if not labels else []):
            wanted = dict(zip(labels, key, strict=True))
            own = [each for each in found if wanted.items() <= each.labels.items()]
            counted = [each for each in own if each.name == tally]
            sums = [each for each in own if each.name == f"{tally}_sum"]
            measured = spectrum(counted, sums, bounds)
            family.add_metric(key, _buckets(measured), measured.total)
        yield family


def _buckets(measured: Spectrum) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them."""
    found, total = [], 0
    for bound, count in zip(measured.bounds, measured.counts, strict=True):
        total += count
        found.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(total)))
    return found


def _peers(found: peers.PeerFacts, now: datetime) -> Iterator[Metric]:
    pauses = {each.ae_title: each.silence for each in found.senders if each.is_known}
    silent = {title: each.lasts_s for title, each in pauses.items() if each.lasts_s is not None}
    habit = {title: each.longest_pause_s for title, each in pauses.items() if each.longest_pause_s is not None}
    limit = {title: each.limit_s for title, each in pauses.items() if each.limit_s is not None}
    yield _gauge("peer_silent_seconds", "Since a sender's last instance.", "peer", silent)
    yield _gauge("peer_longest_pause_seconds", "That a sender made in the four weeks before.", "peer", habit)
    yield _gauge("peer_silence_limit_seconds", "A sender that is silent for longer is missed.", "peer", limit)
    to = found.receivers
    up = {each.name: not each.trouble for each in to}
    yield _gauge("destination_up", "1 while nothing stands in the way.", "destination", up)
    yield from _echoes({each.name: each.echo for each in to}, now)
    yield _gauge("deliveries_waiting", "Results to be sent.", "destination", {e.name: e.backlog for e in to})
    waits = {each.name: each.oldest_s or 0.0 for each in to}
    yield _gauge("oldest_delivery_seconds", "How long the oldest of them waits.", "destination", waits)
    yield _gauge("deliveries_unproved", "Results sent, not proved.", "destination", {e.name: e.unproved for e in to})
    lags = {each.name: each.oldest_unproved_s or 0.0 for each in to}
    yield _gauge("commitment_lag_seconds", "How long the oldest of them waits for its proof.", "destination", lags)


def _drift(found: drift.DriftFacts | None) -> Iterator[Metric]:
    """Of the last week that was judged; scanners are those with studies enough, so that there are few."""
    labels = ("what", "scanner")
    week = GaugeMetricFamily("neurossl_drift_week", "Mean or share of the last week.", labels=labels)
    usual = GaugeMetricFamily("neurossl_drift_usual", "Mean or share of the baseline.", labels=labels)
    drifted = GaugeMetricFamily("neurossl_drifted", "1 where the week differs by more than chance.", labels=labels)
    for each in found.comparisons if found else ():
        key = (each.what, each.scanner or "(all)")
        week.add_metric(key, each.now)
        usual.add_metric(key, each.usual)
        drifted.add_metric(key, float(each.drifted))
    yield from (week, usual, drifted)


def _echoes(found: Mapping[str, peers.Echo], now: datetime) -> Iterator[Metric]:
    asked = {name: each.is_answered for name, each in found.items() if each.is_answered is not None}
    yield _gauge("destination_echo_up", "1 while it answers C-ECHO.", "destination", asked)
    ages = {name: (now - each.answered_at).total_seconds() for name, each in found.items() if each.answered_at}
    yield _gauge("destination_echo_age_seconds", "Since it last answered C-ECHO.", "destination", ages)
    took = {name: each.took_s for name, each in found.items() if each.took_s is not None}
    yield _gauge("destination_echo_seconds", "How long its last answer to C-ECHO took.", "destination", took)


def _state(found: state.NodeFacts, now: datetime) -> Iterator[Metric]:
    disk = found.disk
    yield _number("disk_used_ratio", "How full the disk of the data folder is.", disk.used_percent / 100)
    yield _number("disk_limit_ratio", "From here on instances are refused.", disk.limit_percent / 100)
    yield _number("disk_free_bytes", "Free for us.", disk.free_bytes)
    if disk.full_at is not None:
        left_s = max(0.0, (disk.full_at - now).total_seconds())
        yield _number("disk_full_in_seconds", "Until the limit, if it goes on as in the last week.", left_s)
    yield _number("database_bytes", "Of the database with its log.", found.database_bytes)
    up = {each.role: each.beats for each in found.processes}
    yield _gauge("process_up", "1 while the process gives signs of life.", "process", up)
    yield _number("late", "Acts, couriers and processes that are late.", len(found.late))
    held = {str(each): each in found.switches for each in SwitchName}
    yield _gauge("held_up", "1 while an operator holds it up.", "what", held)
    ends = {each.key: each.days_left * 86400 for each in found.certificates if each.days_left is not None}
    yield _gauge("certificate_expires_in_seconds", "Of each certificate of the settings.", "key", ends)
    yield from _of_processes(found)


def _of_processes(found: state.NodeFacts) -> Iterator[Metric]:
    memory = GaugeMetricFamily(
        "neurossl_worker_memory_bytes", "Resident memory of the model's process.", labels=("worker", "device")
    )
    for worker, facts in found.workers.items():
        memory.add_metric((worker, str(facts.get("device", ""))), float(facts.get("memory_mib", 0)) * 2**20)
    yield memory
    yield from _of_devices(found)
    dropped = CounterMetricFamily(
        "neurossl_log_lines_dropped", "That nobody read in time, since the process started.", labels=("process",)
    )
    for each in found.processes:
        dropped.add_metric((each.role,), float(each.facts.get("log_lines_dropped", 0)))
    yield dropped
    build = GaugeMetricFamily("neurossl_build_info", "What runs.", labels=("version", "bundle"))
    bundles = sorted({str(facts.get("sha256", "")) for facts in found.workers.values()}) or [""]
    for bundle in bundles:
        build.add_metric((importlib.metadata.version("neurossl-node"), bundle), 1)
    yield build


def _of_devices(found: state.NodeFacts) -> Iterator[Metric]:
    """Of accelerators alone: a processor has the memory of the machine."""
    for key, name, words in (
        ("device_used_mib", "device_memory_used_bytes", "Memory of an accelerator that is used, by us and others."),
        ("device_total_mib", "device_memory_bytes", "All its memory."),
    ):
        family = GaugeMetricFamily(f"neurossl_{name}", words, labels=("worker", "device"))
        for worker, facts in found.workers.items():
            if key in facts:
                family.add_metric((worker, str(facts.get("device", ""))), float(facts[key]) * 2**20)
        yield family


def _gauge(name: str, words: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"neurossl_{name}", words, labels=(label,))
    for key, value in values.items():
        family.add_metric((str(key),), float(value))
    return family


def _number(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"neurossl_{name}", words, value=float(value))
