"""config.yaml is the manual of every setting, and what it says is true."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from node.config import Archive, Destination, SelectionRule, Settings, Tls, load
from node.errors import ConfigurationError

SAMPLE = Path(__file__).resolve().parents[2] / "config.yaml"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the settings, with its section."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        yield prefix + name
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{prefix}{name}.")


def test_nothing_is_listened_to_beyond_this_machine_by_default() -> None:
    """F70."""
    assert Settings().listener.host == "127.0.0.1"


def test_the_sample_is_valid_and_holds_the_defaults() -> None:
    sample, defaults = load(SAMPLE), Settings()
    assert sample.model_dump(exclude={"data_folder"}) == defaults.model_dump(exclude={"data_folder"})
    assert sample.data_folder == SAMPLE.parent / defaults.data_folder


@pytest.mark.parametrize("key", list(keys(Settings)))
def test_every_key_stands_in_the_sample(key: str) -> None:
    found = yaml.safe_load(SAMPLE.read_text())
    for part in key.split("."):
        assert part in found, key
        found = found[part]


@pytest.mark.parametrize("key", [*keys(Destination), *keys(Archive), *keys(Tls), *keys(SelectionRule)])
def test_every_key_of_a_list_entry_stands_in_an_example(key: str) -> None:
    assert re.search(rf"^\s*#\s+(- )?{key}:", SAMPLE.read_text(), re.MULTILINE), key


def test_the_examples_in_the_comments_are_valid() -> None:
    text = SAMPLE.read_text()
    examples = re.findall(
        r"^( *)#   (allow|tls|archive|rules|destinations|openid_connect):\n((?:\1#     .*\n)+)", text, re.MULTILINE
    )
    assert {name for _, name, _ in examples} == {"allow", "tls", "archive", "rules", "destinations", "openid_connect"}
    for indent, name, body in examples:
        lines = [line.removeprefix(f"{indent}#   ") for line in body.splitlines()]
        value = yaml.safe_load("\n".join([f"{name}:", *lines]))[name]
        tls = "listener" if "authorities" in value else "web"
        section = {"allow": "listener", "tls": tls, "rules": "selection", "openid_connect": "web"}.get(name)
        settings = Settings(**({section: {name: value}} if section else {name: value}))
        assert settings != Settings()


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = """
    data_folder: here
    worker: {bundle: bundle}
    listener: {tls: {certificate: a.pem, key: /etc/b.key, authorities: c.pem}}
    destinations:
      - {name: pacs, ae_title: PACS, host: h, port: 1, tls: {certificate: a.pem, key: b, authorities: c}}
    """
    settings = load(write(tmp_path, text))
    assert settings.data_folder == tmp_path / "here"
    assert settings.worker.bundle == tmp_path / "bundle"
    assert settings.listener.tls is not None
    assert settings.listener.tls.certificate == tmp_path / "a.pem"
    assert settings.listener.tls.key == Path("/etc/b.key")
    assert settings.destinations[0].tls is not None
    assert settings.destinations[0].tls.key == tmp_path / "b"


def test_each_error_is_one_line_that_names_its_key(tmp_path: Path) -> None:
    text = "listener: {port: 99999, ae_title: A_TITLE_THAT_IS_TOO_LONG, prot: 1}\ndestinations: [{name: pacs}]\n"
    with pytest.raises(ConfigurationError) as caught:
        load(write(tmp_path, text))
    lines = str(caught.value).splitlines()
    for key in ("listener.port", "listener.ae_title", "listener.prot", "destinations.0.host"):
        assert sum(f": {key}: " in line for line in lines) == 1, lines


@pytest.mark.parametrize("text", ["- a list", "{unclosed", "just text", "\x00"])
def test_a_file_that_holds_no_settings_is_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        load(write(tmp_path, text))


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSSL__LISTENER__PORT", "104")
    settings = load(write(tmp_path, "listener: {port: 11112, ae_title: OURS}"))
    assert (settings.listener.port, settings.listener.ae_title) == (104, "OURS")


def test_nonsense_in_the_environment_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSSL__DESTINATIONS", "{not json")
    with pytest.raises(ConfigurationError, match=r"(?i)destinations"):
        load(write(tmp_path, ""))
