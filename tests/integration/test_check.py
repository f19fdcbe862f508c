"""`neurossl check`, `version` and `health`: one line each, and an exit code that a script can use."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from node.cli import app
from node.process.heartbeat import Heartbeat
from storage import DataFolder
from tests import stored
from tests.destination import destination


@pytest.fixture
def configure(tmp_path: Path, bundle: Path) -> Iterator[Any]:
    """Writes config.yaml; keys are sections."""

    def write(**sections: Any) -> Path:
        values = {
            "data_folder": "data",
            "listener": {"port": 0, "allow": [{"ae_title": "SCANNER"}]},
            "worker": {"bundle": str(bundle), "allow_untrained_bundle": True, "device": "cpu"},
            **sections,
        }
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(values))
        return path

    return write


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def facts(config: Path) -> dict[str, tuple[str, str]]:
    found = json.loads(run("check", "--config", config, "--json").stdout)
    return {each["name"]: (each["level"], each["text"]) for each in found}


def pacs(port: int) -> list[dict[str, Any]]:
    return [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}]


def test_everything_in_order_is_exit_code_0_and_a_line_each(configure: Any, tmp_path: Path) -> None:
    with destination() as running, stored.opened(tmp_path / "data"):
        config = configure(destinations=pacs(running.port))
        answer = run("check", "--config", config)
        assert answer.exit_code == 0, answer.output
        found = facts(config)
    assert "trouble" not in answer.stdout
    assert len(answer.stdout.splitlines()) == len(found)
    assert {name: level for name, (level, _) in found.items() if level != "ok"} == {"bundle": "warning"}
    assert "UNTRAINED" in found["bundle"][1]
    assert "SQLite 3." in found["database"][1]
    assert found["device"][1].startswith("cpu")
    assert "answers C-ECHO" in found["destination pacs"][1]


def test_a_peer_that_does_not_answer_is_trouble(configure: Any) -> None:
    config = configure(destinations=pacs(1), archive={"ae_title": "PACS", "host": "127.0.0.1", "port": 1})
    assert run("check", "--config", config).exit_code == 1
    found = facts(config)
    for name in ("destination pacs", "archive"):
        assert found[name] == ("trouble", "PACS@127.0.0.1:1: no connection: Connection refused")


def test_checking_makes_nothing(configure: Any, tmp_path: Path) -> None:
    found = facts(configure())
    assert found["data folder"] == ("ok", f"{tmp_path / 'data'} will be made")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("sections", "name", "words"),
    [
        ({"worker": {"bundle": "/nowhere"}}, "bundle", "no bundle folder"),
        ({"worker": {}}, "bundle", "is not set"),
        ({"data_folder": "/dev/null/data"}, "data folder", "cannot be made"),
        ({"listener": {"host": "203.0.113.7", "allow": []}}, "listener address", "cannot listen"),
    ],
)
def test_trouble_is_named(configure: Any, sections: dict[str, Any], name: str, words: str) -> None:
    config = configure(**sections)
    assert run("check", "--config", config).exit_code == 1
    level, text = facts(config)[name]
    assert level == "trouble"
    assert words in text


def test_nobody_who_may_send_and_nobody_to_send_to_are_warnings(configure: Any) -> None:
    found = facts(configure(listener={"port": 0}))
    assert found["senders"][0] == "warning"
    assert found["destinations"][0] == "warning"


def test_a_destination_whose_commitment_reports_could_not_come_in_is_a_warning(configure: Any) -> None:
    found = facts(configure(destinations=[{**pacs(1)[0], "proof": "commitment"}]))
    assert found["senders"][0] == "warning"
    assert "PACS is not in listener.allow" in found["senders"][1]


def test_a_destination_by_url_takes_connections_or_is_trouble(configure: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"http://127.0.0.1:{there.getsockname()[1]}/dicom-web"
        by_url = {"name": "web", "ae_title": "WEB", "url": url}
        assert facts(configure(destinations=[by_url]))["destination web"] == ("ok", f"{url} takes connections")
        without = {**by_url, "authentication": "basic", "secret": "env:NOBODY_SET_THIS"}
        assert "there is no secret" in facts(configure(destinations=[without]))["destination web"][1]
    assert facts(configure(destinations=[by_url]))["destination web"][0] == "trouble"


def test_a_wrong_configuration_is_one_line_of_trouble_for_each_error(configure: Any) -> None:
    config = configure(listener={"port": "many", "pont": 1})
    answer = run("check", "--config", config)
    assert answer.exit_code == 1
    assert answer.stdout.count("trouble") == 2


def test_health_is_good_only_while_every_process_lives(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure()
    assert run("health", "--config", config).exit_code == 1
    folder = DataFolder(tmp_path / "data")
    folder.create()
    with Heartbeat(folder.path("locks"), "listener") as listener, Heartbeat(folder.path("locks"), "office") as office:
        listener.beat()
        office.beat()
        answer = run("health", "--config", config)
        assert (answer.exit_code, len(answer.stdout.splitlines())) == (0, 2)
        assert json.loads(run("health", "--config", config, "--json").stdout)[0]["role"] == "listener"
        later = time.monotonic() + 60
        monkeypatch.setattr("node.process.heartbeat.time.monotonic", lambda: later)
        answer = run("health", "--config", config)
        assert answer.exit_code == 1
        assert "no sign of life" in answer.stdout
    assert run("health", "--config", config).exit_code == 1


def test_health_is_bad_while_an_act_is_late_nothing_can_be_stored_or_nobody_answers(
    configure: Any, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    config = configure()
    folder = DataFolder(tmp_path / "data")
    folder.create()
    with Heartbeat(folder.path("locks"), "listener") as listener, Heartbeat(folder.path("locks"), "office") as office:
        listener.beat("ready", port=free_port(), storing="no room")
        office.beat("ready", late=["completeness", "delivery to pacs"])
        answer = run("health", "--config", config)
    assert answer.exit_code == 1
    told = answer.output
    for line in (
        "listener: nothing can be stored: no room",
        "listener: does not answer C-ECHO",
        "office: completeness is late",
        "office: delivery to pacs is late",
    ):
        assert line in told


def test_the_version_names_what_the_node_stands_on() -> None:
    found = json.loads(run("version", "--json").stdout)
    assert {"neurossl-node", "python", "pydicom", "pynetdicom", "torch"} <= set(found)
    text = run("version").stdout
    assert all(name in text for name in found)
