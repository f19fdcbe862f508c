"""The report of a run: PNGs, one HTML page, the numbers as JSON, and the model card filled from them."""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from model import slicing
from model.classifier import SecondOrderClassifier
from model.training import calibrate, card, checkpoints, figures, metrics
from model.training.calibrate import Calibration
from model.training.datasets import Slices
from model.training.evaluate import Evaluation, read_by_node, words
from model.training.metrics import Interval
from model.training.predictions import AXIAL, Predictions
from model.training.recipes import Recipe

EXAMPLES = 6
FEATURES_AT_ONCE = 64

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}"
    "img{max-width:100%}figure{margin:1.5rem 0}pre{background:#f5f5f5;padding:1rem;overflow:auto}"
)


@dataclass(frozen=True)
class Results:
    """All that a report tells. slices, predictions, features: the same rows in the same order; data: counts of the set.

    baseline      AUROC by view of logistic regression on the pixels, as `baseline.measured` gives it
    seen_before   labelled subjects that the pre-trained encoder had seen, without labels, before the split
    """

    recipe: Recipe
    data: Mapping[str, object]
    slices: Slices
    predictions: Predictions
    calibration: Calibration
    evaluation: Evaluation
    features: np.ndarray[Any, np.dtype[np.float32]]
    baseline: Mapping[str, Interval]
    seen_before: int = 0

    def numbers(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "recipe": self.recipe.to_dict(),
            "data": dict(self.data),
            "subjects_seen_in_pretraining": self.seen_before,
            "early_stopping_on_validation": self.recipe.finetuning.patience is not None,
            "calibration": self.calibration.to_dict(),
            "rules": calibrate.RULES,
            "out_of_fold": self.evaluation.to_dict(),
            "baseline": metrics.as_json(self.baseline),
        }


def write(results: Results, run: Path) -> Path:
    """Into run/report: numbers.json, the PNGs, index.html, CARD.md -> the page."""
    folder = run / "report"
    checkpoints.write_json(folder / "numbers.json", results.numbers())
    pictures = {name: figures.save(draw(), folder / f"{name}.png") for name, draw in _figures(results, run).items()}
    checkpoints.write_text(folder / "CARD.md", card.fill(results.numbers()))
    checkpoints.write_text(folder / "index.html", _page(results, pictures))
    return folder / "index.html"


