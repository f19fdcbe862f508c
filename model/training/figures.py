"""Pictures of a run, as PNG: curves, calibration, errors, features, heat maps, reconstructions, contact sheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from model import calibration
from model.picture_grid import Cell, grid
from model.training import metrics
from model.training.coverage import Coverage
from model.training.datasets import Slices
from model.training.predictions import BySubject, Predictions

ABSENT, PRESENT, NEUTRAL = "#3b6ea5", "#c8553d", "#555555"
LABELS = {0: "0", 1: "1"}
LABEL_NAMES = {0: "label 0 (CDR 0)", 1: "label 1 (CDR > 0)"}
SMALLEST = 160  # pixels along a picture
Numbers = Sequence[Mapping[str, float]]


def roc(subjects: BySubject, slices: Predictions, interval: metrics.Interval) -> Figure:
    """ROC by subject with its AUROC, by slice thinner, and each fold's by subject in grey."""
    figure, axes = _square("ROC, out of fold")
    for fold in np.unique(subjects.folds):
        own = subjects.folds == fold
        axes.plot(*metrics.roc(subjects.labels[own], subjects.probabilities[own]), color="#cccccc", lw=1, zorder=1)
    by_slice = metrics.auroc(slices.labels, slices.probabilities(1.0))
    curve = metrics.roc(slices.labels, slices.probabilities(1.0))
    axes.plot(*curve, color=NEUTRAL, lw=1, ls="--", label=f"by slice {by_slice:.3f}")
    axes.plot(
        *metrics.roc(subjects.labels, subjects.probabilities), color=PRESENT, lw=2, label=f"by subject {interval}"
    )
    axes.plot([0, 1], [0, 1], color="black", lw=0.5)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.legend(loc="lower right", frameon=False, title="AUROC (grey: each fold)")
    return figure


def precision_recall(subjects: BySubject) -> Figure:
    """Precision over recall by subject, beside the share of positives."""
    figure, axes = _square("Precision and recall by subject, out of fold")
    recall, precision = metrics.precision_recall(subjects.labels, subjects.probabilities)
    mean = metrics.average_precision(subjects.labels, subjects.probabilities)
    axes.step(
        [0, *recall],
        [*precision[:1], *precision],
        where="pre",
        color=PRESENT,
        lw=2,
        label=f"average precision {mean:.3f}",
    )
    axes.axhline(
        subjects.labels.mean(), color="black", lw=0.5, label=f"share of positives {subjects.labels.mean():.2f}"
    )
    axes.set(xlabel="recall (sensitivity)", ylabel="precision")
    axes.legend(loc="lower left", frameon=False)
    return figure


def reliability(before: BySubject, after: BySubject, temperature: float) -> Figure:
    """Observed frequency over predicted probability by subject, at T = 1 and the temperature; dots grow with count."""
    figure, axes = _square("Reliability by subject, out of fold")
    axes.plot([0, 1], [0, 1], color="black", lw=0.5)
    for each, colour, name in ((before, NEUTRAL, "T = 1"), (after, PRESENT, f"T = {temperature:.2f}")):
        predicted, observed, count = calibration.reliability(each.probabilities, each.labels)
        error = calibration.expected_calibration_error(each.probabilities, each.labels)
        axes.plot(predicted, observed, color=colour, lw=1, label=f"{name}: ECE {error:.3f}")
        axes.scatter(predicted, observed, s=6 * count, color=colour, alpha=0.6, lw=0)
    axes.set(xlabel="predicted probability of label 1", ylabel="observed frequency of label 1")
    axes.legend(loc="upper left", frameon=False)
    return figure


def confusion(coverage: Coverage) -> Figure:
    """Counts of subjects by label and conformal set."""
    names = list(coverage.sets["0"])
    counts = np.array([[coverage.sets[label][name] for name in names] for label in ("0", "1")])
    figure, axes = _figure(6.4, 3.2, "Subjects by label and set, each fold by the bounds of the others")
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (label, band), count in np.ndenumerate(counts):
        share = count / max(1, counts[label].sum())
        text = f"{count}\n{share:.0%}"
        axes.text(band, label, text, ha="center", va="center", color="white" if share > 0.6 else "black")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([0, 1], [LABEL_NAMES[0], LABEL_NAMES[1]])
    return figure


