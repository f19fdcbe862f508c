"""One soak from beginning to end."""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.clocks import Clock
from tests.services import Service, service, small_bundle
from tests.soak.promises import Account, account, all_ended
from tests.soak.traffic import Sent, Traffic
from tests.soak.trouble import Pacs, Trouble

SENDERS = 2
SETTINGS = {
    "listener": {
        "port": 0,
        "allow": [{"ae_title": "SCANNER"}, {"ae_title": "PACS"}],
        "maximum_disk_use_percent": 100,  # so that it really fills
    },
    "completeness": {"quiet_period_s": 3, "no_result_after_s": 3},
    "results": {"captures": 1},
}


@dataclass(frozen=True)
class Plan:
    """How long load and trouble last, how often they come, and how long their work may then take; seconds."""

    seconds: float
    every_s: float
    pause_s: float
    rest_s: float
    seed: str


def soak(folder: Path, disk: Path | None, plan: Plan) -> Account:
    """`disk` is a small one for the node, where there is one; `folder` holds everything else."""
    sent, pacs, clock = Sent(), Pacs(), Clock(folder)
    bundle = small_bundle(folder)
    try:
        with service(disk or folder, bundle, pacs.kept.port, start=False, **SETTINGS) as node:
            node.environment = clock.environment
            node.start()
            trouble = Trouble(node, pacs, clock, disk, f"{plan.seed} trouble")
            senders = [Traffic(node, folder / f"sent-{at}", sent, f"{plan.seed} {at}") for at in range(SENDERS)]
            stop = threading.Event()
            threads = [
                threading.Thread(target=trouble.run, args=(stop, plan.pause_s), daemon=True),
                *(threading.Thread(target=each.run, args=(stop, plan.every_s), daemon=True) for each in senders),
            ]
            for thread in threads:
                thread.start()
            _keep_running(node, plan.seconds, lambda: False)
            stop.set()
            began_s = time.monotonic()
            with node.database() as db:

                def rested() -> bool:
                    return not any(each.is_alive() for each in threads) and all_ended(db, sent)

                _keep_running(node, plan.rest_s, rested)
                found = account(node.folder, db, sent, pacs.kept, trouble.interruptions)
            found.count("seconds until all had ended", round(time.monotonic() - began_s))
            waiting = sum(thread.is_alive() for thread in threads)
            found.count("senders and troubles without an end", waiting, broken=waiting > 0)
            well = node.command("health")
            if well.returncode:
                found.broken.append(f"health: {well.stderr}")
            if found.broken:
                found.broken.append(f"the log ends with\n{node.log.read_text()[-4000:]}")
    finally:
        pacs.go()
    for what, number in sorted({**trouble.counts, **sent.counts}.items()):
        found.count(what, number)
    return found


def _keep_running(node: Service, seconds: float, done: Callable[[], bool]) -> None:
    """For so long, or until `done`: a service that ended is started again, as systemd does."""
    until_s = time.monotonic() + seconds
    while not done() and time.monotonic() < until_s:
        assert node.process is not None
        with suppress(subprocess.TimeoutExpired):
            node.process.wait(0.2)
            node.start(ready=False)
