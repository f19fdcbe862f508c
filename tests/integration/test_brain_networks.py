"""deepbet's networks as the product has them: the same brain as the package finds, however a volume lies."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model import brain, sight
from model.brain_weights import convert
from model.slicing import Preprocessing
from model.types import Volume
from node.demo.template import write_template
from node.series.volume import read_series, read_volume

pytestmark = pytest.mark.slow

WITH_BRAIN = Preprocessing(slices=11, spacing_mm=2.0, brain="deepbet")
READABLE = ("philips_elition_adni_mprage_sag", "siemens_xa30_enhanced_t1_tfl_ser5")


@pytest.fixture(scope="module")
def average(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """The average of 152 brains that the demo sends, every second voxel."""
    paths = write_template(tmp_path_factory.mktemp("template") / "study")
    whole = read_volume(read_series(paths).series[0], 2**30)
    thinned = np.ascontiguousarray(whole.voxels[::2, ::2, ::2])
    return Volume(thinned, whole.affine_mm @ np.diag([2.0, 2.0, 2.0, 1.0]))


def test_a_brain_is_in_scope_and_its_slices_lie_in_the_atlas_however_the_volume_lies(average: Volume) -> None:
    items, found = sight.see(average, WITH_BRAIN, {})
    assert found.inside, found.reason
    assert 1.7 < found.measurements["brain_litres"] < 2.1
    assert found.measurements["likeness"] > 0.98
    turned = Volume(np.ascontiguousarray(average.voxels.transpose(2, 0, 1)), average.affine_mm[:, [2, 0, 1, 3]])
    again = sight.slices(turned, WITH_BRAIN)
    assert all((one.pixels == two.pixels).mean() > 0.999 for one, two in zip(items, again, strict=True))


def test_inverted_contrast_and_half_a_brain_are_outside_each_for_its_reason(average: Volume) -> None:
    voxels = average.voxels
    inverted = np.where(voxels > 0.1 * voxels.max(), 1.2 * voxels.max() - voxels, voxels)
    _, found = sight.see(Volume(inverted, average.affine_mm), WITH_BRAIN, {})
    assert "dark furrows" in found.reason
    half = [slice(0, n // 2) if axis == 0 else slice(None) for axis, n in enumerate(voxels.shape)]
    _, found = sight.see(Volume(np.ascontiguousarray(voxels[tuple(half)]), average.affine_mm), WITH_BRAIN, {})
    assert "brain cut off" in found.reason


def test_a_wheel_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.whl").write_bytes(b"another wheel")
    with pytest.raises(ValueError, match=r"not the wheel of deepbet 1\.0\.2"):
        convert(tmp_path / "other.whl", tmp_path)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:`torch.jit.load`:DeprecationWarning")
@pytest.mark.parametrize("name", READABLE)
def test_real_heads_are_brains_and_where_deepbet_is_installed_the_same_as_it_finds(real_data: Path, name: str) -> None:
    paths = sorted(path for path in (real_data / "series" / name).rglob("*") if path.is_file())
    volume = read_volume(read_series(paths).series[0], 2**30)
    _, found = sight.see(volume, WITH_BRAIN, {})
    assert found.inside, found.reason
    assert 1.5 < found.measurements["brain_litres"] < 1.6
    if importlib.util.find_spec("deepbet") is not None:
        ours = brain.find(volume)
        whole = np.zeros(ours.shape, bool)
        whole[tuple(slice(first, first + n) for first, n in zip(ours.first, ours.mask.shape, strict=True))] = ours.mask
        assert brain.dice(whole, by_deepbet(volume)) > 0.99


def by_deepbet(volume: Volume) -> NDArray[np.bool_]:
    """The mask of the package itself, with axes to the right, the front and the top."""
    from deepbet import BrainExtraction

    network = BrainExtraction(no_gpu=True)
    upright, _ = brain.upright(volume)
    return np.asarray(network.postprocess(network.run_model(np.ascontiguousarray(upright)) > 0.5), bool)
