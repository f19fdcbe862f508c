"""A real Prometheus reads our numbers, finds the shipped rules sound, and raises an alarm by them."""

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from node.config import Settings
from node.observe import metrics, tally
from node.process.heartbeat import Heartbeat
from storage import Database
from tests import peers, stored

pytestmark = [pytest.mark.peers, pytest.mark.slow]

RULES = Path(metrics.__file__).parent / "grafana" / "alerts.yml"


@contextmanager
def scraped(db: Database) -> Iterator[int]:
    """The port at which the numbers of this database are served."""
    folder, settings = stored.folder(db), Settings(data_folder=stored.folder(db).root)

    class Numbers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, content_type = metrics.exposition(settings, folder, db, self.headers.get("accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Numbers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[str]:
    """Debian's Prometheus, which scrapes this port every second; its address."""
    program, own = peers.program("prometheus"), peers.free_port()
    rules = folder / "alerts.yml"
    rules.write_text(RULES.read_text().replace("for: 1m", "for: 0s"))  # nobody waits a minute here
    scrape = {"job_name": "neurossl", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape],
    }
    file, address = folder / "prometheus.yml", f"127.0.0.1:{own}"
    file.write_text(json.dumps(config))
    data = folder / "tsdb"
    line = [program, f"--config.file={file}", f"--web.listen-address={address}", f"--storage.tsdb.path={data}"]
    with peers.process(line, folder / "prometheus.log"):
        yield f"http://{address}/api/v1"


def asked(address: str, path: str, **query: str) -> Any:
    """What it answers; None while it does not."""
    try:
        with urllib.request.urlopen(f"{address}{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer:  # noqa: S310
            return json.load(answer)["data"]
    except OSError:
        return None


def test_prometheus_reads_the_numbers_and_raises_an_alarm_by_the_shipped_rules(db: Database, tmp_path: Path) -> None:
    stored.delivered(db)
    tally.count_events(db)
    with Heartbeat(stored.folder(db).path("locks"), "listener") as heart:
        heart.beat("failed")
        with peers.loopback_only(), scraped(db) as port, prometheus(tmp_path, port) as address:

            def value() -> list[str]:
                found = asked(address, "/query", query='neurossl_jobs{state="done"}')
                return [each["value"][1] for each in found["result"]] if found else []

            assert peers.eventually(value, "a scrape", timeout_s=60) == ["1"]

            def alarms() -> set[str]:
                found = asked(address, "/alerts")
                firing = {each["labels"]["alertname"] for each in found["alerts"] if each["state"] == "firing"}
                return firing & {"NeuroSSLProcessDown"}

            assert peers.eventually(alarms, "the alarm", timeout_s=30)
            (group,) = asked(address, "/rules")["groups"]
            assert [rule["name"] for rule in group["rules"] if rule["health"] == "err"] == []
            assert len(group["rules"]) >= 15
