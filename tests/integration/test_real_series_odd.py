"""The odd files, one by one: a clear outcome each, never a crash, never a wrong pixel."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from node.config import SelectionSettings
from node.errors import UnreadableInstance
from node.series.pixels import layout, open_header, read_frames
from node.series.reasons import Reason
from node.series.selection import judge
from node.series.volume import read_series

pytestmark = [pytest.mark.realdata, pytest.mark.filterwarnings("ignore::UserWarning")]

VERDICTS: dict[str, Reason | str] = {
    "ai_results/dcmqi_seg.dcm": Reason.NOT_MR,
    "ai_results/dcmqi_tid1500_sr.dcm": Reason.NOT_MR,
    "ai_results/highdicom_tid1500_sr.dcm": Reason.NOT_MR,
    "ai_results/highdicom_tid1500_sr_groups.dcm": Reason.NOT_MR,
    "broken/3gb-bulk-data-truncated.dcm": Reason.COLOUR,
    "broken/JPEG-lossy.dcm": Reason.SECONDARY_CAPTURE,
    "broken/JPEG2000-embedded-sequence-delimiter.dcm": Reason.SECONDARY_CAPTURE,
    "broken/MR_truncated.dcm": Reason.DERIVED,
    "broken/UN_sequence.dcm": "lacks SOPClassUID",
    "broken/badVR.dcm": Reason.NOT_MR,
    "broken/emri_small_jpeg_2k_lossless_too_short.dcm": Reason.NO_GEOMETRY,
    "broken/meta_missing_tsyntax.dcm": "lacks SOPClassUID",
    "broken/no_meta.dcm": "not a DICOM file",
    "broken/rtplan_truncated.dcm": Reason.NOT_MR,
    "charset/chrArab.dcm": Reason.SECONDARY_CAPTURE,
    "charset/chrH31.dcm": Reason.SECONDARY_CAPTURE,
    "charset/chrKoreanMulti.dcm": Reason.NOT_MR,
    "charset/chrSQEncoding.dcm": "lacks SOPClassUID",
    "charset/chrX1.dcm": Reason.SECONDARY_CAPTURE,
    "charset/chrX2.dcm": Reason.SECONDARY_CAPTURE,
    "compressed/JPGExtended.dcm": Reason.SECONDARY_CAPTURE,
    "compressed/MR_small_RLE.dcm": Reason.DERIVED,
    "compressed/MR_small_bigendian.dcm": Reason.DERIVED,
    "compressed/MR_small_implicit.dcm": Reason.DERIVED,
    "compressed/MR_small_jp2klossless.dcm": Reason.DERIVED,
    "compressed/MR_small_jpeg_ls_lossless.dcm": Reason.DERIVED,
    "compressed/emri_small_RLE.dcm": Reason.NO_GEOMETRY,
    "compressed/emri_small_jpeg_ls_lossless.dcm": Reason.NO_GEOMETRY,
    "compressed/ge_fse_pd_explicit_big.dcm": Reason.NOT_T1_WEIGHTED,
    "compressed/image_dfl.dcm": "deflated",
    "compressed/jp2k1.dcm": Reason.DERIVED,
    "compressed/jpeg_ls.dcm": Reason.NOT_HEAD,
    "compressed/jpg1.dcm": Reason.DERIVED,
    "image/12bitUnsigned_0x0F0F.dcm": Reason.DERIVED,
    "image/CT_small.dcm": Reason.NOT_MR,
    "image/MR2_J2KI.dcm": Reason.NOT_HEAD,
    "image/MR_small.dcm": Reason.DERIVED,
    "image/SC_rgb_jpeg_gdcm.dcm": Reason.SECONDARY_CAPTURE,
    "image/dx_image.dcm": Reason.NOT_MR,
    "image/examples_palette.dcm": Reason.NOT_MR,
    "image/ge_3plane_localizer.dcm": Reason.LOCALIZER,
    "image/siemens_mosaic_35.dcm": Reason.DERIVED,
    "image/siemens_phantom_scout.dcm": Reason.LOCALIZER,
    "nonimage/1301_WIP_ADNI_Sag3D_MPRAGE_Raw.dcm": Reason.NOT_MR,
    "nonimage/DICOMDIR": "lacks",
    "nonimage/liver_1frame.dcm": Reason.NOT_MR,
    "nonimage/reportsi.dcm": Reason.NOT_MR,
    "nonimage/rtdose.dcm": Reason.NOT_MR,
    "nonimage/rtstruct.dcm": "not a DICOM file",
    "nonimage/siemens_PhoenixZIPReport.dcm": Reason.NOT_MR,
    "nonimage/test-SR.dcm": Reason.NOT_MR,
    "nonimage/waveform_ecg.dcm": Reason.NOT_MR,
}

UNREADABLE_PIXELS = {
    "broken/JPEG-lossy.dcm": "frame 1",
    "broken/JPEG2000-embedded-sequence-delimiter.dcm": "another size",
    "broken/MR_truncated.dcm": "ends within",
    "broken/3gb-bulk-data-truncated.dcm": "no pixel format",
}


def test_the_table_names_every_odd_file(real_data: Path) -> None:
    odd = real_data / "odd"
    assert {str(path.relative_to(odd)) for path in odd.rglob("*") if path.is_file()} == set(VERDICTS)


@pytest.mark.parametrize("name", VERDICTS)
def test_each_odd_file_has_its_outcome(real_data: Path, name: str) -> None:
    series, unreadable = read_series([real_data / "odd" / name])
    outcome = VERDICTS[name]
    if isinstance(outcome, Reason):
        assert not unreadable
        verdict = judge(series[0], SelectionSettings())
        assert verdict.reason is outcome, verdict
        assert verdict.detail
    else:
        assert not series
        assert outcome in unreadable[0].reason


def test_all_odd_files_together_choose_nothing_and_crash_nothing(real_data: Path) -> None:
    paths = sorted(path for path in (real_data / "odd").rglob("*") if path.is_file())
    series, unreadable = read_series(paths)
    verdicts = [judge(each, SelectionSettings()) for each in series]
    assert not any(verdict.eligible for verdict in verdicts)
    assert sum(verdict.instances for verdict in verdicts) + len(unreadable) == len(paths)


DECODED = [
    "compressed/JPGExtended.dcm",
    "compressed/MR_small_RLE.dcm",
    "compressed/MR_small_bigendian.dcm",
    "compressed/MR_small_implicit.dcm",
    "compressed/MR_small_jp2klossless.dcm",
    "compressed/MR_small_jpeg_ls_lossless.dcm",
    "compressed/emri_small_RLE.dcm",
    "compressed/emri_small_jpeg_ls_lossless.dcm",
    "compressed/ge_fse_pd_explicit_big.dcm",
    "compressed/jp2k1.dcm",
    "compressed/jpeg_ls.dcm",
    "compressed/jpg1.dcm",
    "image/12bitUnsigned_0x0F0F.dcm",
    "image/CT_small.dcm",
    "image/MR2_J2KI.dcm",
    "image/siemens_mosaic_35.dcm",
    "nonimage/rtdose.dcm",
]


@pytest.mark.parametrize("name", DECODED)
def test_pixels_of_every_transfer_syntax_are_those_of_pydicom(real_data: Path, name: str) -> None:
    path = real_data / "odd" / name
    header, where = open_header(path)
    ours = np.stack(list(read_frames(path, where, layout(header), 2**28)))
    theirs = dcmread(path).pixel_array
    np.testing.assert_array_equal(ours, theirs.reshape(ours.shape))


def test_a_truncated_object_that_pydicom_reads_as_empty_gives_all_its_frames(real_data: Path) -> None:
    """Only its last delimiter is missing: every frame is whole, and the same as in its uncut twin."""
    cut, twin = (
        real_data / "odd" / name
        for name in ("broken/emri_small_jpeg_2k_lossless_too_short.dcm", "compressed/emri_small_RLE.dcm")
    )
    assert len(dcmread(cut)) == 0
    first, second = (np.stack(list(read_frames(path, where, layout(header), 2**28))) for path, (header, where) in
                     ((path, open_header(path)) for path in (cut, twin)))  # fmt: skip
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", UNREADABLE_PIXELS)
def test_broken_pixels_are_named(real_data: Path, name: str) -> None:
    path = real_data / "odd" / name
    header, where = open_header(path)
    with pytest.raises(UnreadableInstance, match=UNREADABLE_PIXELS[name]):
        list(read_frames(path, where, layout(header), 2**28))
