"""The UIDs of results follow from everything that is in them: one UID never has two contents.

Built under provisional UIDs, the objects of one answer are hashed together, and each of their UIDs is derived anew from
that hash. So another time, another number, another name of the patient or another set of objects gives other UIDs,
whatever it was that changed; the same inputs give the same UIDs again.
"""

from collections.abc import Sequence
from hashlib import sha256

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from node.report.identity import derived_uid

OWN = ("SOPInstanceUID", "SeriesInstanceUID")
OWN_DIMENSIONS = "DimensionOrganizationUID"


def name_after_content(objects: Sequence[Dataset], contents: Sequence[bytes]) -> None:
    """Give the objects of one answer their final UIDs; `contents` are their encodings under the provisional ones."""
    key = sha256()
    for content in contents:
        key.update(sha256(content).digest())
    final = {uid: UID(derived_uid("content", key.hexdigest(), uid)) for each in objects for uid in _own(each)}
    for each in objects:
        _rename(each, final)


def _own(dataset: Dataset) -> set[str]:
    """The UIDs that were made for this object."""
    dimensions = dataset.get("DimensionOrganizationSequence", ())
    return {str(dataset[keyword].value) for keyword in OWN} | {str(item[OWN_DIMENSIONS].value) for item in dimensions}


def _rename(dataset: Dataset, final: dict[str, UID]) -> None:
    """Wherever such a UID stands; what was carried over as bytes is not decoded."""
    for tag in dataset.keys():  # noqa: SIM118 - iterating the dataset itself decodes every element
        element = dataset.get_item(tag)
        if not isinstance(element, DataElement):
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                _rename(item, final)
        elif element.VR == "UI" and not isinstance(element.value, MultiValue) and str(element.value) in final:
            element.value = final[str(element.value)]
