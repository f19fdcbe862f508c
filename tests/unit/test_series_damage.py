"""Damaged, lying and hostile files: a clear outcome each, never a crash, never a wrong volume."""

import io
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from node.config import SelectionSettings
from node.errors import UnreadableInstance
from node.series.geometry import GeometryError
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders, select
from node.series.volume import read_series, read_volume
from tests import factories

LIMIT = 2**24


def series_of(paths: list[Path]) -> SeriesHeaders:
    found, unreadable = read_series(paths)
    assert not unreadable
    return found[0]


def complaint(paths: list[Path]) -> str:
    with pytest.raises(UnreadableInstance) as caught:
        read_volume(series_of(paths), LIMIT)
    return str(caught.value)


@pytest.fixture
def slices() -> list[Dataset]:
    return factories.mr_series(slices=5, rows=32, columns=40)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("part", [0.97, 0.7, 0.5])
def test_pixel_data_that_end_too_early_are_unreadable(
    tmp_path: Path, slices: list[Dataset], syntax: str, part: float
) -> None:
    paths = factories.write(slices, tmp_path, transfer_syntax=syntax)
    content = paths[3].read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00")
    paths[3].write_bytes(content[: start + int((len(content) - start) * part)])
    said = complaint(paths)
    assert said.startswith(slices[3].SOPInstanceUID)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_frames_that_are_missing_from_an_enhanced_object_are_missed(tmp_path: Path, syntax: str) -> None:
    dataset = factories.encoded(factories.enhanced_mr(slices=8, rows=32, columns=32), syntax)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=8))
    dataset.PixelData = encapsulate(frames[:6])
    path = tmp_path / "short.dcm"
    dataset.save_as(path, enforce_file_format=True)
    assert "frames" in complaint([path])


def lying(slices: list[Dataset], **elements: object) -> list[Dataset]:
    for keyword, value in elements.items():
        for each in slices:
            setattr(each, keyword, value)
    return slices


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"Rows": 64}, "bytes of pixel data"),
        ({"Rows": 16}, "bytes of pixel data"),
        ({"Columns": 41}, "bytes of pixel data"),
        ({"SamplesPerPixel": 3}, "one grey value"),
        ({"PhotometricInterpretation": "RGB"}, "one grey value"),
        ({"BitsAllocated": 12}, "no pixel format"),
        ({"BitsAllocated": 64}, "no pixel format"),
        ({"BitsStored": 24}, "no pixel format"),
        ({"RescaleSlope": "0"}, "slope is zero"),
    ],
)
def test_headers_that_lie_about_the_pixels_are_found_out(
    tmp_path: Path, slices: list[Dataset], elements: dict[str, object], words: str
) -> None:
    assert words in complaint(factories.write(lying(slices, **elements), tmp_path))


def test_a_colour_image_among_grey_ones_is_found_out(tmp_path: Path, slices: list[Dataset]) -> None:
    slices[2].SamplesPerPixel, slices[2].PhotometricInterpretation = 3, "RGB"
    slices[2].PixelData = bytes(slices[2].PixelData) * 3
    assert complaint(factories.write(slices, tmp_path)).startswith(slices[2].SOPInstanceUID)


@pytest.mark.parametrize("uid", [b"1.2.840.10008.1.9.99", b"1.2.826.0.1.368004.9"])
def test_an_unknown_transfer_syntax_is_not_guessed_at(tmp_path: Path, slices: list[Dataset], uid: bytes) -> None:
    paths = factories.write(slices, tmp_path)
    content = paths[0].read_bytes()
    paths[0].write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", uid, 1))
    series, unreadable = read_series(paths)
    assert len(series[0].headers) == 4
    assert "unknown transfer syntax" in unreadable[0].reason


def test_rows_of_zero_are_no_image(tmp_path: Path, slices: list[Dataset]) -> None:
    assert "no rows" in complaint(factories.write(lying(slices, Rows=0), tmp_path))


def test_a_billion_frames_cost_nothing(tmp_path: Path, slices: list[Dataset]) -> None:
    paths = factories.write(lying(slices, NumberOfFrames=2_000_000_000), tmp_path)
    with pytest.raises(GeometryError) as caught:
        read_volume(series_of(paths), LIMIT)
    assert caught.value.reason is Reason.NO_GEOMETRY


def test_a_code_stream_of_another_size_is_not_decoded(tmp_path: Path, slices: list[Dataset]) -> None:
    other = factories.encoded(factories.mr_series(slices=1, rows=512, columns=640)[0], JPEG2000Lossless)
    dataset = factories.encoded(slices[0], JPEG2000Lossless)
    dataset.PixelData = other.PixelData
    first = tmp_path / "bomb.dcm"
    dataset.save_as(first, enforce_file_format=True)
    others = factories.write(slices[1:], tmp_path, transfer_syntax=JPEG2000Lossless)
    assert "another size" in complaint([first, *others])


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, HTJ2KLossless, RLELossless])
def test_code_that_is_noise_is_unreadable(tmp_path: Path, slices: list[Dataset], syntax: str) -> None:
    for each in slices:
        each.PixelData = encapsulate([np.random.default_rng(0).bytes(2000)])
        each["PixelData"].VR, each["PixelData"].is_undefined_length = "OB", True
    paths = []
    for number, each in enumerate(slices):
        made = factories.encoded(each)
        made.file_meta.TransferSyntaxUID = syntax
        paths.append(tmp_path / f"{number}.dcm")
        made.save_as(paths[-1], enforce_file_format=True)
    assert "frame 1" in complaint(paths)


