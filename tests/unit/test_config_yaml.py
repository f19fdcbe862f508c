"""A configuration file means what its writer meant, or is refused with one line that names the key."""

from pathlib import Path

import pytest

from node.config import load
from node.errors import ConfigurationError


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("listener:\n  port: 104\nlistener:\n  port: 105\n", "listener: stands twice, again in line 3"),
        ("listener:\n  port: 104\n  port: 105\n", "listener.port: stands twice"),
        ("destinations:\n  - {name: a, name: b}\n", "destinations.name: stands twice"),
        ("listener:\n  port: 0104\n", "listener.port: 0104 would be read as octal"),
        ("listener:\n  pdu_timeout_s: 1:30\n", "listener.pdu_timeout_s: 1:30 would be read in sixties"),
        ("listener:\n  pdu_timeout_s: .inf\n", "listener.pdu_timeout_s"),
        ("completeness:\n  quiet_period_s: .nan\n", "completeness.quiet_period_s"),
        ("retention:\n  keep_studies_days: 1.0e+300\n", "retention.keep_studies_days"),
        ("stop_timeout_s: .inf\n", "stop_timeout_s"),
        ("? [a, b]\n: 1\n", "no word"),
        ("listener: [\n", "is not YAML"),
    ],
)
def test_what_would_mean_something_else_is_refused_by_its_key(tmp_path: Path, text: str, named: str) -> None:
    assert named in refusal(tmp_path, text)


def test_a_key_that_is_merged_in_may_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "delivery: &usual {timeout_s: 7, backoff_s: 3}\n"
        "destinations: []\n"
        "retention: {}\n"
        "worker: {count: 1}\n"
        "completeness: {quiet_period_s: 5}\n"
    )
    assert load(path).delivery.timeout_s == 7
    path.write_text("x: &x {timeout_s: 7}\ndelivery: {<<: *x, timeout_s: 8}\n")
    assert "x:" in refusal(tmp_path, path.read_text())  # nothing but settings may stand in the file


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("NEUROSSL__LISTNER__PORT", "1", "listner"),
        ("NEUROSSL__LISTENER__PROT", "1", "listener.prot"),
        ("NEUROSSL__DATAFOLDER", "x", "datafolder"),
        ("neurossl__log__levle", "info", "log.levle"),
        ("NEUROSSL__LISTENER__PORT__X", "1", "listener.port.x"),
    ],
)
def test_a_misspelt_variable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, wrong: str
) -> None:
    monkeypatch.setenv(name, value)
    assert f"environment: {name}: there is no setting '{wrong}'" in refusal(tmp_path, "{}")


def test_a_variable_may_set_a_value_a_section_or_what_is_optional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROSSL__LISTENER__PORT", "104")
    monkeypatch.setenv("NEUROSSL__RETENTION", '{"keep_studies_days": 3}')
    monkeypatch.setenv("NEUROSSL__ARCHIVE__AE_TITLE", "PACS")
    monkeypatch.setenv("NEUROSSL__ARCHIVE__HOST", "10.0.0.1")
    monkeypatch.setenv("NEUROSSL__ARCHIVE__PORT", "104")
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    settings = load(path)
    assert (settings.listener.port, settings.retention.keep_studies_days) == (104, 3)
    assert settings.archive is not None
