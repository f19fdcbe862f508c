"""What a header states of a contrast agent: the Contrast/Bolus module, also Enhanced (PS3.3 C.7.6.4, C.7.6.4b)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from node.dicom.clock import Moment, at
from node.dicom.values import items, places, text

ELEMENTS = (
    *("ContrastBolusAgent", "ContrastBolusIngredient", "ContrastBolusRoute", "ContrastBolusVolume"),
    *("ContrastBolusTotalDose", "ContrastFlowRate", "ContrastFlowDuration", "ContrastBolusStartTime"),
    *("ContrastBolusIngredientConcentration", "ContrastBolusAgentAdministered"),
)
SEQUENCES = (
    *("ContrastBolusAgentSequence", "ContrastBolusAdministrationRouteSequence"),
    *("ContrastAdministrationProfileSequence", "ContrastBolusIngredientCodeSequence"),
)


def contrast_bolus(header: Dataset) -> frozenset[tuple[str, str]]:
    """Keyword and text of every element of the module that has a value, those of its sequences and frames included."""
    found = {(keyword, text(spot, keyword)) for spot in _everywhere(header) for keyword in ELEMENTS}
    for spot in places(header):
        for name in SEQUENCES:
            found |= {
                (name, text(item, "CodeMeaning") or text(item, "CodeValue") or "stated")
                for item in items(spot, name)
                if item
            }
    return frozenset(each for each in found if each[1].strip())


def injected(header: Dataset) -> Moment | None:
    """When the contrast agent was given, where the header says so."""
    moments = (at(header, text(spot, "ContrastBolusStartTime")) for spot in _everywhere(header))
    return next((moment for moment in moments if moment and moment[1] > 0), None)


def _everywhere(header: Dataset) -> Iterator[Dataset]:
    """Where the elements may stand: the header, the items of its sequences, the shared groups, every frame."""
    for spot in places(header):
        yield spot
        for name in SEQUENCES:
            for item in items(spot, name):
                yield item
                yield from items(item, "ContrastAdministrationProfileSequence")
    for frame in items(header, "PerFrameFunctionalGroupsSequence"):
        yield from items(frame, "ContrastBolusUsageSequence")
