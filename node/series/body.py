"""Is another part of the body than the head shown? Its name refuses only where no word for the head stands beside it.

Asked in turn: the series' own words (Body Part Examined, anatomic region, Series Description, Protocol Name), and where
they name neither, the study's. Values that say nothing, and words that nobody knows, leave it to the pixels.
"""

import re

from pydicom.dataset import Dataset

from node.dicom.acquisition import Acquisition
from node.dicom.values import items, places, text
from node.series import words
from node.series.spelling import alternatives, pattern, said
from node.series.study import Study

HEAD, OTHER_PART = pattern(words.HEAD), pattern(words.OTHER_PART)
ANYTHING = re.compile(rf"\W*|{alternatives(words.ANYTHING)}")


def other_part(header: Dataset, made: Acquisition, study: Study) -> str:
    """What says that it is another part, in words; "" where it may be a head."""
    stated, own = said(*body_parts(header)), study.told(made)
    if HEAD.search(stated) or HEAD.search(own):
        return ""
    hint = OTHER_PART.search(stated)
    if hint:
        return f"body part {hint.group()}"
    whole = said(text(header, "StudyDescription"))
    hint = OTHER_PART.search(own) or (None if HEAD.search(whole) else OTHER_PART.search(whole))
    return f"no body part is given, the description says {hint.group()}" if hint else ""


def body_parts(header: Dataset) -> tuple[str, ...]:
    """Body Part Examined and the anatomic regions, without values that say nothing."""
    spots = places(header)
    stated = {text(spot, "BodyPartExamined") for spot in spots}
    regions = [region for spot in spots for region in items(spot, "AnatomicRegionSequence")]
    stated |= {text(region, "CodeMeaning") for region in regions}
    return tuple(sorted(each for each in stated if each.strip() and not ANYTHING.fullmatch(said(each).strip())))
