"""A prediction that is kept comes back as it was, and only for what it followed from."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model.types import Prediction, Slice
from node.series.choice import SeriesLook
from node.work import remembered
from storage import DataFolder, files
from tests import reports
from tests.factories import mr_series

SERIES = mr_series(slices=4, rows=32, columns=32)
SEED = b"seed"


def made(**changes: Any) -> Prediction:
    return reports.prediction(SERIES, slices=3, **changes)


def look(prediction: Prediction) -> SeriesLook:
    slices = tuple(each.slice for each in prediction.slices)
    return SeriesLook(None, (4, 32, 32), np.eye(4), (0, 1), slices, prediction.scope)  # type: ignore[arg-type]


def engine(**changes: Any) -> Any:
    facts = {"model_id": reports.MODEL, "engine_name": "OpenVINO", "device": "cpu", "precision": "float32"}
    return SimpleNamespace(**{**facts, **changes})


def key(seen: SeriesLook, seed: bytes = SEED, software: str = "1.0", **changes: Any) -> str:
    return remembered.key(seen, engine(**changes), seed, software)


def keep(folder: DataFolder, prediction: Prediction, answer: str = "answer.0", job_id: int = 3) -> str:
    encoded = remembered.encode(prediction, key(look(prediction)), answer, job_id, 5)
    return files.write(folder, encoded.name, [encoded.content], area="results").path


def find(folder: DataFolder, prediction: Prediction) -> remembered.Found | None:
    seen = look(prediction)
    return remembered.find(folder, key(seen), seen, prediction.model)


def facts(prediction: Prediction) -> list[Any]:
    """All of it, arrays as bytes."""
    every = [{**vars(each), "slice": id(each.slice)} for each in prediction.slices]
    flat = [
        {k: (v.dtype, v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for k, v in x.items()} for x in every
    ]
    return [flat, {**vars(prediction), "slices": ()}]


@pytest.mark.parametrize("spread", [0.1 + 0.2, 5e-324, 1 / 3])
def test_it_comes_back_exactly_with_the_job_that_kept_it(folder: DataFolder, spread: float) -> None:
    prediction = made(spread=spread, remarks=("the head is cut flat",))
    random = np.random.default_rng(1).random((14, 14), np.float32)
    prediction = replace(prediction, slices=(replace(prediction.slices[0], rollout=random), *prediction.slices[1:]))
    keep(folder, prediction)
    found = find(folder, prediction)
    assert found is not None
    assert found.job_id == 3
    assert facts(found.prediction) == facts(prediction)


def test_the_newest_whole_one_is_taken(folder: DataFolder) -> None:
    prediction = made()
    keep(folder, prediction, "one.0", job_id=3)
    damaged = folder.path(keep(folder, prediction, "two.0", job_id=4))
    assert found_by(folder, prediction) == 4
    damaged.write_bytes(damaged.read_bytes().replace(b'"job_id":4', b'"job_id":5'))
    assert found_by(folder, prediction) == 3


def found_by(folder: DataFolder, prediction: Prediction) -> int | None:
    found = find(folder, prediction)
    return found.job_id if found else None


@pytest.mark.parametrize(
    "change", [(b'"version":1', b'"version":2'), (b'"shape":[14,14]', b'"shape":[14,13]'), (b"{", b"")]
)
def test_what_cannot_be_read_is_not_found(folder: DataFolder, change: tuple[bytes, bytes]) -> None:
    prediction = made()
    encoded = remembered.encode(prediction, key(look(prediction)), "answer.0", 3, 5)
    files.write(folder, encoded.name, [encoded.content.replace(*change, 1)], area="results")
    assert find(folder, prediction) is None


def test_one_of_fewer_slices_is_not_found(folder: DataFolder) -> None:
    prediction = made()
    encoded = remembered.encode(replace(prediction, slices=prediction.slices[1:]), key(look(prediction)), "a.0", 3, 5)
    files.write(folder, encoded.name, [encoded.content], area="results")
    assert find(folder, prediction) is None


def test_it_names_no_instance_and_nobody() -> None:
    prediction = made()
    content = remembered.encode(prediction, key(look(prediction)), "answer.0", 3, 5).content.decode()
    for header in SERIES:
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "PatientID", "PatientName"):
            assert str(header[keyword].value) not in content


@pytest.mark.parametrize(
    "change",
    [
        {"seed": b"other"},
        {"software": "2.0"},
        {"engine_name": "torch"},
        {"device": "cuda:0"},
        {"precision": "bfloat16"},
        {"model_id": replace(reports.MODEL, sha256="f" * 64)},
        {"model_id": replace(reports.MODEL, dropout_samples=11)},
        {"model_id": replace(reports.MODEL, thresholds={"high_likelihood": 0.8})},
    ],
    ids=str,
)
def test_other_weights_masks_or_ways_of_running_are_another_key(change: dict[str, Any]) -> None:
    seen = look(made())
    assert key(seen) == key(look(made()))
    assert key(seen, **change) != key(seen)


def brighter(item: Slice) -> Slice:
    pixels = item.pixels.copy()
    pixels[100, 100] ^= 1
    return replace(item, pixels=pixels)


def moved(item: Slice) -> Slice:
    assert item.affine_mm is not None
    return replace(item, affine_mm=item.affine_mm + np.eye(4) * 1e-9)


def elsewhere(item: Slice) -> Slice:
    return replace(item, source=None)


@pytest.mark.parametrize("change", [brighter, moved, elsewhere])
def test_a_pixel_a_place_or_a_source_is_another_key(change: Any) -> None:
    seen = look(made())
    other = replace(seen, slices=(*seen.slices[:-1], change(seen.slices[-1])))
    assert key(other) != key(seen)


def test_another_scope_is_another_key_and_the_order_of_slices_counts() -> None:
    seen = look(made())
    assert key(replace(seen, scope=replace(seen.scope, remarks=("cut flat",)))) != key(seen)
    assert key(replace(seen, slices=seen.slices[::-1])) != key(seen)
