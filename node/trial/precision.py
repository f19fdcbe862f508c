"""How sure a number is, and how many cases make it as sure as one wants.

Shares have Wilson's interval (1927). An AUROC A of n1 cases with the label and n0 without has by Hanley and McNeil
(Radiology 1982;143:29-36) the standard error

    SE² = (A (1 - A) + (n1 - 1)(Q1 - A²) + (n0 - 1)(Q2 - A²)) / (n1 n0),   Q1 = A / (2 - A),   Q2 = 2 A² / (1 + A)

and a 95 % interval of width 2 · 1.96 · SE. A share p of n cases has one of width 2 · 1.96 · √(p (1 - p) / n). Both are
solved for the number of cases.
"""

import math
from dataclasses import dataclass

Z = 1.959963984540054  # of 95 %
WIDTHS = (0.30, 0.20, 0.15, 0.10, 0.05)
MOST_CASES = 10_000_000
LOWEST, HIGHEST = 0.02, 0.98  # beyond them the formulas promise too much of what was measured on few


@dataclass(frozen=True)
class Share:
    """A share of cases with its 95 % interval (Wilson)."""

    count: int
    of: int
    value: float
    low: float
    high: float

    @classmethod
    def measured(cls, count: int, of: int) -> "Share":
        """Of so many cases; nan where there are none."""
        if not of:
            return cls(0, 0, math.nan, math.nan, math.nan)
        from scipy.stats import binomtest

        bounds = binomtest(count, of).proportion_ci(0.95, "wilson")
        return cls(count, of, count / of, float(bounds.low), float(bounds.high))


@dataclass(frozen=True)
class Needed:
    """Cases for a 95 % interval of this width, at what was measured; None where nothing was."""

    width: float
    auroc: int | None  # labelled studies that are classified, with and without the label as they are here
    sensitivity: int | None  # the same
    specificity: int | None


def needed(auroc: float, sensitivity: float, specificity: float, prevalence: float) -> tuple[Needed, ...]:
    """For each of WIDTHS; `prevalence` is the share of cases with the label."""
    if not 0 < prevalence < 1:
        return tuple(Needed(width, None, None, None) for width in WIDTHS)
    return tuple(
        Needed(
            width,
            None if math.isnan(auroc) else for_auroc(auroc, prevalence, width),
            None if math.isnan(sensitivity) else for_share(sensitivity, width, prevalence),
            None if math.isnan(specificity) else for_share(specificity, width, 1 - prevalence),
        )
        for width in WIDTHS
    )


def for_share(share: float, width: float, among: float = 1.0) -> int:
    """Cases for a share of those that are `among` of all.

    >>> for_share(0.5, 0.2), for_share(0.5, 0.2, among=0.25)
    (97, 385)
    """
    share = min(max(share, LOWEST), HIGHEST)
    return math.ceil(share * (1 - share) * (2 * Z / width) ** 2 / among - 1e-9)


def for_auroc(auroc: float, prevalence: float, width: float) -> int:
    """Cases for an AUROC, by bisection.

    >>> for_auroc(0.8, 0.5, 0.2), for_auroc(0.8, 0.1, 0.2)
    (77, 286)
    """
    low, high = 2, MOST_CASES
    while low < high:
        middle = (low + high) // 2
        if 2 * Z * standard_error(auroc, middle * prevalence, middle * (1 - prevalence)) <= width:
            high = middle
        else:
            low = middle + 1
    return low


def standard_error(auroc: float, with_label: float, without: float) -> float:
    """Of an AUROC (Hanley and McNeil 1982)."""
    area = min(max(auroc, LOWEST), HIGHEST)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    total = area * (1 - area) + (with_label - 1) * (q1 - area**2) + (without - 1) * (q2 - area**2)
    return math.sqrt(max(total, 0.0) / (with_label * without))
