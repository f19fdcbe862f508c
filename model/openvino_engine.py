"""The engine for CPUs: OpenVINO, one slice on each core at a time.

Measured against torch eager and torch.compile with freezing (`neurossl model benchmark`): the fastest of them in both
precisions, ready in seconds, without a C++ compiler at run time, and without torch in memory.
"""

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from model.bundle import Bundle
from model.engine import Answer, Array, Encoded, Progress, available_cores
from model.errors import DeviceError
from model.folding import FoldedEncoder, folded_projector
from model.openvino_graph import encoder_graph, projector_graph
from model.uncertainty import DropoutHead, Masks

TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
PROJECTED = 64  # slices that go through the projector together


class OpenVinoEngine:
    """OpenVINO on the CPU; raises DeviceError when the CPU cannot compute in this precision."""

    name, device, memory = "OpenVINO", "cpu", None

    def __init__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> None:
        self.precision = precision
        self._core = ov.Core()
        if not computes_in(precision):
            raise DeviceError(f"this CPU does not compute in {precision}: set the precision to auto or float32")
        self.threads = threads or available_cores()
        self._encoder = self._compile(
            encoder_graph(FoldedEncoder.of(bundle), bundle.manifest.rollout_order), streams=self.threads
        )
        self._weight = _projector_weight(bundle, precision)  # kept alive here: the compiled graph reads it in place
        kind = ov.Type.bf16 if precision == "bfloat16" else ov.Type.f32
        tensor = ov.Tensor(self._weight, list(self._weight.shape), kind)
        graph = projector_graph(tensor, bundle.weights.read("cov_proj.0.bias"))
        self._projector = self._compile(graph, streams=1).create_infer_request()
        self._head = DropoutHead.read(bundle.weights.read)
        self._requests = [self._encoder.create_infer_request() for _ in range(2 * self.threads)]

    def _compile(self, graph: ov.Model, streams: int) -> ov.CompiledModel:
        settings = {
            "INFERENCE_PRECISION_HINT": TYPES[self.precision],
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(graph, "CPU", settings)

    def answer(self, images: Array, masks: Masks, progress: Progress | None = None) -> Answer:
        """See Engine.answer."""
        encoded = self.encode(images, progress)
        return Answer(self._head.logits(encoded.cls, encoded.hidden, masks), encoded.rollout)

    def encode(self, images: Array, progress: Progress | None = None) -> Encoded:
        """images (N, 1, S, S), z-scored -> everything that lies before the first dropout."""
        count, queue = len(images), len(self._requests)
        shapes = (output.shape[1] for output in self._encoder.outputs)
        cls, covariances, rollout = (np.empty((count, width), np.float32) for width in shapes)
        for index in range(count + queue):
            request, done = self._requests[index % queue], index - queue
            if 0 <= done < count:
                request.wait()
                for place, target in enumerate((cls, covariances, rollout)):
                    target[done] = request.get_output_tensor(place).data[0]
                if progress is not None:
                    progress(done + 1, count)
            if index < count:
                request.start_async([images[index : index + 1]])
        return Encoded(cls, self._project(covariances), rollout)

    def _project(self, covariances: Array) -> Array:
        pieces = np.array_split(covariances, -(-len(covariances) // PROJECTED))
        return np.concatenate([self._projector.infer([piece])[0].copy() for piece in pieces])


def computes_in(precision: str) -> bool:
    """Whether this CPU has the instructions; float16 is left out, as hardly any CPU computes in it."""
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return precision == "float32" or (precision == "bfloat16" and "BF16" in capabilities)


def _projector_weight(bundle: Bundle, precision: str) -> NDArray[np.float32] | NDArray[np.uint16]:
    """The folded projector; the division of the covariance by the number of patches is done here, once."""
    architecture, hidden = bundle.manifest.architecture, bundle.weights.shapes["cov_proj.0.bias"][0]
    size, patches = architecture.covariance_size, np.float32(architecture.grid**2)
    narrow = precision == "bfloat16"
    weight = np.empty((hidden, size * (size + 1) // 2), np.uint16 if narrow else np.float32)
    for rows, half in folded_projector(bundle):
        weight[rows] = bfloat16(half / patches) if narrow else half / patches
    return weight


def bfloat16(values: Array) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even; values are finite.

    >>> [hex(bits) for bits in bfloat16(np.float32([1.0, -2.0, 1.00390625]))]
    ['0x3f80', '0xc000', '0x3f80']
    """
    bits = values.view(np.uint32)
    return np.asarray((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, np.uint16)
