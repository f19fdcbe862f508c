"""Predictions without a service: pictures, NIfTI volumes and folders of DICOM -> answers, in the order they were named.

A picture answers for itself; pictures go through the network together. A NIfTI file is one volume. DICOM files are
grouped by study, and the series is chosen as the node does it, so the numbers are those that the node would report.
"""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Image
from PIL import Image

from model import Predictor, Volume, scope
from model.errors import VolumeError
from model.slicing import Preprocessing, slice_from_image
from model.types import Prediction, Scope, Slice
from node.errors import UnreadableInstance
from node.series import choice
from node.series.choice import Limits
from node.series.selection import SeriesHeaders
from node.series.volume import read_series

PICTURES = (".png", ".jpg", ".jpeg")
VOLUMES = (".nii", ".nii.gz")
TOGETHER = 64  # pictures that go through the network in one call
PICTURE_SEED = b"a picture"  # one for all, so that a picture's numbers do not depend on those beside it
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Answered:
    """What became of one input; without a prediction, `reason` says why.

    series_instance_uid  the series that stands for a DICOM study
    refused              those that were tried before it, each with its reason
    beside               what is to be said of series that might have been read, in sentences
    """

    name: str
    kind: str
    prediction: Prediction | None
    reason: str = ""
    series_instance_uid: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know beside the numbers, as the report has it."""
        return (*(self.prediction.remarks if self.prediction else ()), *self.beside)


@dataclass(frozen=True)
class Inputs:
    """Files by what they are."""

    pictures: tuple[Path, ...]
    volumes: tuple[Path, ...]
    others: tuple[Path, ...]


def find(paths: Iterable[Path]) -> Inputs:
    """The files of these paths, folders searched in order of names. Raises UnreadableInstance for a path not there."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if not path.exists():
            raise UnreadableInstance(f"{path}: there is no such file or folder")
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.name.lower()
            kind = "picture" if name.endswith(PICTURES) else "volume" if name.endswith(VOLUMES) else "other"
            found[kind].append(file)
    return Inputs(tuple(found["picture"]), tuple(found["volume"]), tuple(found["other"]))


def answers(inputs: Inputs, predictor: Predictor, limits: Limits, tell: Tell) -> Iterator[Answered]:
    """The answer for each picture, volume and study; what cannot be read is an answer with its reason."""
    for start in range(0, len(inputs.pictures), TOGETHER):
        yield from _pictures(inputs.pictures[start : start + TOGETHER], predictor, tell)
    for path in inputs.volumes:
        try:
            volume = read_nifti(path, limits.maximum_bytes)
            seed = hashlib.sha256(predictor.model_id.sha256.encode() + path.read_bytes()).digest()
            prediction = predictor.predict(volume, seed, lambda done, of: tell(path.name, done, of))  # noqa: B023
            yield Answered(str(path), "NIfTI", prediction, _outside(prediction))
        except (UnreadableInstance, VolumeError) as error:
            yield Answered(str(path), "NIfTI", None, str(error))
    if inputs.others:
        yield from _studies(inputs.others, predictor, limits, tell)


