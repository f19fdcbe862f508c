"""The model card of a run, filled from its numbers; nothing in it is typed by hand but the words around them."""

import textwrap
from collections.abc import Mapping
from typing import Any

from model.training.evaluate import words
from model.training.tables import VIEWS

SURPRISING_AUROC = 0.85
PIXELS = "auroc, logistic regression on the pixels"
PROMISE = (
    "The sets promise something for people like these subjects, imaged alike, and nothing for others. Their scores "
    "come from the networks of the folds, and the weights that ship are of one more network: no theorem covers that "
    "step, cross-validation measures it."
)

PUBLISHED = {  # the original's own summary; slice level, how its data were split is not stated
    "pretraining_slices": "108,232",
    "labelled_slices": "18,151",
    "auroc": "0.893",
    "sensitivity": "97.8 %",
    "specificity": "57.6 %",
    "bounds": "0.62 and 0.75",
}


def fill(numbers: Mapping[str, Any]) -> str:
    """Markdown from what `report.Results.numbers` gives."""
    recipe = numbers["recipe"]
    parts = [
        f"# Model card: {recipe['name']}",
        "**Research use only. Not a medical device; not for diagnosis.**",
        *recipe["notes"],
        _data(numbers),
        _how(recipe, numbers),
        _table(numbers),
        _calibration(numbers),
        "## Read the numbers with care",
        "\n".join(f"- {each}" for each in cautions(numbers)),
        f"Cost: {recipe['cost']}" if recipe["cost"] else "",
    ]
    blocks = "\n\n".join(part for part in parts if part).split("\n\n")
    return "\n\n".join(_wrapped(each) for each in blocks) + "\n"


def cautions(numbers: Mapping[str, Any]) -> list[str]:
    """What a reader must know before quoting a number of this run."""
    auroc = numbers["out_of_fold"]["by_subject"]["auroc"]
    count, seen = numbers["out_of_fold"]["subjects"], numbers["subjects_seen_in_pretraining"]
    told = [
        "Temperature and bounds were chosen on the same out-of-fold predictions that they are reported on; on new data "
        "calibration, sensitivity and specificity will be somewhat worse. The coverage is measured on folds that had "
        "no part in the bounds.",
        PROMISE,
        f"{count} subjects: the interval of the AUROC is {auroc['low']:.2f} to {auroc['high']:.2f}."
        if auroc["low"] is not None
        else f"{count} subjects: too few for an interval.",
    ]
    if numbers["early_stopping_on_validation"]:
        told.append(
            "The validation fold chose the epoch whose weights were kept, so its numbers are somewhat optimistic."
        )
    if seen:
        told.append(
            f"The pre-trained encoder had seen slices of {seen} of these subjects, without labels, before the split; "
            "the numbers are not fully independent."
        )
    if auroc["value"] is not None and auroc["value"] > SURPRISING_AUROC:
        told.append(
            f"An AUROC above {SURPRISING_AUROC} from single slices is more than the literature leads one to expect: "
            "look for a leak before believing it."
        )
    best = max((each["value"] for each in numbers["baseline"].values() if each["value"] is not None), default=0.0)
    if auroc["value"] is not None and best >= auroc["value"]:
        told.append(
            f"Logistic regression on the pixels reaches an AUROC of {best:.3f} on the same folds: on these subjects "
            "the network shows nothing that so simple a fit does not."
        )
    return told


def _wrapped(block: str) -> str:
    """A paragraph at the width of the rest of the documentation; tables, lists and headings as they are."""
    return block if block.startswith(("|", "-", "#")) else textwrap.fill(" ".join(block.split()), 120)


def _data(numbers: Mapping[str, Any]) -> str:
    data = numbers["data"]
    labels, by_view = data["subjects_by_label"], data["slices_by_view"]
    views = ", ".join(f"{by_view[view]} {view}" for view in VIEWS if view in by_view)
    return f"""## Data

{data["layout"]}: {data["subjects"]} subjects, {data["slices"]} slices ({views}); {labels.get("1", 0)} subjects with
label 1 (CDR > 0), {labels.get("0", 0)} with label 0 (CDR 0); {data["skipped"]} files skipped."""


