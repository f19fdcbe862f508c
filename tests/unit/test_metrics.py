"""The numbers for Prometheus: what they say, that every process says the same, and that the alerts can be read."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from node.config import AllowedPeer, Destination, Listener, Settings
from node.observe import metrics, tally
from node.process.heartbeat import Heartbeat
from storage import Database, outbox, switches, tallies
from storage.answers import NewAnswer
from storage.records import SwitchName
from storage.states import AnswerKind
from tests import outcomes, stored
from tests.stored import NOW, after

SHIPPED = Path(metrics.__file__).parent / "grafana"
NOT_OURS = {"up"}


def settings(db: Database) -> Settings:
    return Settings(
        data_folder=stored.folder(db).root,
        listener=Listener(allow=(AllowedPeer(ae_title="MODALITY"),)),
        destinations=(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),),
    )


def numbers(db: Database) -> dict[str, float]:
    """Each sample as it is written, `name{label="value"}`, with its value."""
    text, content_type = metrics.exposition(settings(db), stored.folder(db), db)
    assert content_type.startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def worked_out(db: Database) -> None:
    job, row = stored.running(db), outcomes.outcome().as_row()
    results = [stored.encoded(db, job, 1, "sr_comprehensive")]
    new = [outbox.NewDelivery(results[0].sop_instance_uid, "pacs")]
    answer = NewAnswer(AnswerKind.RESULT, "key", "read")
    outbox.complete(db, stored.folder(db), job, answer, results, new, row, after(42))
    tally.count_events(db)


def test_the_numbers_say_what_happened(db: Database) -> None:
    worked_out(db)
    peer = {"host": "10.1.0.2", "peer": "MODALITY"}
    tallies.add(db, [("received_instances", peer, 5), ("received_bytes", peer, 5000)], NOW)
    switches.turn_on(db, SwitchName.SENDING, "anna", "moved", NOW)
    found = numbers(db)
    expected = {
        'neurossl_received_instances_total{peer="MODALITY"}': 5,
        'neurossl_received_bytes_total{peer="MODALITY"}': 5000,
        'neurossl_studies{state="stable"}': 1,
        'neurossl_jobs{state="reported"}': 1,
        "neurossl_studies_received_total": 1,
        'neurossl_predictions_total{band="low confidence"}': 1,
        "neurossl_out_of_scope_total": 0,
        'neurossl_stage_duration_seconds_bucket{le="1",stage="prediction"}': 1,
        'neurossl_stage_duration_seconds_bucket{le="0.5",stage="prediction"}': 0,
        'neurossl_stage_duration_seconds_count{stage="prediction"}': 1,
        "neurossl_report_seconds_sum": 42,
        "neurossl_spread_count": 1,
        'neurossl_deliveries_waiting{destination="pacs"}': 1,
        'neurossl_held_up{what="sending"}': 1,
        'neurossl_held_up{what="drain"}': 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found['neurossl_oldest_job_seconds{state="reported"}'] > 0
    assert found['neurossl_peer_silent_seconds{peer="MODALITY"}'] > 0


def test_the_memory_of_an_accelerator_is_told_and_that_of_a_processor_is_the_machines(db: Database) -> None:
    locks = stored.folder(db).path("locks")
    card = {"device_name": "A Card", "device_used_mib": 3, "device_total_mib": 80}
    with Heartbeat(locks, "worker-1") as first, Heartbeat(locks, "worker-2") as second:
        first.beat("ready", bundle="demo", device="cuda:0", **card)
        second.beat("ready", bundle="demo", device="cpu", memory_mib=5)
        found = {name: value for name, value in numbers(db).items() if "device_memory" in name}
    where = '{device="cuda:0",worker="worker-1"}'
    assert found == {
        f"neurossl_device_memory_used_bytes{where}": 3 * 2**20,
        f"neurossl_device_memory_bytes{where}": 80 * 2**20,
    }


def test_the_sums_survive_a_restart_and_retention(db: Database) -> None:
    worked_out(db)
    before = {name: value for name, value in numbers(db).items() if "_total" in name or "_sum" in name}
    with stored.opened(stored.folder(db).root) as again:
        tally.count_events(again)
        after_restart = numbers(again)
    assert {name: after_restart[name] for name in before} == before


def test_peers_that_nobody_named_are_one(db: Database) -> None:
    for number in range(5):
        labels = {"peer": f"EVIL{number}", "host": "h", "reason": "calling AE title not recognized"}
        tallies.add(db, [("associations_refused", labels, 2)], NOW)
    refused = {name: value for name, value in numbers(db).items() if "associations_refused" in name}
    assert list(refused.values()) == [10]
    assert "(unknown)" in next(iter(refused))


def test_no_number_names_a_study(db: Database) -> None:
    worked_out(db)
    text, _ = metrics.exposition(settings(db), stored.folder(db), db)
    assert stored.STUDY not in text.decode()


def test_whoever_asks_for_open_metrics_gets_it(db: Database) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    text, content_type = metrics.exposition(settings(db), stored.folder(db), db, accept)
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def expressions() -> list[str]:
    """Of the alert rules and of the dashboard."""
    rules = yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"][0]["rules"]
    panels = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in rules] + [target["expr"] for panel in panels for target in panel["targets"]]


def test_rules_and_dashboard_ask_for_series_that_there_are(db: Database) -> None:
    worked_out(db)
    source = Path(metrics.__file__).read_text()
    known = {re.split(r"[{]", name)[0] for name in numbers(db)}
    wanted = {name for each in expressions() for name in re.findall(r"neurossl_[a-z_]+", each)}
    missing = wanted - known
    absent_until_it_happens = {name for name in missing if re.sub(r"^neurossl_|_total$", "", name) in source}
    assert missing - absent_until_it_happens == set()
    assert len(wanted) > 20


@pytest.mark.peers
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(db: Database) -> None:
    worked_out(db)
    text, _ = metrics.exposition(settings(db), stored.folder(db), db)
    told = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (told.returncode, told.stderr) == (0, b"")
    told = subprocess.run(["promtool", "check", "rules", SHIPPED / "alerts.yml"], capture_output=True, check=False)
    assert told.returncode == 0, told.stderr
