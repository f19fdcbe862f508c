"""The README says what is: every command, every setting and every file that it names exists, and none is left out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import BaseModel

from node.cli import app
from node.config import Archive, Destination, Settings
from node.config_dicomweb import DicomWeb
from node.config_telling import Hl7Receiver

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the command line that is not hidden, with the words that lead to it."""
    for name, command in getattr(group, "commands", {}).items():
        if not command.hidden:
            yield (*path, name), command
            yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def shown() -> list[list[str]]:
    """Each `neurossl …` of the README as words: of the shell blocks line by line, and in running text."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [part for block in blocks for line in block.splitlines() for part in line.partition("#")[0].split("&&")]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    found = [re.sub(r"^.*\bbin/neurossl\b", "neurossl", line.strip()) for line in [*lines, *inline]]
    return [line.split()[1:] for line in found if re.match(r"neurossl\s+[a-z-]", line)]


def named(words: list[str]) -> tuple[str, ...]:
    """The longest run of leading words that is a command; () when a word follows that should be one and is none."""
    plain = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
    runs = (tuple(words[:length]) for length in range(len(words), 0, -1))
    found = next((run for run in runs if run in COMMANDS), ())
    wants_more = bool(found) and hasattr(COMMANDS[found], "commands") and len(plain) > len(found)
    return () if wants_more and not plain[len(found)].startswith("-") else found


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_is_documented(path: tuple[str, ...]) -> None:
    assert re.search(rf"`(neurossl )?{' '.join(path)}\b", README), f"`neurossl {' '.join(path)}` is not in the README"


@pytest.mark.parametrize("words", shown(), ids=" ".join)
def test_every_command_of_the_readme_exists_with_its_options(words: list[str]) -> None:
    path = named(words)
    assert path, f"there is no `neurossl {' '.join(words)}`"
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} - options - {"--help"} == set()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_explains_itself(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    unexplained = [
        parameter.name
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden and not parameter.help
    ]
    assert unexplained == []


def configuration_table() -> dict[str, set[str]]:
    """Section -> keys of the table in the README."""
    rows = re.findall(r"^\| (\(top\)|`[a-z0-9_]+`) \| (.*?) \|", README, re.MULTILINE)
    return {section.strip("`"): set(re.findall(r"`([a-z_]+)`", keys)) for section, keys in rows}


def test_every_section_and_every_key_of_the_settings_is_in_the_table_and_no_other() -> None:
    sections = {
        name: set(kind.model_fields)
        for name, field in Settings.model_fields.items()
        if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel)
    }
    top = Settings.model_fields.keys() - sections.keys() - {"destinations", "archive", "dicomweb", "hl7"}
    expected = {"(top)": top, **sections, "destinations": set(Destination.model_fields)}
    expected["archive"] = set(Archive.model_fields)
    expected["dicomweb"] = set(DicomWeb.model_fields)
    expected["hl7"] = set(Hl7Receiver.model_fields)
    table = {section: keys for section, keys in configuration_table().items() if section in expected}
    assert table == expected


def test_every_setting_that_the_text_names_exists() -> None:
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    named_keys = re.findall(r"`([a-z]+)\.([a-z_]+)`", README)
    wrong = [
        f"{section}.{key}"
        for section, key in named_keys
        if isinstance(kind := sections.get(section), type)
        and issubclass(kind, BaseModel)
        and key not in kind.model_fields
    ]
    assert named_keys
    assert wrong == []


def test_every_file_that_the_readme_links_to_or_names_exists() -> None:
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    in_text = re.findall(r"`((?:tests|node|model|storage|\.ci)/[\w./-]+)`", README)
    assert [path for path in [*linked, *in_text] if not (ROOT / path).exists()] == []


def test_every_anchor_of_the_readme_leads_to_a_heading() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)", README, re.M)
    }
    assert [anchor for anchor in re.findall(r"\]\(#([^)]+)\)", README) if anchor not in headings] == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = (line for line in README.splitlines() if line.endswith("&& tests/check"))
    steps = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    assert steps[-3:] == command.split(" && ")


def test_the_forwarding_rule_of_the_readme_is_the_one_that_the_compose_file_runs() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["configs"]["forward"]["content"]
    (shown_rule,) = re.findall(r"```lua\n(.*?)```", README, re.DOTALL)
    assert shown_rule.split() == re.sub(r"(?m)^--.*$", "", compose).split()


def test_the_readme_names_every_job_state() -> None:
    from storage.states import JobState

    assert [state.name for state in JobState if f"| {state.name} |" not in README] == []


def test_the_readme_begins_with_what_the_results_are_not_for() -> None:
    assert "**RESEARCH USE ONLY.**" in "\n".join(README.splitlines()[:10])