def _how(recipe: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    architecture, epochs = recipe["architecture"], recipe["finetuning"]["schedule"]["epochs"]
    return f"""## How it was made

MultiScaleViT2DEncoder, {architecture["depth"]} blocks of width {architecture["embed_dim"]}, and SecondOrderClassifier,
covariance over {architecture["covariance_dim"] or architecture["embed_dim"]} dimensions. {_before(recipe, numbers)}
Fine-tuned for {epochs} epochs; {recipe["folds"]} folds by subject, seed {recipe["seed"]}. The weights in the bundle are
those of one more network, trained by the same recipe on all labelled subjects; the numbers are those of the folds."""


def _before(recipe: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    choices = recipe["pretraining"]
    if choices is None:
        return "No pre-training."
    where = "" if numbers["subjects_seen_in_pretraining"] else ", in each fold on its training subjects alone"
    hidden, epochs = choices["mask_ratio"], choices["schedule"]["epochs"]
    return f"Pre-trained by masked image modelling, {hidden:.0%} of the patches hidden, {epochs} epochs{where}."


def _table(numbers: Mapping[str, Any]) -> str:
    found = numbers["out_of_fold"]
    subject, by_slice = found["by_subject"], found["by_slice"]
    rows = [(name, _shown(subject[name]), _shown(by_slice[name]), PUBLISHED.get(name, "")) for name in subject]
    rows += [(f"auroc, {words(view)}", _shown(value), "", "") for view, value in found["auroc_by_view"].items()]
    rows += [(f"{PIXELS}, {words(view)}", _shown(value), "", "") for view, value in numbers["baseline"].items()]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    planes = " and ".join(found.get("planes", ["axial"]))
    several = len(found["auroc_by_view"]) > 1
    of = f"Of the {planes} slices, because those are what the node reads.\n\n" if several else ""
    return f"""## Numbers, out of fold

{of}| | by subject | by slice | published, by slice |
| --- | --- | --- | --- |
{lines}

Thresholded numbers are at p = 0.5; in brackets 95 % bootstrap intervals over subjects. The fit on the pixels is on the
same folds, its shrinkage chosen within the training subjects of each. The published column is the
original's own summary ({PUBLISHED["pretraining_slices"]} slices pre-trained, {PUBLISHED["labelled_slices"]} labelled;
how they were split is not stated), so the columns are not comparable one to one."""


def _calibration(numbers: Mapping[str, Any]) -> str:
    found, rules = numbers["calibration"], numbers["rules"]
    sets, level = found["coverage"]["sets"], found["conformal"]["level"]
    rows = [
        (label, str(sum(sets[label].values())), f"{level:.0%}", _shown(held), *map(str, sets[label].values()))
        for label, held in found["coverage"]["held"].items()
    ]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""## Calibration and decision bands

Temperature {found["temperature"]:.3f}: {rules["temperature"]}. ECE by subject {found["ece_before"]:.3f} before,
{found["ece_after"]:.3f} after.

A study gets the set of the labels that fit it: {{no}}, {{yes}}, both, which decides nothing, or none, which is unlike
anything seen. The sets are class-conditional split-conformal ones (Vovk 2012, arXiv:1209.2673; Sadinle, Lei and
Wasserman 2019, arXiv:1609.00451): of the people with either label, at least the promised share is to get a set that
holds it.

| label | subjects | promised | held | {" | ".join(sets["0"])} |
| --- | --- | --- | --- |{" --- |" * len(sets["0"])}
{lines}

- measured by cross-validation: {rules["coverage"]}
- label 1 fits from a probability of {found["conformal"]["yes_from"]:.4f}: {rules["yes_from"]}
- label 0 fits up to {found["conformal"]["no_up_to"]:.4f}: {rules["no_up_to"]}
- the published bounds, for comparison: {PUBLISHED["bounds"]}"""


def _shown(interval: Mapping[str, float | None]) -> str:
    if interval["value"] is None:
        return "–"
    if interval["low"] is None or interval["high"] is None:
        return f"{interval['value']:.3f}"
    return f"{interval['value']:.3f} ({interval['low']:.3f}-{interval['high']:.3f})"
