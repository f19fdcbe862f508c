"""Devices for a training run: Lightning Fabric, started once."""

import os

import torch
from lightning_fabric import Fabric

from model.errors import DeviceError

PRECISIONS = ("32-true", "bf16-mixed")


def start(device: str = "auto", devices: int = 1, nodes: int = 1, precision: str = "32-true") -> Fabric:
    """auto: CUDA where it is, else the CPU; a device that is named is used or DeviceError is raised.

    With several devices the command is started again once per device; torchrun has done so, and says how many.
    """
    devices, nodes = _started(devices, nodes)
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


def agree(fabric: Fabric, value: int) -> bool:
    """Whether every process holds the same 63-bit number; each of them gets the same answer."""
    values = fabric.all_gather(torch.tensor([value], device=fabric.device))
    return bool((values == value).all()) if isinstance(values, torch.Tensor) else False


def _started(devices: int, nodes: int) -> tuple[int, int]:
    """Processes on each machine, and machines: what torchrun started, or else what is asked for."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return devices, nodes
    here, all_of_them = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    started = here, all_of_them // here
    if (devices, nodes) not in ((1, 1), started):
        raise DeviceError(f"torchrun started {started[0]} processes on {started[1]} machines, not {devices} on {nodes}")
    return started
