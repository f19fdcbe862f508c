"""The real series, one by one: which is read and why, and where its voxels lie, beside two independent readers."""

from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from model import scope
from model.slicing import Preprocessing, slices
from model.types import Volume
from node.config import SelectionRule, SelectionSettings
from node.series.geometry import GeometryError, orientation
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders, select
from node.series.volume import read_series, read_volume

pytestmark = [pytest.mark.realdata, pytest.mark.filterwarnings("ignore:Invalid value for VR")]

LIMIT = 2**30


@dataclass(frozen=True)
class Expected:
    """What becomes of a series, and the golden geometry of the volume that its files make."""

    reason: Reason
    detail: str
    shape: tuple[int, int, int] = (0, 0, 0)
    spacing_mm: tuple[float, float, float] = (0, 0, 0)
    orientation: str = ""
    first_voxel_mm: tuple[float, float, float] = (0, 0, 0)
    slab_mm: tuple[float, float] = (0, 0)
    inside: bool = True


EXPECTED = {
    "canon_galan_dti_2vols": Expected(Reason.NOT_T1_WEIGHTED, "echo planar imaging"),
    "ge_signa_fse_pd_axial": Expected(
        Reason.NOT_T1_WEIGHTED, "spin echo, TR 2300, TE 22 ms", (20, 256, 256), (6.9993, 0.8594, 0.8594),
        "axial, 7.7 degrees oblique", (-110.5, -78.348, -72.730), (0.9, 60.9),
    ),
    "philips_elition_adni_mprage_sag": Expected(
        Reason.ELIGIBLE, "3D inversion-prepared gradient echo", (170, 256, 256), (1, 1, 1),
        "sagittal, 4.1 degrees oblique", (82.673, -133.005, 138.459), (18.9, 78.9),
    ),
    "philips_enhanced_pcasl_40f": Expected(
        Reason.NOT_MAGNITUDE, "real", (40, 96, 96), (4, 2.5, 2.5),
        "axial, 3.5 degrees oblique", (-109.645, -126.079, -53.042), (19.6, 79.6), inside=False,
    ),
    "siemens_prisma_t1_fl2d_sag_HFS": Expected(
        Reason.ELIGIBLE, "2D gradient echo, TR 300, TE 2.46 ms", (35, 256, 256), (4.8, 1.0156, 1.0156),
        "sagittal", (81.6, -130.0, 130.0), (-33.1, 26.9),
    ),
    "siemens_xa30_enhanced_t1_tfl_ser5": Expected(
        Reason.ELIGIBLE, "TR 1800, TE 2.41, TI 900 ms", (96, 128, 128), (2, 2, 2),
        "sagittal", (89.576, -156.094, 113.224), (5.5, 65.5),
    ),
    "studyforrest_t1w_axial_every8th": Expected(
        Reason.DERIVED, "image type derived/secondary", (48, 384, 274), (5.3333, 0.6667, 0.7),
        "axial, 7.7 degrees oblique", (-91.450, -160.060, -142.505), (-13.5, 46.5),
    ),
}  # fmt: skip
VOLUMES = [name for name, each in EXPECTED.items() if each.shape != (0, 0, 0)]


def series_of(real_data: Path, name: str) -> SeriesHeaders:
    found, unreadable = read_series(sorted((real_data / "series" / name).iterdir()))
    assert not unreadable
    assert len(found) == 1
    return found[0]


