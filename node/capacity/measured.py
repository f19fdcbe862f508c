"""What a node's acts take; one node is one machine with one listener, one worker and one courier."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydantic

from node.errors import ConfigurationError


@dataclass(frozen=True)
class Times:
    """Service times, seconds for a study unless it says otherwise.

    receive_per_s: instances that a listener makes durable each second · cores: of a node, all in use while it predicts
    variation: standard deviation of a service time over its mean · gpu_predict_s: replaces predict_s on a GPU
    """

    measured_on: str = "2 vCPU; an MPRAGE of 170 slices, 61 read, float32, encoder of 25 million parameters"
    gpu_measured_on: str = "an assumption, not measured"
    receive_per_s: float = 264.0
    headers_s: float = 0.63
    selection_s: float = 0.17
    volume_s: float = 0.16
    predict_s: float = 3.87
    gpu_predict_s: float = 0.25
    report_s: float = 0.45
    store_s: float = 0.06
    deliver_s: float = 0.2
    cores: int = 2
    variation: float = 0.25

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, float | int) and (value < 0 or (value == 0 and name != "variation")):
                raise ValueError(f"{name} is {value}; it must be positive")

    @property
    def around_s(self) -> float:
        """What a worker does for a study beside the prediction, on one core."""
        return self.headers_s + self.selection_s + self.volume_s + self.report_s + self.store_s


def load(path: Path) -> Times:
    """Times of a JSON file; what it leaves out is as in `Times`. Raises ConfigurationError."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if unknown := set(map(str, content)) - set(asdict(Times())):
            raise ConfigurationError(f"{path}: {', '.join(sorted(unknown))}: no such time")
        return pydantic.TypeAdapter(Times).validate_python(content)
    except pydantic.ValidationError as error:
        raise ConfigurationError(f"{path}: {error.errors()[0]['msg']}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
