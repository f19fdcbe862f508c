"""Recipes are frozen, complete in their hash, and found by name or in a file of one's own."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pydantic
import pytest

from model.errors import DeviceError
from model.training import recipes
from model.training.errors import NoSuchRecipe
from model.training.hardware import start
from model.training.recipes import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_being_written_and_read(name: str) -> None:
    recipe = recipes.load(name)
    assert pydantic.TypeAdapter(Recipe).validate_python(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_tells_what_it_costs_and_what_to_expect(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.cost
    assert recipe.result
    assert recipe.notes


def test_words_do_not_change_what_a_recipe_chooses_and_everything_else_does() -> None:
    recipe = RECIPES["demonstration"]
    assert replace(recipe, cost="dear", name="other").choices == recipe.choices
    assert replace(recipe, seed=1).choices != recipe.choices
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 1  # type: ignore[misc]


def test_a_recipe_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from model.training.recipes import RECIPES\nfrom dataclasses import replace\n"
        "MINE = replace(RECIPES['compact'], name='mine', seed=5)\nOTHER = 3\n"
    )
    assert recipes.load(f"{tmp_path / 'mine.py'}:MINE").seed == 5
    for wrong in (
        f"{tmp_path / 'mine.py'}:OTHER",
        f"{tmp_path / 'mine.py'}:NONE",
        f"{tmp_path / 'no.py'}:MINE",
        "best",
    ):
        with pytest.raises(NoSuchRecipe):
            recipes.load(wrong)


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DeviceError, match="99 CUDA devices are wanted"):
        start("cuda", 99)
    with pytest.raises(DeviceError, match="auto, cpu or cuda"):
        start("abacus")


def test_torchrun_says_how_many_processes_there_are_and_is_not_contradicted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", "99"), ("WORLD_SIZE", "297")):
        monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError, match="99 processes on 3 machines, not 4 on 1"):
        start("cpu", 4)
    with pytest.raises(DeviceError, match="99 CUDA devices are wanted"):
        start("cuda")
