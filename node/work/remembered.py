"""A prediction as a small file beside the results of its answer, found again by all that it follows from: its key.

A study whose patient or study attributes are corrected comes again with the same pixels: its results are encoded anew
from what is remembered here, and nothing is predicted. Nothing in the file names a patient; the slices themselves are
not in it, since they are cut again. Each answer keeps a file of its own, which goes with its results; one that is
missing or damaged means that the study is predicted again.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model import Predictor
from model.types import Band, ModelId, Prediction, SlicePrediction, Standing
from node.report import Encoded
from node.report.identity import derived_uid
from node.series.choice import SeriesLook
from storage import DataFolder, files
from storage.errors import FileAltered, UnsafePath

KIND = "prediction"


class Found(NamedTuple):
    """A prediction that was made before, and the job that kept it."""

    prediction: Prediction
    job_id: int


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants"
    )


class _Array(_Part):
    """float32, little endian, row by row."""

    shape: tuple[int, ...]
    content: bytes

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        return cls(shape=values.shape, content=values.astype("<f4").tobytes())

    @property
    def values(self) -> NDArray[np.float32]:
        return np.frombuffer(self.content, "<f4").reshape(self.shape).astype(np.float32)


class _Slice(_Part):
    """The fields of `model.types.SlicePrediction` without the slice."""

    logits: _Array
    probability: float
    spread: float
    predictive_entropy: float
    mutual_information: float
    rollout: _Array


class _Remembered(_Part):
    """The fields of `model.types.Prediction` without what its key holds, and whose it is."""

    version: Literal[1] = 1
    answer: str
    job_id: int
    slices: tuple[_Slice, ...]
    probability: float | None
    spread: float | None
    predictive_entropy: float | None
    mutual_information: float | None
    band: Band | None
    remarks: tuple[str, ...]
    standing: tuple[Standing, ...] = ()


def key(look: SeriesLook, predictor: Predictor, seed: bytes, software_version: str) -> str:
    """Of all that a prediction follows from: slices and their places, scope, weights, how they are run, and masks."""
    total = sha256()
    for part in _parts(look, predictor, seed, software_version):
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def encode(prediction: Prediction, prediction_key: str, answer: str, job_id: int, ordinal: int) -> Encoded:
    """What is kept with the results of an answer, `answer` being what they are named after; about 1 kB a slice."""
    content = _Remembered(
        answer=answer,
        job_id=job_id,
        slices=tuple(_slice(each) for each in prediction.slices),
        probability=prediction.probability,
        spread=prediction.spread,
        predictive_entropy=prediction.predictive_entropy,
        mutual_information=prediction.mutual_information,
        band=prediction.band,
        remarks=prediction.remarks,
        standing=prediction.standing,
    )
    uid = derived_uid("result", answer, KIND)
    return Encoded(_name(prediction_key), KIND, ordinal, uid, "", "", (), content.model_dump_json().encode())


def find(folder: DataFolder, prediction_key: str, look: SeriesLook, model: ModelId) -> Found | None:
    """The newest prediction of this key that lies here whole; `look` and `model` are what the key was made of."""
    for path in reversed(_files(folder, prediction_key)):
        with suppress(FileAltered, UnsafePath, OSError, ValueError):
            files.read_back(folder, path)
            kept = _Remembered.model_validate_json(folder.path(path).read_bytes())
            return Found(_prediction(kept, look, model), kept.job_id)
    return None


def _files(folder: DataFolder, prediction_key: str) -> list[str]:
    try:
        return files.named(folder, _name(prediction_key), area="results")
    except FileNotFoundError:  # retention took one of them in this moment
        return []


def _parts(look: SeriesLook, predictor: Predictor, seed: bytes, software_version: str) -> Iterator[bytes]:
    model = {**vars(predictor.model_id), "thresholds": dict(predictor.model_id.thresholds)}
    scope = {**vars(look.scope), "measurements": dict(look.scope.measurements)}
    engine = [predictor.engine_name, predictor.device, predictor.precision]
    yield json.dumps([software_version, engine, model, scope], sort_keys=True).encode()
    yield seed
    for each in look.slices:
        yield json.dumps([each.pixels.shape, vars(each.source) if each.source else None]).encode()
        yield each.pixels.tobytes()
        yield b"" if each.affine_mm is None else each.affine_mm.tobytes()


def _name(prediction_key: str) -> str:
    return f"{prediction_key}.{KIND}"


def _slice(item: SlicePrediction) -> _Slice:
    return _Slice(
        logits=_Array.of(item.logits),
        probability=item.probability,
        spread=item.spread,
        predictive_entropy=item.predictive_entropy,
        mutual_information=item.mutual_information,
        rollout=_Array.of(item.rollout),
    )


def _prediction(kept: _Remembered, look: SeriesLook, model: ModelId) -> Prediction:
    """Raises ValueError when it has another number of slices, or an array of another size than it says."""
    said = {**vars(kept)}
    for name in ("version", "answer", "job_id"):
        del said[name]
    said["slices"] = tuple(
        SlicePrediction(**{**vars(each), "slice": item, "logits": each.logits.values, "rollout": each.rollout.values})
        for item, each in zip(look.slices, kept.slices, strict=True)
    )
    return Prediction(scope=look.scope, model=model, **said)
