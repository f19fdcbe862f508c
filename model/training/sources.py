"""What lies in a folder: labelled and unlabelled images in the layouts that people have them in.

    table        labels.csv beside pictures: subject_id, label_demented, axial, sagittal, coronal, fold
    classes      OASIS-1 slices as JPEG in `Non Demented`, `Very mild Dementia`, `Mild Dementia`, `Moderate Dementia`
    oasis1       OASIS-1 as distributed: disc*/OAS1_xxxx_MR1/… with oasis_cross-sectional.csv or .xlsx
    ixi          IXI012-HH-1211-T1.nii.gz … with or without its spreadsheet
    volumes      any folder of NIfTI or DICOM, for pre-training

Nothing is decoded here, so this is quick; a damaged file shows when it is loaded, and is then named and skipped.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from model.slicing import Preprocessing
from model.training import tables, volumes
from model.training.errors import LabelTableError, NoTrainingData
from model.training.volumes import NIFTI, PICTURES, Pixels

CLASSES = {"nondemented": 0, "verymilddementia": 1, "milddementia": 1, "moderatedementia": 1}
SLICE_NAME = re.compile(r"^(OAS1_\d{4})_(MR\d)_mpr-(\d)_(\d+)$", re.IGNORECASE)
SESSION_FOLDER = re.compile(r"^(OAS1_\d{4})_(MR\d)$")
IXI_NAME = re.compile(r"^(IXI(\d+))-.*T1\.nii(\.gz)?$")

OasisImages = Literal["raw", "t88", "t88-masked"]
OASIS_FILES: dict[OasisImages, str] = {
    "raw": "RAW/*_mpr-1_anon.hdr",
    "t88": "PROCESSED/MPRAGE/T88_111/*_t88_gfc.hdr",
    "t88-masked": "PROCESSED/MPRAGE/T88_111/*_t88_masked_gfc.hdr",
}

Load = Callable[[Preprocessing], Pixels]


@dataclass(frozen=True)
class ImageSource:
    """A picture or volume. label 1: dementia-related changes, None: unknown; load may raise Unreadable."""

    files: tuple[Path, ...]
    subject: str
    load: Load
    session: str = ""
    view: str = "axial"
    label: int | None = None
    fold: int | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """What a folder holds."""

    root: Path
    layout: str
    sources: tuple[ImageSource, ...]
    skipped: tuple[Skipped, ...] = ()


def together(found: list[Found]) -> Found:
    """Several folders as one; a subject who is in two of them is one subject."""
    return Found(
        found[0].root,
        " + ".join(each.layout for each in found),
        tuple(source for each in found for source in each.sources),
        tuple(skipped for each in found for skipped in each.skipped),
    )


StudyReader = Callable[[Sequence[Path]], Iterable[ImageSource | Skipped]]


def find(folder: Path, oasis: OasisImages = "raw", read_dicom: StudyReader | None = None) -> Found:
    """Look what a folder holds. `read_dicom` finds the DICOM studies in files (model/ itself knows no DICOM).

    Raises NoTrainingData when nothing fits, LabelTableError when a table is wrong.
    """
    if not folder.is_dir():
        raise NoTrainingData(f"{folder}: is no folder")
    if (folder / "labels.csv").is_file():
        return table(folder / "labels.csv", folder)
    if class_folders := [each for each in sorted(folder.iterdir()) if _class_of(each) is not None]:
        return _sorted_out(folder, "OASIS-1 slices by class", _classes(class_folders))
    if sessions := sorted(each for each in folder.rglob("OAS1_*_MR*") if SESSION_FOLDER.match(each.name)):
        return _sorted_out(folder, f"OASIS-1 as distributed ({oasis})", _oasis1(folder, sessions, oasis))
    files = sorted(each for each in folder.rglob("*") if each.is_file() and not _hidden(each, folder))
    if ixi := [each for each in files if IXI_NAME.match(each.name)]:
        return _sorted_out(folder, "IXI", _ixi(folder, ixi))
    found = _sorted_out(folder, "volumes", _volumes(folder, files, read_dicom))
    if not found.sources:
        looked_for = "labels.csv, OASIS-1 (as distributed, or slices by class), IXI, NIfTI or DICOM"
        raise NoTrainingData(f"{folder}: holds nothing to train on; looked for {looked_for}")
    return found


def table(labels: Path, images: Path, *, to_train: bool = True) -> Found:
    """A table of labelled slices; image names are relative to `images`, or to the folder that `images` lies in.

    A picture that is not there is skipped; so is one whose name leads out of the folder.
    """
    items: list[ImageSource | Skipped] = []
    for entry in tables.labelled_images(labels, to_train=to_train):
        for view, name in entry.images.items():
            path = next((each for each in (images / name, images / Path(name).name) if each.is_file()), images / name)
            if not path.resolve().is_relative_to(images.resolve()):
                items.append(Skipped(path, "lies outside of the folder of images"))
            elif not path.is_file():
                items.append(Skipped(path, "is not there"))
            else:
                load = partial(volumes.picture_pixels, path)
                identity = (entry.session, view, entry.label, entry.fold, entry.covariates)
                items.append(ImageSource((path,), entry.subject, load, *identity))
    return _sorted_out(images, f"labelled slices ({labels.name})", items)


def _sorted_out(folder: Path, layout: str, items: Iterable[ImageSource | Skipped]) -> Found:
    everything = list(items)
    return Found(
        folder,
        layout,
        tuple(each for each in everything if isinstance(each, ImageSource)),
        tuple(each for each in everything if isinstance(each, Skipped)),
    )


def _class_of(folder: Path) -> int | None:
    return CLASSES.get(re.sub(r"[\s_-]", "", folder.name.lower())) if folder.is_dir() else None


def _classes(folders: list[Path]) -> Iterator[ImageSource | Skipped]:
    home: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            name = SLICE_NAME.match(path.stem)
            if path.suffix.lower() not in PICTURES:
                yield Skipped(path, "is no JPEG or PNG")
            elif name is None:
                yield Skipped(path, "its name tells no subject (OAS1_0028_MR1_mpr-1_100.jpg does)")
            else:
                subject = name[1].upper()
                if _class_of(home.setdefault(subject, folder)) != _class_of(folder):
                    raise LabelTableError(f"{path}: {subject} also lies in {home[subject].name}")
                load = partial(volumes.picture_pixels, path)
                yield ImageSource(
                    (path,), subject, load, f"{name[2].upper()} mpr-{name[3]}", "axial", _class_of(folder)
                )


def _oasis1(folder: Path, sessions: list[Path], oasis: OasisImages) -> Iterator[ImageSource | Skipped]:
    rows = {}
    for row in _spreadsheet(folder, "oasis_cross-sectional", "id"):
        if row.text("id") in rows:
            raise row.wrong(f"{row.text('id')} is there twice")
        rows[row.text("id")] = (tables.clinical_rating(row), tables.covariates(row))
    for session in sessions:
        name = SESSION_FOLDER.match(session.name)
        headers = sorted(session.glob(OASIS_FILES[oasis]))
        if name is None or not session.is_dir():
            continue
        if not headers:
            yield Skipped(session, f"holds no {OASIS_FILES[oasis]}")
            continue
        rating, covariates = rows.get(session.name, (None, {}))
        yield ImageSource(
            (headers[0], headers[0].with_suffix(".img")),
            name[1],
            partial(volumes.volume_pixels, headers[0]),
            name[2],
            label=None if rating is None else int(rating > 0),
            covariates=covariates,
        )


def _ixi(folder: Path, files: list[Path]) -> Iterator[ImageSource]:
    for row in _spreadsheet(folder, "", "ixi_id"):
        row.number_of("ixi_id")  # the demographics carry no label; reading them finds a damaged table early
    for path in files:
        name = IXI_NAME.match(path.name)
        if name is not None:
            yield ImageSource((path,), name[1], partial(volumes.volume_pixels, path))


def _volumes(folder: Path, files: list[Path], read_dicom: StudyReader | None) -> Iterator[ImageSource | Skipped]:
    others: list[Path] = []
    for path in files:
        if path.name.lower().endswith(NIFTI):
            yield ImageSource((path,), _subject_of(path, folder), partial(volumes.volume_pixels, path))
        elif path.suffix.lower() not in (*PICTURES, ".csv", ".txt", ".json", ".md", ".xls", ".xlsx"):
            others.append(path)
    if read_dicom is not None:
        yield from read_dicom(others)


def _spreadsheet(folder: Path, stem: str, key: str) -> list[tables.Row]:
    """Rows of the first table in the folder, or at the top of it, that has the key column; none when there is none."""
    for path in sorted(each for each in folder.rglob(f"{stem}*") if each.suffix.lower() in (".csv", ".xlsx", ".xls")):
        rows = tables.read(path)
        if rows and any(column.split(" ")[0] == key for column in rows[0].cells):
            return rows
    return []


def _subject_of(path: Path, folder: Path) -> str:
    """BIDS names the subject in the path (sub-01); else each file is taken for a subject of its own."""
    parts = path.relative_to(folder).parts
    return next(
        (part.split("_")[0] for part in parts if part.startswith("sub-")), re.sub(r"\.nii(\.gz)?$", "", parts[-1])
    )


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
