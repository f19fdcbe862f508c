"""One soak from beginning to end."""

import threading
import time
from pathlib import Path

from tests.clocks import Clock
from tests.services import service, small_bundle
from tests.soak.promises import Account, account, all_ended
from tests.soak.traffic import Sent, Traffic
from tests.soak.trouble import Pacs, Trouble

SENDERS = 2
REST_WITHIN_S = 300.0
SETTINGS = {
    "listener": {
        "port": 0,
        "allow": [{"ae_title": "SCANNER"}, {"ae_title": "PACS"}],
        "maximum_disk_use_percent": 100,  # so that it really fills
    },
    "completeness": {"quiet_period_s": 3, "no_result_after_s": 3},
    "results": {"captures": 1},
}


def soak(folder: Path, disk: Path | None, seconds: float, seed: str, every_s: float, pause_s: float) -> Account:
    """`disk` is a small one for the node, where there is one; `folder` holds everything else."""
    sent, pacs, clock = Sent(), Pacs(), Clock(folder)
    bundle = small_bundle(folder)
    try:
        with service(disk or folder, bundle, pacs.kept.port, start=False, **SETTINGS) as node:
            node.environment = clock.environment
            node.start()
            trouble = Trouble(node, pacs, clock, disk, f"{seed} trouble")
            stop = threading.Event()
            senders = [Traffic(node, folder / f"sent-{number}", sent, f"{seed} {number}") for number in range(SENDERS)]
            threads = [
                threading.Thread(target=trouble.run, args=(stop, pause_s)),
                *(threading.Thread(target=sender.run, args=(stop, every_s)) for sender in senders),
            ]
            for thread in threads:
                thread.start()
            stop.wait(seconds)
            stop.set()
            for thread in threads:
                thread.join()
            began_s = time.monotonic()
            node.wait_ready()
            with node.database() as db:
                while not all_ended(db, sent) and time.monotonic() < began_s + REST_WITHIN_S:
                    time.sleep(0.2)
                found = account(node.folder, db, sent, pacs.kept, trouble.interruptions)
            found.count("seconds until all had ended", round(time.monotonic() - began_s))
            well = node.command("health")
            if well.returncode:
                found.broken.append(f"health: {well.stderr}")
    finally:
        pacs.go()
    for what, number in sorted({**trouble.counts, **sent.counts}.items()):
        found.count(what, number)
    return found
