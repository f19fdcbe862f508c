"""Tables of labels and demographics, as people have them: read strictly, because a wrong label is worse than none.

Every error names file and row; the header is row 1, as in a spreadsheet.
"""

import csv
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.training.errors import LabelTableError

VIEWS = ("axial", "sagittal", "coronal")
COVARIATES = ("age", "educ", "ses", "mmse", "etiv", "nwbv", "asf")  # the numbers of the OASIS tables
MISSING = ("", "n/a", "na", "nan", ".")

DAMAGED_WORKBOOK = (OSError, EOFError, KeyError, IndexError, ValueError, struct.error, zlib.error, zipfile.BadZipFile)


@dataclass(frozen=True)
class Row:
    """A row of a table: `number` as a spreadsheet counts, and its cells by column name, lower case, stripped."""

    table: Path
    number: int
    cells: Mapping[str, str]

    def wrong(self, why: str) -> LabelTableError:
        """The error that names this row."""
        return LabelTableError(f"{self.table}: row {self.number}: {why}")

    def text(self, column: str) -> str:
        """The cell, which must not be empty."""
        value = self.cells.get(column, "")
        if not value:
            raise self.wrong(f"{column} is empty")
        return value

    def number_of(self, column: str) -> float | None:
        """The cell as a number; None where it is empty, says that it is missing, or the column is not there."""
        value = self.cells.get(column, "")
        if value.lower() in MISSING:
            return None
        try:
            return float(value)
        except ValueError:
            raise self.wrong(f"{column} is {value!r}, not a number") from None


@dataclass(frozen=True)
class LabelledImages:
    """A subject's session in a table of labelled slices. label 1: dementia-related changes; images by view.

    covariates   those of COVARIATES that the row gives
    """

    row: Row
    subject: str
    session: str
    label: int
    fold: int | None
    images: Mapping[str, str]
    covariates: Mapping[str, float]


def read(path: Path) -> list[Row]:
    """All rows of a .csv, .xlsx or .xls (its first sheet); rows without any content are passed over.

    Raises LabelTableError when the file cannot be read or a row has more or fewer cells than the header.
    """
    reader = {".xlsx": _read_xlsx, ".xls": _read_xls}.get(path.suffix.lower(), _read_csv)
    lines = reader(path)
    header = next(lines, None)
    if header is None:
        raise LabelTableError(f"{path}: is empty")
    names = [name.strip().lower() for name in header]
    if len(set(filter(None, names))) != len([name for name in names if name]):
        raise LabelTableError(f"{path}: row 1: two columns have the same name")
    rows = []
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(names):
            raise LabelTableError(f"{path}: row {number}: has {len(line)} cells, the header has {len(names)}")
        rows.append(Row(path, number, {name: cell.strip() for name, cell in zip(names, line, strict=True) if name}))
    return rows


def labelled_images(path: Path, *, to_train: bool = True) -> list[LabelledImages]:
    """A table of labelled slices: subject_id, label_demented (or label, or cdr), images by view, fold if given.

    Fold and covariates are read only `to_train`. Raises LabelTableError at the first row whose label, fold, images or
    identity cannot be right.
    """
    rows = read(path)
    columns = set(rows[0].cells) if rows else set()
    views = [view for view in VIEWS if view in columns] or [name for name in ("image", "path") if name in columns]
    for needed, found in (("subject_id", "subject_id" in columns), ("an image column (axial, …)", bool(views))):
        if not found:
            raise LabelTableError(f"{path}: row 1: there is no column {needed}")
    entries = [_labelled(row, views, to_train) for row in rows]
    _consistent(entries)
    return entries


def clinical_rating(row: Row) -> float | None:
    """CDR of a row: 0, 0.5, 1, 2 or 3; None where no rating was made (Morris 1993, doi 10.1212/WNL.43.11.2412-a)."""
    rating = row.number_of("cdr")
    if rating is not None and rating not in (0, 0.5, 1, 2, 3):
        raise row.wrong(f"cdr is {rating:g}; a Clinical Dementia Rating is 0, 0.5, 1, 2 or 3")
    return rating


def covariates(row: Row) -> dict[str, float]:
    """The numbers of a row by their column, as far as they are given."""
    numbers = {name: row.number_of(name) for name in COVARIATES}
    return {name: value for name, value in numbers.items() if value is not None}


def _labelled(row: Row, views: list[str], to_train: bool) -> LabelledImages:
    images = {view if view in VIEWS else "axial": row.cells[view] for view in views if row.cells[view]}
    if not images:
        raise row.wrong(f"names no image in {', '.join(views)}")
    fold = row.number_of("fold") if to_train else None
    if fold is not None and (fold < 0 or fold != int(fold)):
        raise row.wrong(f"fold is {fold:g}; folds are counted from 0")
    return LabelledImages(
        row=row,
        subject=row.text("subject_id"),
        session=row.cells.get("session", ""),
        label=_label(row),
        fold=None if fold is None else int(fold),
        images=images,
        covariates=covariates(row) if to_train else {},
    )


def _label(row: Row) -> int:
    rating = clinical_rating(row)
    column = next((name for name in ("label_demented", "label") if name in row.cells), None)
    if column is None:
        if rating is None:
            raise row.wrong("has no label: label_demented, label or cdr is needed")
        return int(rating > 0)
    value = row.text(column)
    if value not in ("0", "1", "0.0", "1.0"):
        raise row.wrong(f"{column} is {value!r}; it must be 0 or 1")
    label = int(float(value))
    if rating is not None and (rating > 0) != (label == 1):
        raise row.wrong(f"{column} is {label} but cdr is {rating:g}")
    return label


def _consistent(entries: list[LabelledImages]) -> None:
    first: dict[str, LabelledImages] = {}
    sessions: set[tuple[str, str, tuple[str, ...]]] = set()
    for entry in entries:
        identity = (entry.subject, entry.session, tuple(entry.images.values()))
        if identity in sessions:
            raise entry.row.wrong(f"{entry.subject} {entry.session} is there twice".replace("  ", " "))
        sessions.add(identity)
        earlier = first.setdefault(entry.subject, entry)
        for name, one, other in (("label", entry.label, earlier.label), ("fold", entry.fold, earlier.fold)):
            if one != other:
                raise entry.row.wrong(f"{entry.subject} has {name} {one}, but {other} in row {earlier.row.number}")


def _read_csv(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelTableError(f"{path}: cannot be read as CSV: {error}") from error


def _read_xlsx(path: Path) -> Iterator[list[str]]:
    import openpyxl

    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        yield from (["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True))
    except DAMAGED_WORKBOOK as error:
        raise LabelTableError(f"{path}: cannot be read as a workbook: {error}") from error


def _read_xls(path: Path) -> Iterator[list[str]]:
    import xlrd

    try:
        sheet = xlrd.open_workbook(path).sheet_by_index(0)
        yield from ([str(value) for value in sheet.row_values(row)] for row in range(sheet.nrows))
    except (*DAMAGED_WORKBOOK, xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
        raise LabelTableError(f"{path}: cannot be read as a workbook: {error}") from error
