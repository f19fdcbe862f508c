"""The networks of deepbet's wheel -> the folder `model/deepbet`, where every node has them without a network.

    pip download --no-deps deepbet==1.0.2 && python -m model.brain_weights deepbet-1.0.2-py3-none-any.whl

Needs torch, because the wheel holds TorchScript, which is a program; what comes out is a graph and numbers. Half
precision of the weights makes 8.7 MB of 17.4; the computation stays float32.
"""

import hashlib
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import openvino as ov
import torch

from model.brain import FOLDER, LARGE, SMALL

WHEEL_SHA256 = "1999e2ea00ec48f6233b95b96f3901a962d3f70431c63aeb985e8a49a198473c"
NETWORKS = {"box": ("data/models/bbox_model.pt", SMALL), "brain": ("data/models/model.pt", LARGE)}
LICENSE = "deepbet-1.0.2.dist-info/LICENSE"


def convert(wheel: Path, folder: Path = FOLDER) -> None:
    """Write both networks and the licence. Raises ValueError for another wheel than that of deepbet 1.0.2."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel}: is not the wheel of deepbet 1.0.2")
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive, TemporaryDirectory() as there:
        (folder / "LICENSE").write_bytes(archive.read(LICENSE))
        for name, (member, shape) in NETWORKS.items():
            script = torch.jit.load(archive.extract(member, there), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            graph = ov.convert_model(script, example_input=torch.zeros(1, 1, 32, 32, 32))
            graph.reshape([1, 1, *shape])
            ov.save_model(graph, folder / f"{name}.xml", compress_to_fp16=True)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