def test_the_table_names_every_series(real_data: Path) -> None:
    assert {each.name for each in (real_data / "series").iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_series_has_its_verdict(real_data: Path, name: str) -> None:
    selection = select([series_of(real_data, name)], SelectionSettings())
    verdict = selection.verdicts[0]
    assert verdict.reason is EXPECTED[name].reason
    assert EXPECTED[name].detail in verdict.detail
    assert (selection.chosen is not None) is (EXPECTED[name].reason is Reason.ELIGIBLE)


@pytest.mark.parametrize("name", VOLUMES)
def test_each_volume_has_its_golden_geometry(real_data: Path, name: str) -> None:
    expected, volume = EXPECTED[name], read_volume(series_of(real_data, name), LIMIT)
    assert volume.voxels.shape == expected.shape
    assert volume.spacing_mm == pytest.approx(expected.spacing_mm, abs=1e-3)
    assert orientation(volume.affine_mm) == expected.orientation
    np.testing.assert_allclose(volume.affine_mm[:3, 3], expected.first_voxel_mm, atol=0.1)
    assert len(volume.sources) == expected.shape[0]


@pytest.mark.parametrize("name", VOLUMES)
def test_slices_and_scope_of_each_volume(real_data: Path, name: str) -> None:
    volume = read_volume(series_of(real_data, name), LIMIT)
    found = slices(volume, Preprocessing())
    heights = (found[0].position_mm, found[-1].position_mm)
    assert heights == pytest.approx(EXPECTED[name].slab_mm, abs=0.2)
    verdict = scope.assess(volume, found)
    assert verdict.inside is EXPECTED[name].inside, verdict
    assert all(item.source in volume.sources for item in found)


def test_two_diffusion_volumes_in_one_series_make_no_volume(real_data: Path) -> None:
    with pytest.raises(GeometryError) as caught:
        read_volume(series_of(real_data, "canon_galan_dti_2vols"), LIMIT)
    assert caught.value.reason is Reason.SEVERAL_VOLUMES
    assert "80 images at 40 positions" in caught.value.detail


def test_of_all_series_as_one_study_the_mprage_is_chosen(real_data: Path) -> None:
    study = [series_of(real_data, name) for name in EXPECTED]
    selection = select(study, SelectionSettings())
    assert selection.chosen is study[list(EXPECTED).index("philips_elition_adni_mprage_sag")]


def test_a_site_can_accept_converted_research_volumes(real_data: Path) -> None:
    rule = SelectionRule(
        when='ManufacturerModelName == "nifti2dicom" and SeriesDescription ~ "T1w"', then="accept", why="ours"
    )
    selection = select([series_of(real_data, "studyforrest_t1w_axial_every8th")], SelectionSettings(rules=(rule,)))
    assert selection.chosen is not None


def test_every_second_slice_of_the_mprage_is_an_incomplete_series(real_data: Path) -> None:
    whole = series_of(real_data, "philips_elition_adni_mprage_sag")
    order = sorted(range(170), key=lambda index: int(whole.headers[index].InstanceNumber))[::2]
    half = SeriesHeaders("1.2", *(tuple(part[i] for i in order) for part in (whole.headers, whole.paths, whole.pixels)))
    verdict = select([half], SelectionSettings()).verdicts[0]
    assert verdict.reason is Reason.GAPS


def itk(series: SeriesHeaders) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Voxels (planes, rows, columns) and the affine of them -> LPS mm, as SimpleITK reads the files."""
    simpleitk = pytest.importorskip("SimpleITK")
    if len(series.paths) == 1:
        image = simpleitk.ReadImage(str(series.paths[0]))
    else:
        reader = simpleitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series.paths[0].parent)))
        image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = (np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing())[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return simpleitk.GetArrayFromImage(image).astype(np.float32), affine


def corners(volume_shape: tuple[int, ...]) -> NDArray[np.float64]:
    ends = [(0, n - 1) for n in volume_shape]
    return np.array([[d, h, w, 1] for d in ends[0] for h in ends[1] for w in ends[2]], float).T


@pytest.mark.parametrize("name", VOLUMES)
def test_geometry_agrees_with_simpleitk_to_a_tenth_of_a_millimetre_and_voxels_are_equal(
    real_data: Path, name: str
) -> None:
    series = series_of(real_data, name)
    ours = read_volume(series, LIMIT)
    voxels, affine = itk(series)
    backwards = np.dot(affine[:3, 0], ours.affine_mm[:3, 0]) < 0  # the stack may be counted from the other end
    if backwards:
        voxels = voxels[::-1]
        affine = affine @ np.array([[-1, 0, 0, len(voxels) - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)
    places = corners(ours.voxels.shape)
    np.testing.assert_allclose((ours.affine_mm @ places)[:3], (affine @ places)[:3], atol=0.1)
    np.testing.assert_allclose(ours.voxels, voxels, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in VOLUMES if "enhanced" in name])
def test_enhanced_objects_agree_with_highdicom(real_data: Path, name: str) -> None:
    series = series_of(real_data, name)
    ours = read_volume(series, LIMIT)
    theirs = highdicom.imread(series.paths[0]).get_volume(dtype=np.float32)
    backwards = np.diag([-1.0, 1, 1, 1])
    backwards[0, 3] = len(ours.voxels) - 1
    np.testing.assert_allclose(theirs.affine, ours.affine_mm @ backwards, atol=1e-3)
    np.testing.assert_allclose(theirs.array[::-1], ours.voxels, rtol=1e-6)


@pytest.mark.parametrize("name", ["philips_elition_adni_mprage_sag", "siemens_prisma_t1_fl2d_sag_HFS"])
def test_each_plane_lies_at_the_position_of_its_own_instance(real_data: Path, name: str) -> None:
    series = series_of(real_data, name)
    volume = read_volume(series, LIMIT)
    positions = {str(header.SOPInstanceUID): header.ImagePositionPatient for header in series.headers}
    for plane, source in enumerate(volume.sources):
        found = (volume.affine_mm @ [plane, 0, 0, 1])[:3]
        np.testing.assert_allclose(found, np.array(positions[source.sop_instance_uid], float), atol=0.01)


def test_pixels_go_through_the_rescale_of_the_header(real_data: Path) -> None:
    series = series_of(real_data, "philips_elition_adni_mprage_sag")
    volume = read_volume(series, LIMIT)
    middle = volume.sources[85].sop_instance_uid
    place = next(i for i, header in enumerate(series.headers) if header.SOPInstanceUID == middle)
    whole = dcmread(series.paths[place])
    assert float(whole.RescaleSlope) == pytest.approx(2.36166056166056)
    np.testing.assert_allclose(volume.voxels[85], whole.pixel_array * float(whole.RescaleSlope), rtol=1e-6)


def nifti(path: Path) -> Volume:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(path)
    return Volume(np.ascontiguousarray(image.get_fdata(dtype=np.float32)), np.diag([-1.0, -1, 1, 1]) @ image.affine)


@pytest.mark.parametrize("name", ["IXI012-HH-1211", "IXI015-HH-1258"])
def test_heads_from_nifti_are_inside(real_data: Path, name: str) -> None:
    volume = nifti(real_data / "ixi" / f"{name}_T1.nii.gz")
    assert scope.assess(volume, slices(volume, Preprocessing())).inside


def test_the_skull_stripped_template_of_the_demo_is_inside() -> None:
    template = pytest.importorskip("nilearn.datasets").load_mni152_template(resolution=1)
    volume = Volume(
        np.ascontiguousarray(template.get_fdata(dtype=np.float32)), np.diag([-1.0, -1, 1, 1]) @ template.affine
    )
    found = slices(volume, Preprocessing())
    assert scope.assess(volume, found).inside
    assert (found[30].position_mm or 0) == pytest.approx(8, abs=2)  # through the ventricles of the template
