"""Headers that hold a private element without a VR of the standard: `??`, two NULs, whatever a vendor put there.

pydicom takes such an element for implicit VR and reads its length from four bytes, of which two are the VR: what
follows is lost. Where that happened the header is read a second time with the short form, and the reading that found
more is the right one (node/dicom/walker.py decides the same at the door, by what follows).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from pydicom import config, dcmread
from pydicom.dataset import Dataset


def read_header(source: BinaryIO) -> Dataset:
    """The header of a DICOM file; `source` then stands at its pixel data. Raises what `dcmread` raises."""
    header = dcmread(source, stop_before_pixels=True)
    if not _has_odd_vr(header):
        return header
    source.seek(0)
    with _short_form():
        other = dcmread(source, stop_before_pixels=True)
    if len(other) > len(header):
        return other
    source.seek(0)
    return dcmread(source, stop_before_pixels=True)


def _has_odd_vr(header: Dataset) -> bool:
    """Whether an explicit VR header holds an element that was taken for implicit VR."""
    implicit = header.original_encoding[0]
    return implicit is False and any(
        header.get_item(tag).VR is None
        for tag in header.keys()  # noqa: SIM118 - iterating the dataset itself decodes every element
    )


@contextmanager
def _short_form() -> Iterator[None]:
    before = config.assume_implicit_vr_switch
    config.assume_implicit_vr_switch = False
    try:
        yield
    finally:
        config.assume_implicit_vr_switch = before
