"""Compressed by DCMTK, as a PACS sends it: the values that come back are those that went in."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from model.types import Volume
from node.series.volume import read_series, read_volume
from tests import factories

pytestmark = pytest.mark.peers

CODERS = {
    "JPEG lossless, any predictor": (["dcmcjpeg", "+el"], JPEGLossless),
    "JPEG lossless, first-order": (["dcmcjpeg", "+e1"], JPEGLosslessSV1),
    "JPEG-LS lossless": (["dcmcjpls", "+el"], JPEGLSLossless),
    "RLE": (["dcmcrle"], RLELossless),
}


def compressed(paths: list[Path], folder: Path, command: list[str]) -> list[Path]:
    folder.mkdir()
    for path in paths:
        subprocess.run([*command, path, folder / path.name], check=True, capture_output=True, timeout=60)
    return sorted(folder.iterdir())


def volume(paths: list[Path]) -> Volume:
    series, unreadable = read_series(paths)
    assert not unreadable
    return read_volume(series[0], 2**28)


@pytest.mark.parametrize("name", CODERS)
def test_a_series_comes_back_whole(name: str, tmp_path: Path) -> None:
    command, syntax = CODERS[name]
    plain = factories.write(factories.mr_series(slices=6, rows=64, columns=96, RescaleSlope="1.5"), tmp_path / "plain")
    coded = compressed(plain, tmp_path / "coded", command)
    assert dcmread(coded[0], stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(volume(coded).voxels, volume(plain).voxels)


@pytest.mark.parametrize("name", CODERS)
def test_the_frames_of_an_enhanced_object_come_back_in_their_order(name: str, tmp_path: Path) -> None:
    command, _ = CODERS[name]
    plain = tmp_path / "enhanced.dcm"
    factories.encoded(factories.enhanced_mr(slices=12, rows=64, columns=64)).save_as(plain, enforce_file_format=True)
    coded = compressed([plain], tmp_path / "coded", command)
    np.testing.assert_array_equal(volume(coded).voxels, volume([plain]).voxels)


def test_lossy_compression_stays_close(tmp_path: Path) -> None:
    plain = factories.write(factories.mr_series(slices=4, rows=64, columns=64), tmp_path / "plain")
    coded = compressed(plain, tmp_path / "coded", ["dcmcjpls", "+en", "+md", "3"])
    assert np.abs(volume(coded).voxels - volume(plain).voxels).max() <= 3
