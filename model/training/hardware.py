"""Devices for a training run: Lightning Fabric, started once."""

import torch
from lightning_fabric import Fabric

from model.errors import DeviceError

PRECISIONS = ("32-true", "bf16-mixed")


def start(device: str = "auto", devices: int = 1, nodes: int = 1, precision: str = "32-true") -> Fabric:
    """auto: CUDA where it is, else the CPU; a device that is named is used or DeviceError is raised.

    With several devices the command is started again once per device; under torchrun, torchrun has done so.
    """
    if device not in ("auto", "cpu", "cuda") or precision not in PRECISIONS:
        raise DeviceError(f"device is auto, cpu or cuda and precision one of {', '.join(PRECISIONS)}")
    if device == "cuda" and torch.cuda.device_count() < devices:
        raise DeviceError(f"{devices} CUDA devices are wanted, {torch.cuda.device_count()} are there")
    accelerator = "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"
    strategy = "ddp" if devices * nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=accelerator,
        strategy=strategy,
        devices=devices,
        num_nodes=nodes,
        precision=precision,  # type: ignore[arg-type]  # one of PRECISIONS
    )
    fabric.launch()
    return fabric