def features(values: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]) -> Figure:
    """First two principal components of features (N, D), fold by fold, because each fold has a network of its own."""
    numbers = np.unique(folds)
    figure = Figure(figsize=(3.2 * len(numbers), 3.6), dpi=120, layout="constrained")
    for axes, fold in zip(figure.subplots(1, len(numbers), squeeze=False)[0], numbers, strict=True):
        own = folds == fold
        centred = np.asarray(values[own] - values[own].mean(axis=0), np.float64)
        _, strength, directions = np.linalg.svd(centred, full_matrices=False)
        plane, share = centred @ directions[:2].T, strength**2 / np.sum(strength**2)
        for label, colour in ((0, ABSENT), (1, PRESENT)):
            chosen = labels[own] == label
            axes.scatter(*plane[chosen].T, s=12, color=colour, alpha=0.6, lw=0, label=LABEL_NAMES[label])
        axes.set(xlabel=f"component 1 ({share[0]:.0%})", ylabel=f"component 2 ({share[1]:.0%})", title=f"fold {fold}")
        axes.set(xticks=[], yticks=[])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle("CLS features of out-of-fold slices", fontsize=11)
    return figure


def rollouts(slices: Slices, predictions: Predictions, chosen: Sequence[int], temperature: float) -> Image.Image:
    """Slices with their attention rollout under them: row numbers of both `slices` and `predictions`, in one order."""
    probabilities = predictions.probabilities(temperature)
    captions = [f"label {predictions.labels[number]}, p = {probabilities[number]:.2f}" for number in chosen]
    pictures = [_shown(Image.fromarray(pixels)) for pixels in slices.take(np.asarray(chosen))]
    heats = [np.asarray(predictions.rollouts[number], np.float32) for number in chosen]
    cells = list(map(Cell, pictures, captions))
    cells += map(Cell, map(_under_heat, pictures, heats))
    rows, columns = predictions.rollouts.shape[1:]
    title = f"Attention rollout of out-of-fold networks ({rows} x {columns}, drawn bilinear)"
    return grid(cells, len(chosen), title=title, size=14, heading=24)


def reconstructions(pictures: Mapping[str, NDArray[np.float32]]) -> Image.Image:
    """Rows: image, what the encoder saw, what the decoder drew of the rest; each column in the window of its image."""
    limits = [np.percentile(each, (0.5, 99.5)) for each in pictures["image"]]
    cells = []
    for name in ("image", "seen", "drawn"):
        for column, (each, (low, high)) in enumerate(zip(pictures[name], limits, strict=True)):
            grey = np.clip((each - low) / max(high - low, 1e-6), 0, 1) * 255
            cells.append(Cell(_shown(Image.fromarray(np.asarray(grey, np.uint8))), "" if column else name))
    title = "Masked image modelling: hidden patches drawn from the visible ones"
    return grid(cells, len(limits), title=title, size=14, heading=24)


def training(histories: Mapping[str, Numbers], title: str) -> Figure:
    """Training loss (thin) and validation loss (bold) by epoch, one colour per run."""
    figure, axes = _figure(6.4, 4, title)
    for number, (name, history) in enumerate(histories.items()):
        epochs = np.arange(1, len(history) + 1)
        colour = f"C{number % 10}"
        validated = [each.get("validation_loss", np.nan) for each in history]
        has_validation = bool(np.isfinite(validated).any())
        axes.plot(
            epochs, [each["loss"] for each in history], color=colour, lw=0.8 if has_validation else 1.6, label=name
        )
        if has_validation:
            axes.plot(epochs, validated, color=colour, lw=1.8)
    if any("validation_loss" in each for history in histories.values() for each in history):
        axes.plot([], [], color=NEUTRAL, lw=0.8, label="training")
        axes.plot([], [], color=NEUTRAL, lw=1.8, label="validation")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(frameon=False, fontsize=8)
    return figure


def dataset_sample(slices: Slices, limit: int = 48, columns: int = 12) -> Image.Image:
    """Slices spread over the set, exactly as the network will see them, each with its subject and label."""
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(limit, len(slices))).astype(np.int64))
    captions = [f"{slices.subjects[number]} · {LABELS.get(int(slices.labels[number]), '–')}" for number in chosen]
    cells = [Cell(Image.fromarray(pixels), text) for pixels, text in zip(slices.take(chosen), captions, strict=True)]
    return grid(cells, columns, gap=0, size=11, heading=16)


def save(drawn: Figure | Image.Image, path: Path) -> Path:
    """Write the PNG; without dates in it, so that the same picture is the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(drawn, Figure):
        drawn.savefig(path, format="png", metadata={"Software": None})
    else:
        drawn.save(path, format="PNG")
    return path


def _shown(picture: Image.Image) -> Image.Image:
    """A picture at least as large as people can see, every pixel of it a square."""
    times = -(-SMALLEST // picture.width)
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _under_heat(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """The picture half covered by heat (h, w), 0-1, drawn bilinear in the colours of viridis."""
    spread = np.asarray(Image.fromarray(heat).resize(picture.size, Image.Resampling.BILINEAR))
    colours = Image.fromarray(mpl.colormaps["viridis"](spread, bytes=True)[..., :3])
    return Image.blend(picture.convert("RGB"), colours, 0.5)


def _figure(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes: Any = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _square(title: str) -> tuple[Figure, Axes]:
    figure, axes = _figure(5, 5, title)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return figure, axes
