"""Pixels -> calibrated probabilities with their uncertainty and heat maps, and how the weights were made.

    Volume ──► slicing ──► (N, 1, 224, 224) ──► engine ──► features, rollout ──► head, all dropout samples at once
                └─► scope: is it a T1 head at all?                                └─► slices ──► study ──► band

Knows no DICOM and no database. Coordinates are LPS millimetres. torch is imported only by what needs it, so that the
listener, and the worker on a CPU, start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from model.quiet import refuse_telemetry

if TYPE_CHECKING:
    from model.bundle import Bundle
    from model.classifier import SecondOrderClassifier
    from model.encoder import MultiScaleViT2DEncoder
    from model.predictor import Predictor
    from model.types import Volume

__all__ = ["Bundle", "MultiScaleViT2DEncoder", "Predictor", "SecondOrderClassifier", "Volume"]

refuse_telemetry()  # before anything here imports a library

_HOME = {
    "Bundle": "bundle",
    "MultiScaleViT2DEncoder": "encoder",
    "Predictor": "predictor",
    "SecondOrderClassifier": "classifier",
    "Volume": "types",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"model.{_HOME[name]}"), name)
