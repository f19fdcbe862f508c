"""A trained network and what is known of it -> a bundle that the node loads."""

import json
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np

from model.bands import Conformal
from model.bundle import Bundle
from model.classifier import SecondOrderClassifier
from model.manifest import Manifest, Subjects
from model.training.recipes import Recipe


def to_bundle(
    network: SecondOrderClassifier,
    recipe: Recipe,
    *,
    temperature: float = 1.0,
    conformal: Conformal | None = None,
    weights: Mapping[str, float] | None = None,
    subjects: Subjects | None = None,
    provenance: Mapping[str, str] | None = None,
    half: bool = False,
) -> Bundle:
    """The bundle; `half` stores float16. The recipe goes into its provenance, whole. Raises BundleError.

    `weights` are of the planes, by default the recipe's. Without `conformal` its bands are the published ones. Without
    `subjects` nobody knows the ages of those that it was trained on.
    """
    manifest = Manifest(
        name=f"neurossl-{recipe.name}"[:64],
        version="1",
        trained=True,
        architecture=recipe.architecture,
        preprocessing=recipe.preprocessing.weighted(weights or {}),
        temperature=round(temperature, 6),
        conformal=conformal,
        subjects=subjects or Subjects(age_years=None),
        dropout_samples=recipe.dropout_samples,
        provenance={
            **(provenance or {}),
            "recipe": json.dumps(recipe.to_dict(), sort_keys=True),
            "torch": version("torch"),
        },
    )
    arrays = {name: value.detach().cpu().float().numpy() for name, value in network.state_dict().items()}
    return Bundle.create(manifest, {name: np.asarray(value, np.float32) for name, value in arrays.items()}, half=half)
