"""How much is done, how quickly, and what comes of it: over a week, a month or a quarter."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from node.observe import drift
from node.observe.comparing import figure
from node.observe.statistics import Spectrum, of_days
from node.web import drawing
from node.web.site import TheSite
from node.web.view import page, span

router = APIRouter()

PERIODS = {7: "a week", 30: "a month", 90: "a quarter"}
Days = Annotated[Literal["7", "30", "90"], Query()]


@router.get("/statistics")
def overview(request: Request, site: TheSite, days: Days = "30") -> HTMLResponse:
    """The last days, today among them."""
    found = of_days(site.db, int(days), datetime.now(UTC))
    return page(
        request,
        "statistics.html",
        found=found,
        days=int(days),
        periods=PERIODS,
        received=drawing.by_day(found.days, "study", "studies"),
        spread=drawing.columns(_classes(found.spread), "prediction"),
        quickness=drawing.columns(_times(found.report_s), "report"),
        shares=drawing.shares,
        seconds=_within,
        drift=drift.kept(site.folder),
        figure=figure,
    )


def _classes(found: Spectrum) -> list[tuple[str, float]]:
    """A measure of shares, by its bounds in percent."""
    return _labelled(found, lambda bound: f"{100 * bound:g} %")


def _times(found: Spectrum) -> list[tuple[str, float]]:
    return _labelled(found, span)


def _labelled(found: Spectrum, words: Callable[[float], str]) -> list[tuple[str, float]]:
    """Each class as "up to …", without the empty ones at both ends."""
    filled = [number for number, count in enumerate(found.counts) if count] or [0]
    named = [f"up to {words(bound)}" if bound < float("inf") else "more" for bound in found.bounds]
    return [(name, float(count)) for name, count in zip(named, found.counts, strict=True)][
        max(0, filled[0] - 1) : filled[-1] + 2
    ]


def _within(seconds: float | None) -> str:
    """A time that something took, where it is known."""
    if seconds is None:
        return "–"
    return "longer" if seconds == float("inf") else span(seconds)