@torch.inference_mode()
def cls_features(network: SecondOrderClassifier, slices: Slices) -> np.ndarray[Any, np.dtype[np.float32]]:
    """CLS features (N, D) of the slices, as the head gets them."""
    parts = np.array_split(np.arange(len(slices)), max(1, -(-len(slices) // FEATURES_AT_ONCE)))
    encoder = network.eval().encoder
    return np.concatenate(
        [encoder(torch.from_numpy(slicing.normalise(slices.take(part))))[:, 0].numpy() for part in parts]
    )


def examples(
    predictions: Predictions, temperature: float, weights: Mapping[str, float] = AXIAL, count: int = EXAMPLES
) -> list[int]:
    """Row numbers of slices to show: of each label from the least to the most probable, evenly, so nobody picked them.

    Slices like the node's (`Predictions.served_rows`), because those are what a study's pictures show.
    """
    rows = predictions.served_rows(weights)
    by_probability = rows[np.argsort(predictions.probabilities(temperature)[rows], kind="stable")]
    chosen: list[int] = []
    for label in (0, 1):
        own = by_probability[predictions.labels[by_probability] == label]
        chosen += (
            [int(own[place]) for place in np.unique(np.linspace(0, len(own) - 1, count // 2).astype(int))]
            if len(own)
            else []
        )
    return chosen


def _figures(results: Results, run: Path) -> dict[str, Callable[[], Figure | Image.Image]]:
    temperature = results.calibration.temperature
    weights = results.calibration.weights
    served = results.predictions.served(weights)
    before, after = served.by_subject(1.0, weights), served.by_subject(temperature, weights)
    chosen = examples(results.predictions, temperature, weights)
    fine = _histories(run, "history.json")
    masked = _histories(run, "pretraining/history.json")
    drawn = sorted(run.glob("**/reconstructions.npz"))
    everything: dict[str, Callable[[], Figure | Image.Image]] = {
        "roc": lambda: figures.roc(after, served, results.evaluation.by_subject["auroc"]),
        "precision_recall": lambda: figures.precision_recall(after),
        "reliability": lambda: figures.reliability(before, after, temperature),
        "confusion": lambda: figures.confusion(results.calibration.coverage),
        "features": lambda: figures.features(results.features, results.predictions.labels, results.predictions.folds),
        "rollouts": lambda: figures.rollouts(results.slices, results.predictions, chosen, temperature),
        "finetuning": lambda: figures.training(fine, "Fine-tuning"),
    }
    if masked:
        everything["pretraining"] = lambda: figures.training(masked, "Pre-training: masked image modelling")
    if drawn:
        with np.load(drawn[-1], allow_pickle=False) as content:
            pictures = {name: content[name] for name in content}
        everything["reconstructions"] = lambda: figures.reconstructions(pictures)
    return everything


def _histories(run: Path, name: str) -> dict[str, list[dict[str, float]]]:
    files = {path.relative_to(run).parts[0]: path for path in sorted(run.glob(f"*/{name}"))}
    return {part: json.loads(path.read_text(encoding="utf-8")) for part, path in files.items()}


def _page(results: Results, pictures: Mapping[str, Path]) -> str:
    evaluation = results.evaluation
    title = f"NeuroSSL training report: {results.recipe.name}"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        "<p><strong>Research use only.</strong> Numbers are out of fold: each subject was judged by a network that had "
        f"seen nothing of it. They are of {read_by_node(evaluation.planes)}, where there are any. Intervals hold 95 % "
        "of 1,000 bootstrap draws of whole subjects.</p>",
        *(f"<p>{html.escape(each)}</p>" for each in card.cautions(results.numbers())),
        "<h2>Numbers</h2>",
        _table(
            ["", f"by subject (n = {evaluation.subjects})", f"by slice (n = {evaluation.slices})"],
            [[name, str(value), str(evaluation.by_slice[name])] for name, value in evaluation.by_subject.items()],
        ),
        "<h2>Conformal sets, by subject, each fold by the bounds of the others</h2>",
        _sets(results.calibration),
        "<h2>At the bounds of the sets, by subject</h2>",
        _bounds(evaluation.at_bounds),
        "<h2>AUROC by view and by fold</h2>",
        _table(
            ["view", "AUROC by subject", "logistic regression on the pixels"],
            [
                [words(view), str(value), str(results.baseline.get(view, ""))]
                for view, value in evaluation.by_view.items()
            ],
        ),
        _table(
            ["fold", "AUROC by subject"], [[str(fold), f"{value:.3f}"] for fold, value in evaluation.by_fold.items()]
        ),
        "<h2>Pictures</h2>",
        *(f'<figure><img src="{path.name}" alt="{html.escape(name)}"></figure>' for name, path in pictures.items()),
        "<h2>Data</h2>",
        _table(["", ""], [[name, str(value)] for name, value in results.data.items()]),
        "<h2>Recipe</h2>",
        f"<pre>{html.escape(json.dumps(results.recipe.to_dict(), indent=2))}</pre>",
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>' + "\n".join(sections) + "</body></html>\n"


def _sets(found: Calibration) -> str:
    rows = [
        [label, f"{found.conformal.level:.0%}", str(found.coverage.held[label]), *map(str, sets.values())]
        for label, sets in found.coverage.sets.items()
    ]
    return _table(["label", "promised", "set holds the label", *found.coverage.sets["0"]], rows)


def _bounds(at_bounds: Mapping[str, Mapping[str, Interval]]) -> str:
    names = ("sensitivity", "specificity", "f1", "mcc", "kappa")
    rows = [[bound, *(str(values[name]) for name in names)] for bound, values in at_bounds.items()]
    return _table(["bound", *names], rows)


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
