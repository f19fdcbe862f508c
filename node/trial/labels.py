"""The table of a site's own labels, and whose study is whose.

A CSV file (comma, semicolon or tab) whose first line names its columns: `label` (1: changes that the site calls
dementia-related, 0: none), and one of `study_instance_uid`, `accession_number` and `patient_id`. Other columns are
passed over. What it names never leaves this process: reports know studies by a keyed hash.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from node.dicom.values import text
from node.errors import ConfigurationError

KEYWORDS = {"studyinstanceuid": "StudyInstanceUID", "accessionnumber": "AccessionNumber", "patientid": "PatientID"}
LABEL = "label"


@dataclass(frozen=True)
class Labels:
    """What a site says of its studies.

    keyword   of the data element that names them
    of_value  its value -> label 0 or 1
    lines     its value -> line of the table
    """

    keyword: str
    of_value: Mapping[str, int]
    lines: Mapping[str, int]

    def has(self, header: Dataset) -> bool:
        """Whether the study of this header is in the table."""
        return self.name(header) in self.of_value

    def name(self, header: Dataset) -> str:
        """What the table calls the study of this header."""
        return text(header, self.keyword).strip()


def read(path: Path) -> Labels:
    """Raises ConfigurationError, which names the line."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    first = content.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(content.splitlines(), delimiter=delimiter, strict=True)
    try:
        return _labels(path, rows)
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {rows.line_num}: is no CSV: {error}") from error


def _labels(path: Path, rows: Iterator[list[str]]) -> Labels:
    columns = [each.strip().lower().replace("_", "").replace(" ", "") for each in next(rows, [])]
    named = [each for each in columns if each in KEYWORDS]
    if columns.count(LABEL) != 1 or len(named) != 1:
        raise ConfigurationError(
            f"{path}, line 1: wants a column `label` and one of `study_instance_uid`, `accession_number` and "
            f"`patient_id`; it has {', '.join(columns) or 'none'}"
        )
    found, lines = dict[str, int](), dict[str, int]()
    for line, row in enumerate(rows, 2):
        if not any(each.strip() for each in row):
            continue
        name, label = _row(path, line, row, (columns.index(named[0]), columns.index(LABEL)))
        if found.get(name, label) != label:
            raise ConfigurationError(f"{path}, line {line}: says otherwise of the same study than line {lines[name]}")
        found[name], lines[name] = label, line
    if not found:
        raise ConfigurationError(f"{path}: has no row with a label")
    return Labels(KEYWORDS[named[0]], found, lines)


def _row(path: Path, line: int, row: list[str], places: tuple[int, int]) -> tuple[str, int]:
    if len(row) <= max(places):
        raise ConfigurationError(f"{path}, line {line}: has {len(row)} columns, and lacks one that it needs")
    name, label = (row[place].strip() for place in places)
    if not name:
        raise ConfigurationError(f"{path}, line {line}: names no study")
    if label not in ("0", "1"):
        raise ConfigurationError(f"{path}, line {line}: the label is {label!r}, and may be 0 or 1")
    return name, int(label)
