"""The words and colours of a verdict: the same on the summary page, in the report and in the browser.

A verdict is read off a prediction, or off what a job kept of one: both have these fields. Bands are as model.types.Band
spells them; the model is not loaded, so that showing a verdict stays quick.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

HIGH, BETWEEN, LOW, UNSURE = "high likelihood", "indeterminate", "no significant changes", "low confidence"
UNLIKE = "unlike anything seen"
COLOURS: dict[str | None, tuple[int, int, int]] = {
    HIGH: (184, 70, 48),
    BETWEEN: (150, 106, 22),
    LOW: (36, 100, 154),
    UNSURE: (106, 86, 140),
    UNLIKE: (20, 104, 100),
    None: (86, 92, 102),
}
HEADLINES: dict[str | None, str] = {
    HIGH: "High likelihood of dementia-related changes",
    BETWEEN: "Indeterminate",
    LOW: "No significant changes",
    UNSURE: "Low confidence: no decision",
    UNLIKE: "Unlike anything seen: no decision",
    None: "Out of scope: not classified",
}


class Scope(Protocol):
    """Whether the study looked like what the model was trained on."""

    @property
    def inside(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class Model(Protocol):
    """Which weights answered."""

    @property
    def trained(self) -> bool: ...
    @property
    def thresholds(self) -> Mapping[str, float]: ...


class Standing(Protocol):
    """Where a probability lies among the calibration subjects of one label, 0 or 1."""

    @property
    def label(self) -> int: ...
    @property
    def subjects(self) -> int: ...
    @property
    def lower(self) -> int: ...
    @property
    def histogram(self) -> Sequence[int]: ...


class Prediction(Protocol):
    """What the model says of a study."""

    @property
    def scope(self) -> Scope: ...
    @property
    def model(self) -> Model: ...
    @property
    def band(self) -> str | None: ...
    @property
    def probability(self) -> float | None: ...
    @property
    def spread(self) -> float | None: ...
    @property
    def standing(self) -> Sequence[Standing]: ...


def headline(prediction: Prediction) -> str:
    """The verdict in a few words."""
    found = HEADLINES[prediction.band if prediction.scope.inside else None]
    return found if prediction.model.trained else f"Untrained: {found.lower()}"


def meaning(prediction: Prediction) -> str:
    """The verdict in a sentence, with the numbers that it comes from."""
    probability, spread, limits = prediction.probability, prediction.spread, prediction.model.thresholds
    if not prediction.scope.inside or prediction.band is None or probability is None or spread is None:
        return f"Not classified: {prediction.scope.reason}"
    numbers = f"Calibrated probability {100 * probability:.0f} %, SD {100 * spread:.1f} %"
    if "level" in limits:
        return f"{numbers}: {_fits(prediction.band, limits)}"
    low, high = _percent(limits.get("no_significant_changes")), _percent(limits.get("high_likelihood"))
    if prediction.band == HIGH:
        return f"{numbers}: not below the upper threshold{high}."
    if prediction.band == LOW:
        return f"{numbers}: below the lower threshold{low}."
    if prediction.band == BETWEEN:
        return f"{numbers}: between the thresholds{low}{high and ' and' + high[3:]}. The model does not decide."
    limit = _percent(limits.get("low_confidence_spread"))
    return f"{numbers}: the dropout samples disagree by more than the limit{limit}. The model does not decide."


def whose(standing: Standing) -> str:
    """The calibration subjects of one label, in words.

    >>> from types import SimpleNamespace
    >>> whose(SimpleNamespace(label=1, subjects=68))
    '68 with dementia'
    """
    return f"{standing.subjects} {'with' if standing.label else 'without'} dementia"


def lower(standing: Standing) -> str:
    """How many of them have a lower probability, in words."""
    return f"{100 * standing.lower / standing.subjects:.0f} % lower"


def among(prediction: Prediction) -> str:
    """Where the probability lies among the calibration subjects, in a sentence; "" where theirs are not known."""
    told = [f"of the {whose(each)} {100 * each.lower / each.subjects:.0f} %" for each in prediction.standing]
    return f"Among the calibration subjects, {' and '.join(told)} have a lower probability." if told else ""


def zones(thresholds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """The bands of the probability with their limits, from 0 to 1; one without a name where no threshold is known."""
    if "level" in thresholds:
        yes, no = thresholds["yes_from"], thresholds["no_up_to"]
        middle = BETWEEN if yes <= no else UNLIKE
        return [(LOW, 0.0, min(yes, no)), (middle, min(yes, no), max(yes, no)), (HIGH, max(yes, no), 1.0)]
    low, high = thresholds.get("no_significant_changes"), thresholds.get("high_likelihood")
    if low is None or high is None:
        return [("", 0.0, 1.0)]
    return [(LOW, 0.0, low), (BETWEEN, low, high), (HIGH, high, 1.0)]


def _fits(band: str, limits: Mapping[str, float]) -> str:
    """The conformal set, and what it promises of people like the calibration subjects (`model.bands.Conformal`)."""
    rare = f"at most {100 * (1 - limits['level']):.3g} %"
    below, above = f"below {100 * limits['yes_from']:.3g} %", f"above {100 * limits['no_up_to']:.3g} %"
    ill = f"of people with dementia like the {limits['yes_subjects']:.0f} it was calibrated on"
    well = f"of people without dementia like the {limits['no_subjects']:.0f} it was calibrated on"
    if band == HIGH:
        return f"only yes fits, {{yes}}: {well}, {rare} score {above}."
    if band == LOW:
        return f"only no fits, {{no}}: {ill}, {rare} score {below}."
    among = f"of people like the calibration subjects, {rare} with dementia score {below}, or without {above}"
    answers = "both fit, {no, yes}" if band == BETWEEN else "neither fits, {}"
    return f"{answers}: {among}. The model does not decide."


def _percent(threshold: float | None) -> str:
    return "" if threshold is None else f" of {100 * threshold:.0f} %"
