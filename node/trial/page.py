"""What people look at: a page of a comparison, and of a commissioning report; each in a file that needs no other."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from model.types import ModelId
from node.trial import comparison, pictures
from node.trial.commissioning import Case
from node.trial.comparison import Comparison
from node.trial.measured import FEWEST, Summary


def of_comparison(found: Comparison, title: str, bundle: str, rules: str, now: datetime) -> str:
    """`bundle` gave the new answers; `rules`: where other rules of selection were taken from, "" without."""
    return _filled(
        "comparison.html",
        now,
        found=found,
        title=title,
        bundle=bundle,
        rules=rules,
        picture=pictures.bland_altman(found),
        moved=comparison.moved,
        why_look=comparison.why_look,
    )


def of_commissioning(cases: Sequence[Case], found: Summary, model: ModelId, now: datetime) -> str:
    """The report on this bundle."""
    parts = [each for groups in found.parts.values() for each in groups]
    drawn = {
        "roc": pictures.roc(cases),
        "calibration": pictures.calibration(found),
        "distributions": pictures.distributions(cases),
        "forest": pictures.forest(found.whole, parts),
    }
    bundle = f"{model.name} {model.version}"
    return _filled(
        "commissioning.html", now, found=found, bundle=bundle, sha256=model.sha256, pictures=drawn, fewest=FEWEST
    )


def _filled(name: str, now: datetime, **values: Any) -> str:
    pages = Environment(
        loader=PackageLoader("node.trial", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made = f"{now:%Y-%m-%d %H:%M} UTC"
    return pages.get_template(name).render(made=made, software=version("neurossl-node"), **values)
