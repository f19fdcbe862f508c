"""Label tables: what is right is read, what is wrong is fatal and names its row."""

from pathlib import Path

import openpyxl
import pytest

from model.training import tables
from model.training.errors import LabelTableError

HEADER = "subject_id,session,cdr,label_demented,axial,sagittal,fold"
GOOD = "A,MR1,0.5,1,a.jpg,s.jpg,0"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_row_becomes_a_subject_with_label_fold_and_images_by_view(tmp_path: Path) -> None:
    (entry,) = tables.labelled_images(written(tmp_path, HEADER, GOOD))
    assert (entry.subject, entry.session, entry.label, entry.fold) == ("A", "MR1", 1, 0)
    assert entry.images == {"axial": "a.jpg", "sagittal": "s.jpg"}


def test_without_a_label_column_the_clinical_rating_is_the_label(tmp_path: Path) -> None:
    path = written(tmp_path, "subject_id,cdr,axial", "A,0,a.jpg", "B,2,b.jpg")
    assert [entry.label for entry in tables.labelled_images(path)] == [0, 1]


def test_a_byte_order_mark_and_upper_case_headers_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("﻿Subject_ID,Label,Axial\r\nA,1,a.jpg\r\n".encode())
    assert tables.labelled_images(path)[0].label == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("B,MR1,0,2,a.jpg,s.jpg,0", "label_demented is '2'"),
        ("B,MR1,0,,a.jpg,s.jpg,0", "label_demented is empty"),
        ("B,MR1,0,1,a.jpg,s.jpg,0", "label_demented is 1 but cdr is 0"),
        ("B,MR1,0.7,1,a.jpg,s.jpg,0", "cdr is 0.7"),
        ("B,MR1,x,1,a.jpg,s.jpg,0", "cdr is 'x'"),
        (",MR1,0,0,a.jpg,s.jpg,0", "subject_id is empty"),
        ("B,MR1,0,0,,,0", "names no image"),
        ("B,MR1,0,0,a.jpg,s.jpg,-1", "fold is -1"),
        ("B,MR1,0,0,a.jpg", "has 5 cells"),
        ("A,MR1,0.5,1,a.jpg,s.jpg,0", "is there twice"),
        ("A,MR2,0,0,x.jpg,y.jpg,0", "has label 0, but 1 in row 2"),
        ("A,MR2,1,1,x.jpg,y.jpg,3", "has fold 3, but 0 in row 2"),
    ],
)
def test_a_wrong_row_is_fatal_and_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(LabelTableError, match="row 3: ") as caught:
        tables.labelled_images(written(tmp_path, HEADER, GOOD, row))
    assert said in str(caught.value)


def test_to_evaluate_neither_folds_nor_covariates_matter(tmp_path: Path) -> None:
    path = written(tmp_path, "subject_id,label,axial,fold,mmse", "A,1.0,a.jpg,outside,many")
    with pytest.raises(LabelTableError, match="fold is 'outside'"):
        tables.labelled_images(path)
    (entry,) = tables.labelled_images(path, to_train=False)
    assert (entry.label, entry.fold, entry.covariates) == (1, None, {})


def test_covariates_may_be_missing_but_not_rubbish(tmp_path: Path) -> None:
    path = written(tmp_path, "subject_id,label,axial,nwbv,mmse", "A,1,a.jpg,0.71,N/A")
    assert tables.labelled_images(path)[0].covariates == {"nwbv": 0.71}
    with pytest.raises(LabelTableError, match="row 2: mmse is 'many'"):
        tables.labelled_images(written(tmp_path, "subject_id,label,axial,mmse", "A,1,a.jpg,many"))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelTableError, match="no column subject_id"):
        tables.labelled_images(written(tmp_path, "name,label,axial", "A,1,a.jpg"))
    with pytest.raises(LabelTableError, match="no column an image column"):
        tables.labelled_images(written(tmp_path, "subject_id,label", "A,1"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00subject", b"PK\x03\x04 no workbook"])
def test_a_file_that_is_no_table_is_an_error_and_no_crash(tmp_path: Path, content: bytes) -> None:
    for name in ("labels.csv", "labels.xlsx", "labels.xls"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LabelTableError, match=name):
            tables.labelled_images(tmp_path / name)


def test_a_workbook_reads_like_a_csv(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("ID", "M/F", "CDR"), ("OAS1_0001_MR1", "F", 0.5), (None, None, None), ("OAS1_0002_MR1", "M", None)):
        book.active.append(row)
    book.save(tmp_path / "oasis_cross-sectional.xlsx")
    rows = tables.read(tmp_path / "oasis_cross-sectional.xlsx")
    assert [row.text("id") for row in rows] == ["OAS1_0001_MR1", "OAS1_0002_MR1"]
    assert [tables.clinical_rating(row) for row in rows] == [0.5, None]
    assert rows[1].number == 4
