"""A real node for the acceptance tests: `neurossl serve` as a process, in the network of the enclosing peer.

with peers.orthanc(tmp_path, ...) as pacs, nodes.node(tmp_path, bundle, ...) as node:
    ...
    job = node.ended(study_instance_uid)
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.process.heartbeat import pulse
from storage import Database, DataFolder, instances, open_database, outbox, queue
from storage.records import Delivery, Instance, Job
from storage.states import DeliveryState, JobState
from tests import peers

AE_TITLE = "NEUROSSL"
QUIET_PERIOD_S = 1.5
ENDED = {JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED}
UNDER_WAY = {DeliveryState.PENDING, DeliveryState.SENDING}


@dataclass(frozen=True)
class Node:
    """A node that runs."""

    port: int
    config: Path
    log: Path
    db: Database

    def job(self, study_instance_uid: str) -> Job | None:
        """The newest job of the study."""
        jobs = [job for job in queue.listing(self.db) if job.study_instance_uid == study_instance_uid]
        return max(jobs, key=lambda job: job.job_id, default=None)

    def stored(self, study_instance_uid: str) -> list[Instance]:
        """The instances of the study that it has."""
        return instances.of_study(self.db, study_instance_uid)

    def deliveries(self, job: Job) -> list[Delivery]:
        """Of this job, in the order of sending."""
        return outbox.of_job(self.db, job.job_id)

    def ended(self, study_instance_uid: str, *, revision: int = 1, timeout_s: float = 90) -> Job:
        """The job of this revision once it has ended, with every delivery; fails with the end of the log."""

        def ask() -> Job | None:
            job = self.job(study_instance_uid)
            if job is None or job.revision < revision or job.state not in ENDED:
                return None
            return None if any(each.state in UNDER_WAY for each in self.deliveries(job)) else job

        try:
            return peers.eventually(ask, f"the end of revision {revision}", timeout_s=timeout_s)
        except pytest.fail.Exception:
            pytest.fail(f"{self.job(study_instance_uid)}\n{self.log.read_text(errors='replace')[-3000:]}")

    def command(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`neurossl …` with this node's configuration."""
        line = [sys.executable, "-m", "node", *arguments, "--config", self.config]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=check)


def destination(name: str, ae_title: str, port: int, **settings: Any) -> dict[str, Any]:
    """An entry of `destinations` on this machine."""
    return {"name": name, "ae_title": ae_title, "host": "127.0.0.1", "port": port, **settings}


@contextmanager
def node(
    folder: Path,
    bundle: Path,
    *,
    port: int = 0,
    allow: Sequence[str] = (),
    destinations: Sequence[dict[str, Any]] = (),
    quiet_period_s: float = QUIET_PERIOD_S,
    **settings: Any,
) -> Iterator[Node]:
    """A node that is ready to receive from `allow`; `settings` are further sections of config.yaml."""
    port = port or peers.free_port()
    config, log, data = folder / "config.yaml", folder / "node.log", folder / "data"
    values = {
        "data_folder": str(data),
        "listener": {"ae_title": AE_TITLE, "port": port, "allow": [{"ae_title": title} for title in allow]},
        "completeness": {"quiet_period_s": quiet_period_s, "no_result_after_s": quiet_period_s},
        "worker": {"bundle": str(bundle), "allow_untrained_bundle": True},
        "destinations": list(destinations),
        "delivery": {"backoff_s": 0.5},
        "web": {"enabled": False},
        **settings,
    }
    config.write_text(json.dumps(values, indent=2))  # which is YAML as well
    with peers.process([sys.executable, "-m", "node", "serve", "--config", config], log, stop_s=30) as server:
        locks = data / "locks"

        def is_ready() -> bool:
            signs = [pulse(locks, role) for role in ("worker-1", "office", "listener")]
            return server.poll() is not None or all(sign is not None and sign.state == "ready" for sign in signs)

        peers.eventually(is_ready, "the node to be ready", timeout_s=60)
        if server.poll() is not None:
            pytest.fail(f"the node ended with {server.returncode}:\n{log.read_text(errors='replace')[-3000:]}")
        db = open_database(DataFolder(data))
        try:
            yield Node(port, config, log, db)
        finally:
            db.close()
