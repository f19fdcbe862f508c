"""What is drawn lies where the numbers say."""

from datetime import timedelta

from node.observe.pictures import Picture, Plane
from node.observe.study import Step
from node.web import plots, timeline
from storage.records import Event
from tests.stored import NOW

LIMITS = {"no_significant_changes": 0.3, "high_likelihood": 0.75}


def picture(number: int, probability: float, spread: float = 0.1, *, key: bool = False) -> Picture:
    return Picture(number=number, probability=probability, spread=spread, key=key)


def event(number: int, at_s: float, *, delivery: int | None = None) -> Step:
    return Step(Event(number, NOW + timedelta(seconds=at_s), "1.2", 1, delivery, "event", None, None, "why"), 1.0)


def test_a_probability_lies_in_its_zone_with_its_spread() -> None:
    found = plots.scale(0.95, 0.1, LIMITS)
    assert [(each.kind, each.left, each.right) for each in found.zones] == [
        ("no-significant-changes", 0, 30),
        ("indeterminate", 30, 75),
        ("high-likelihood", 75, 100),
    ]
    assert (found.low, found.at, found.high) == (85, 95, 100)


def test_without_thresholds_there_are_no_zones() -> None:
    assert [(each.name, each.kind) for each in plots.scale(0.5, 0.1, {}).zones] == [("", "out")]


def test_a_curve_goes_from_slice_to_slice_and_marks_the_key_slices() -> None:
    found = plots.curve([picture(1, 0.2), picture(2, 0.9, key=True), picture(3, 0.4)], LIMITS)
    assert found.line == "M0.0 80.0L500.0 10.0L1000.0 60.0"
    assert found.spread.startswith("M0.0 70.0L500.0 0.0")
    assert [(each.letter, each.number, each.x, each.y) for each in found.marks] == [("A", 2, 50, 10)]


def test_the_first_slice_that_is_shown_is_the_most_probable_of_the_marked_ones() -> None:
    slices = [picture(1, 0.9), picture(2, 0.5, key=True), picture(3, 0.6, key=True)]
    assert Plane("axial", slices).first.number == 3
    assert Plane("axial", slices[:1]).first.number == 1


def test_deliveries_that_follow_each_other_are_one_moment() -> None:
    steps = [event(1, 0), event(2, 4, delivery=1), event(3, 5, delivery=1), event(4, 6, delivery=2), event(5, 8)]
    found = timeline.moments([*steps[:-1], Step(steps[-1].event, None)])
    assert [each.name for each in found] == ["event", "2 deliveries", "event"]
    assert [each.took_s for each in found] == [1.0, 3.0, None]
    assert [each.left for each in found] == [0, 50, 100 - timeline.LEAST_PERCENT]
    assert timeline.moments([]) == []
