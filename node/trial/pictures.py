"""Pictures of a comparison and of a commissioning report, as SVG that stands in a page."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.training import metrics
from node.trial.commissioning import Case
from node.trial.comparison import Comparison, moved, why_look
from node.trial.measured import Group, Summary, arrays

INK, CALM, STRONG, LINE = "#1c2226", "#5b8ca8", "#b3492f", "#9aa3a8"


def bland_altman(found: Comparison) -> str:
    """Differences of the probabilities over their means, with bias and limits of agreement; "" without two studies."""
    both = [each for each in found.pairs if each.old.probability is not None and each.new.probability is not None]
    if found.bias is None or found.limits is None:
        return ""
    figure, axes = _axes(6.4, 3.8)
    means = [((each.old.probability or 0) + (each.new.probability or 0)) / 2 for each in both]
    colours = [STRONG if why_look(each) else CALM for each in both]
    axes.scatter(means, [moved(each) for each in both], s=22, c=colours, alpha=0.75, lw=0)
    for value, name in ((found.bias, "bias"), *((each, "limit of agreement") for each in found.limits)):
        axes.axhline(value, color=INK, lw=1, ls="-" if name == "bias" else "--")
        axes.annotate(f"{name} {value:+.3f}", (1.0, value), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set(xlabel="mean of both probabilities", ylabel="new less old", xlim=(-0.02, 1.02))
    return _svg(figure, "Bland-Altman")


def roc(cases: Sequence[Case]) -> str:
    """The ROC curve of the classified studies, with the flag as a point; "" with one label alone."""
    labels, probabilities = arrays([each for each in cases if each.said.is_classified])
    if len(set(labels.tolist())) < 2:
        return ""
    figure, axes = _axes(3.8, 3.8)
    axes.plot([0, 1], [0, 1], color=LINE, lw=0.8, ls=":")
    axes.plot(*metrics.roc(labels, probabilities), color=CALM, lw=2)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return _svg(figure, "ROC curve")


def calibration(summary: Summary) -> str:
    """How many of about the same probability have the label, with intervals; "" without classified studies."""
    if not summary.calibration:
        return ""
    figure, axes = _axes(3.8, 3.8)
    axes.plot([0, 1], [0, 1], color=LINE, lw=0.8, ls=":")
    expected = [each.expected for each in summary.calibration]
    shares = [each.observed for each in summary.calibration]
    below, above = [each.value - each.low for each in shares], [each.high - each.value for each in shares]
    axes.errorbar(expected, [each.value for each in shares], [below, above], color=CALM, fmt="o", capsize=3)
    axes.set(xlabel="mean probability", ylabel="share with the label", aspect="equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return _svg(figure, "Calibration")


def distributions(cases: Sequence[Case]) -> str:
    """The probabilities of the classified studies, with the label and without; "" where there are none."""
    labels, probabilities = arrays([each for each in cases if each.said.is_classified])
    if not len(labels):
        return ""
    figure, axes = _axes(6.4, 2.6)
    parts = [probabilities[labels == 0], probabilities[labels == 1]]
    names = [f"without the label ({len(parts[0])})", f"with the label ({len(parts[1])})"]
    axes.hist(parts, bins=np.linspace(0, 1, 21).tolist(), color=[CALM, STRONG], label=names)
    axes.set(xlabel="probability", ylabel="studies", xlim=(0, 1))
    axes.legend(frameon=False)
    return _svg(figure, "Probabilities by label")


def forest(whole: Group, parts: Sequence[Group]) -> str:
    """The AUROC of each part that has one, beside that of all; "" where no part has one."""
    shown = [each for each in (whole, *parts) if np.isfinite(each.auroc.value)]
    if len(shown) < 2:
        return ""
    figure, axes = _axes(6.4, 0.9 + 0.32 * len(shown))
    for place, each in enumerate(reversed(shown)):
        colour = STRONG if each is whole else CALM
        axes.plot([each.auroc.low, each.auroc.high], [place, place], color=colour, lw=2)
        axes.plot([each.auroc.value], [place], "o", color=colour)
    axes.set_yticks(range(len(shown)), [f"{each.name} ({each.classified})" for each in reversed(shown)])
    axes.axvline(0.5, color=LINE, lw=0.8, ls=":")
    axes.set(xlabel="AUROC, 95 % interval", xlim=(0, 1.02), ylim=(-0.6, len(shown) - 0.4))
    return _svg(figure, "AUROC by part")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """The picture's element alone; the same picture is the same text."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Title": name})
    text = file.getvalue()
    return text[text.index("<svg") :]
