"""The structured report of an answer as lines of text, read from the file that is sent."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import Unparsable
from storage import DataFolder
from storage.records import Result

if TYPE_CHECKING:
    from node.dicom.content_tree import Line


def lines(folder: DataFolder, results: Sequence[Result]) -> "Sequence[Line]":
    """Of the first report among these results; nothing where there is none, or none that can be read."""
    report = next((each for each in results if each.kind.startswith("sr_")), None)
    if report is None:
        return ()
    try:
        return _of_file(folder.path(report.path))
    except Unparsable:
        return ()


@lru_cache(maxsize=64)
def _of_file(path: Path) -> "Sequence[Line]":
    """A file never changes under its name."""
    from node.dicom import content_tree  # pydicom is large, and few pages show a report

    return tuple(content_tree.of_file(path))