def test_a_header_without_pixels_is_unreadable(tmp_path: Path, slices: list[Dataset]) -> None:
    del slices[2].PixelData
    assert "no pixel data" in complaint(factories.write(slices, tmp_path))


def test_a_file_that_vanished_is_unreadable(tmp_path: Path, slices: list[Dataset]) -> None:
    paths = factories.write(slices, tmp_path)
    series = series_of(paths)
    paths[1].unlink()
    with pytest.raises(UnreadableInstance, match="No such file"):
        read_volume(series, LIMIT)


def test_pixels_that_are_uncompressed_against_their_transfer_syntax_are_unreadable(
    tmp_path: Path, slices: list[Dataset]
) -> None:
    paths = factories.write(slices, tmp_path)
    content = paths[0].read_bytes()
    paths[0].write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1))
    assert "not encapsulated" in complaint(paths)


def deflated(dataset: Dataset) -> bytes:
    made = factories.encoded(dataset)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def bomb(dataset: Dataset) -> bytes:
    content = deflated(dataset)
    meta = content.index(b"1.2.840.10008.1.2.1.99") + 22
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"".join([*(packer.compress(bytes(2**20)) for _ in range(256)), packer.flush()])
    return content[: meta + meta % 2] + packed


def whole(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    factories.encoded(dataset).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def nested(dataset: Dataset) -> bytes:
    content = whole(dataset)
    start = content.index(b"\xe0\x7f\x10\x00")
    deep = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    return content[:start] + deep


HOSTILE: dict[str, Callable[[Dataset], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"this is no DICOM file\n" * 50,
    "noise": lambda _: np.random.default_rng(0).bytes(5000),
    "a preamble and noise": lambda _: bytes(128) + b"DICM" + np.random.default_rng(1).bytes(5000),
    "deflated": deflated,
    "a deflated bomb": bomb,
    "cut in the file meta information": lambda dataset: whole(dataset)[:300],
    "sequences nested without end": nested,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_instance_is_named_and_the_others_are_read(
    name: str, tmp_path: Path, slices: list[Dataset]
) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(HOSTILE[name](slices[0]))
    series, unreadable = read_series([bad, *factories.write(slices[1:], tmp_path / "good")])
    assert [each.path for each in unreadable] == [bad]
    assert unreadable[0].reason
    assert [len(each.headers) for each in series] == [4]


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"])
def test_an_instance_without_its_identity_belongs_to_no_series(
    keyword: str, tmp_path: Path, slices: list[Dataset]
) -> None:
    delattr(slices[0], keyword)
    path = tmp_path / "nameless.dcm"
    made = factories.encoded(slices[0])
    made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    made.save_as(path, enforce_file_format=True)
    series, unreadable = read_series([path])
    assert not series
    assert keyword in unreadable[0].reason


def test_the_same_instance_twice_is_read_once(tmp_path: Path, slices: list[Dataset]) -> None:
    paths = [*factories.write(slices, tmp_path / "a"), *factories.write(slices[:2], tmp_path / "b")]
    series, unreadable = read_series(paths)
    assert len(series[0].headers) == 5
    assert [each.path for each in unreadable] == paths[5:]
    assert "same SOP Instance UID" in unreadable[0].reason


def test_reading_a_header_decodes_no_pixels(tmp_path: Path, slices: list[Dataset]) -> None:
    series = series_of(factories.write(slices, tmp_path))
    assert all("PixelData" not in header for header in series.headers)
    assert dcmread(series.paths[0]).PixelData


def damaged(content: bytes, rng: Random) -> bytes:
    """Some bytes of a file changed, lost, cut off or put in."""
    found, place = bytearray(content), rng.randrange(132, len(content))
    act = rng.randrange(4)
    if act == 0:
        for _ in range(rng.choice((1, 3, 20))):
            found[rng.randrange(132, len(found))] = rng.randrange(256)
    elif act == 1:
        del found[place : place + rng.choice((1, 2, 50))]
    elif act == 2:
        del found[place:]
    else:
        found[place:place] = rng.randbytes(rng.choice((1, 4, 60)))
    return bytes(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["explicit", "implicit", "compressed", "enhanced"])
def test_random_damage_ends_in_a_verdict_or_a_named_error(kind: str, tmp_path: Path) -> None:
    rng = Random(kind)
    settings = SelectionSettings(minimum_slices=3, minimum_coverage_mm=1, maximum_spacing_mm=50)
    syntax = {"implicit": ImplicitVRLittleEndian, "compressed": RLELossless}.get(kind, ExplicitVRLittleEndian)
    small: dict[str, Any] = {"slices": 4, "rows": 16, "columns": 16, "spacing_mm": (5, 5, 5)}
    made = [factories.enhanced_mr(**small)] if kind == "enhanced" else factories.mr_series(**small)
    paths = factories.write(made, tmp_path, transfer_syntax=syntax)
    whole = paths[0].read_bytes()
    for _ in range(60):
        paths[0].write_bytes(damaged(whole, rng))
        series, unreadable = read_series(paths)
        assert all(each.reason.isprintable() for each in unreadable)
        for verdict in select(series, settings).verdicts:
            assert verdict.detail.isprintable()
        for each in series:
            with suppress(UnreadableInstance, GeometryError):
                assert np.isfinite(read_volume(each, LIMIT, settings).voxels).all()