def read_picture(path: Path, preprocessing: Preprocessing) -> Slice:
    """A PNG or JPEG slice, 8 bit. Raises UnreadableInstance."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                if image.mode.startswith(("I", "F")):
                    raise UnreadableInstance("has more than 8 bits a pixel, and its intensity window is not known")
                return slice_from_image(image, preprocessing)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableInstance(f"no readable PNG or JPEG: {error}") from error


def read_nifti(path: Path, maximum_bytes: int) -> Volume:
    """A NIfTI file with one volume, its RAS millimetres turned into LPS.

    Raises UnreadableInstance: no NIfTI, truncated, several volumes, no orientation, larger than the limit as float32.
    """
    try:
        image = nibabel.load(path)
        if not isinstance(image, Nifti1Image):
            raise UnreadableInstance("no NIfTI file")
        shape = tuple(image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3:
            raise UnreadableInstance(f"holds {' x '.join(map(str, image.shape))} values, expected one volume")
        if int(image.header["qform_code"]) == 0 and int(image.header["sform_code"]) == 0:
            raise UnreadableInstance("does not say how it lies in the patient (qform_code and sform_code are 0)")
        if 4 * float(np.prod(shape)) > maximum_bytes:
            raise UnreadableInstance(f"{' x '.join(map(str, shape))} voxels are more than the limit allows")
        voxels = np.asarray(image.dataobj, np.float32).reshape(shape)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(image.affine, np.float64)
    except (ImageFileError, OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise UnreadableInstance(f"no readable NIfTI volume: {error}") from error
    return Volume(voxels, affine)


def _pictures(paths: Sequence[Path], predictor: Predictor, tell: Tell) -> Iterator[Answered]:
    found: dict[Path, Answered] = {}
    slices: dict[Path, tuple[Slice, Scope]] = {}
    for path in paths:
        try:
            item = read_picture(path, predictor.manifest.preprocessing)
        except UnreadableInstance as error:
            found[path] = Answered(str(path), "picture", None, str(error))
            continue
        judged = scope.assess(None, [item], predictor.manifest.scope)
        slices[path] = (item, judged)
        if not judged.inside:
            nothing = Prediction(judged, (), None, None, None, None, None, predictor.model_id)
            found[path] = Answered(str(path), "picture", nothing, f"outside the model's scope: {judged.reason}")
    inside = [path for path, (_, judged) in slices.items() if judged.inside]
    if inside:
        chosen = [slices[path][0] for path in inside]
        whole = predictor.predict_slices(chosen, PICTURE_SEED, lambda done, of: tell("pictures", done, of))
        for index, path in enumerate(inside):
            alone = _alone(whole, index, slices[path][1], predictor)
            found[path] = Answered(str(path), "picture", alone)
    yield from (found[path] for path in paths)


def _alone(whole: Prediction, index: int, judged: Scope, predictor: Predictor) -> Prediction:
    """The prediction of one picture out of those that went through the network together."""
    item = whole.slices[index]
    return replace(
        whole,
        scope=judged,
        slices=(item,),
        probability=item.probability,
        spread=item.spread,
        predictive_entropy=item.predictive_entropy,
        mutual_information=item.mutual_information,
        band=predictor.manifest.bands.band(item.probability, item.spread),
        standing=predictor.manifest.bands.standing(item.probability),
    )


def _studies(paths: Sequence[Path], predictor: Predictor, limits: Limits, tell: Tell) -> Iterator[Answered]:
    reading = read_series(paths)
    for uid, series in reading.studies.items():
        yield of_study(uid, series, predictor, limits, tell)
    for each in reading.unreadable:
        yield Answered(str(each.path), "file", None, each.reason)


def of_study(uid: str, series: Sequence[SeriesHeaders], predictor: Predictor, limits: Limits, tell: Tell) -> Answered:
    """One study, of which the headers are read."""
    chosen = choice.choose(series, limits)
    refused = {each.series_instance_uid: f"{each.reason}: {each.detail}" for each in chosen.refused}
    if chosen.look is None:
        reason = chosen.damage or choice.nothing_to_read(chosen.verdicts)
        return Answered(uid, "DICOM", None, reason, refused=refused)
    seed = choice.seed(chosen.look.series, predictor.model_id.sha256)
    found, judged = chosen.look, chosen.look.scope
    prediction = predictor.classify(found.slices, judged, seed, lambda done, of: tell("slices", done, of))
    chosen_uid = found.series.series_instance_uid
    return Answered(uid, "DICOM", prediction, _outside(prediction), chosen_uid, refused, chosen.beside)


def _outside(prediction: Prediction) -> str:
    return "" if prediction.scope.inside else f"outside the model's scope: {prediction.scope.reason}"
