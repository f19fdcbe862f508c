"""Bundle and device -> answers: slices, scope gate, one pass of the network, dropout samples, bands."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import scope, sight, slicing
from model.aggregate import study_probability, study_uncertainty
from model.bundle import Bundle
from model.calibration import probability
from model.engine import PRECISIONS, DeviceMemory, Engine, Progress
from model.errors import DeviceError, VolumeError
from model.rollout import scaled
from model.types import Prediction, Scope, Slice, SlicePrediction, Volume
from model.uncertainty import DropoutHead, Uncertainty

NOT_ASKED = Scope(True, "not asked: 2D images that somebody chose", {})


class Predictor:
    """Answers for volumes and slices; build one and keep it, because building loads the weights."""

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto", threads: int = 0) -> None:
        """device: auto, cpu, cuda or cuda:N · precision: auto or one of PRECISIONS · threads: 0 for all cores.

        Raises DeviceError when the device or the precision is not there.
        """
        self.manifest, self.model_id = bundle.manifest, bundle.model_id
        self.engine: Engine = choose(bundle, device, precision, threads)
        self._head = DropoutHead.read(bundle.weights.read)

    @property
    def device(self) -> str:
        """The device that was chosen."""
        return self.engine.device

    @property
    def engine_name(self) -> str:
        """How the network is run."""
        return self.engine.name

    @property
    def precision(self) -> str:
        """What the matrix products are computed in."""
        return self.engine.precision

    @property
    def memory(self) -> DeviceMemory | None:
        """Of the device, now; None on the processor."""
        return self.engine.memory

    def predict(self, volume: Volume, seed: bytes, progress: Progress | None = None) -> Prediction:
        """The answer for a study; out of the model's scope nothing is classified.

        seed: of the study, for the dropout masks · progress: hears how many slices are done, and of how many.
        Raises VolumeError and DeviceOutOfMemory.
        """
        slices, found = sight.see(volume, self.manifest.preprocessing, self.manifest.scope)
        return self.classify(slices, found, seed, progress)

    def predict_slices(
        self, slices: Sequence[Slice], seed: bytes, progress: Progress | None = None, *, gate: bool = False
    ) -> Prediction:
        """The answer for 2D images, taken as slices of one study. Raises VolumeError when there are none.

        gate: whether model.scope is asked first, as for a volume; labelled slices that are measured on need no gate.
        """
        if not slices:
            raise VolumeError("there are no slices to predict")
        found = scope.assess(None, slices, self.manifest.scope) if gate else NOT_ASKED
        return self.classify(slices, found, seed, progress)

    def classify(
        self, slices: Sequence[Slice], found: Scope, seed: bytes, progress: Progress | None = None
    ) -> Prediction:
        """The answer for slices whose scope is known; out of it nothing is classified. Raises DeviceOutOfMemory."""
        if not found.inside:
            return Prediction(found, (), None, None, None, None, None, self.model_id)
        images = slicing.normalise(slicing.stack(slices))
        architecture = self.manifest.architecture
        masks = self._head.masks(seed, self.manifest.dropout_samples, architecture.dropout)
        answer = self.engine.answer(images, masks, progress)
        maps = scaled(answer.rollout.reshape(-1, architecture.grid, architecture.grid))
        calibrated = probability(answer.logits[0], self.manifest.temperature)
        samples = probability(answer.logits[1:])
        planes, weights = [item.plane for item in slices], self.manifest.preprocessing.weights
        whole, study = study_uncertainty(samples, planes, weights), study_probability(calibrated, planes, weights)
        return Prediction(
            scope=found,
            slices=self._slices(slices, answer.logits[0], calibrated, samples, maps),
            probability=study,
            spread=whole.spread,
            predictive_entropy=whole.predictive_entropy,
            mutual_information=whole.mutual_information,
            band=self.manifest.bands.band(study, whole.spread),
            model=self.model_id,
            remarks=found.remarks,
            standing=self.manifest.bands.standing(study),
        )

    def _slices(
        self,
        slices: Sequence[Slice],
        logits: NDArray[np.float32],
        calibrated: NDArray[np.float64],
        samples: NDArray[np.float64],
        maps: NDArray[np.float32],
    ) -> tuple[SlicePrediction, ...]:
        doubts = [Uncertainty.of(each) for each in samples.T]
        return tuple(
            SlicePrediction(
                slice=item,
                logits=logits[index],
                probability=float(calibrated[index]),
                spread=doubts[index].spread,
                predictive_entropy=doubts[index].predictive_entropy,
                mutual_information=doubts[index].mutual_information,
                rollout=maps[index],
            )
            for index, item in enumerate(slices)
        )


def choose(bundle: Bundle, device: str = "auto", precision: str = "auto", threads: int = 0) -> Engine:
    """The engine for a device: OpenVINO on CPUs, torch with graph capture on CUDA.

    `auto` as a device is the first CUDA device where there is one, else the CPU. `auto` as a precision is float32 on
    every device: its answers agree within 1e-4 wherever they were computed, while half precision, about twice as fast
    on a CPU, moves a probability by up to 0.01 and is therefore chosen by name.

    Raises DeviceError when the named device or precision is not there; nothing falls back.
    """
    precision = "float32" if precision == "auto" else precision
    if precision not in PRECISIONS:
        raise DeviceError(f"{precision!r} is no precision: auto, {', '.join(PRECISIONS)}")
    if device == "auto":
        device = "cuda:0" if _cuda_is_there() else "cpu"
    if device == "cpu":
        from model.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(bundle, precision, threads)
    if device.partition(":")[0] == "cuda":
        from model.torch_engine import TorchEngine

        return TorchEngine(bundle, device, precision)
    raise DeviceError(f"{device!r} is no device: auto, cpu, cuda or cuda:N")


def _cuda_is_there() -> bool:
    """Whether torch can use a CUDA device; torch is only imported where a driver is, because it is large."""
    if not any(Path(each).exists() for each in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()
