"""What a bundle says of its weights: every number that shapes an answer, and where the weights come from. Frozen."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from model import scope
from model.bands import Conformal, Part, Thresholds
from model.errors import BundleError
from model.rollout import RolloutOrder
from model.slicing import Preprocessing
from model.types import ModelId


class Architecture(Part):
    """Arguments of the two network classes; the defaults are the published ones."""

    img_size: Annotated[int, Field(ge=1)] = 224
    patch_size: Annotated[int, Field(ge=1)] = 16
    embed_dim: Annotated[int, Field(ge=1)] = 384
    depth: Annotated[int, Field(ge=1)] = 12
    num_heads: Annotated[int, Field(ge=1)] = 6
    mlp_ratio: Annotated[float, Field(gt=0)] = 4.0
    fusion_blocks: tuple[int, ...] | None = None
    num_classes: Literal[2] = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    covariance_dim: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.img_size % self.patch_size or self.embed_dim % self.num_heads:
            raise ValueError("patch_size must divide img_size, and num_heads embed_dim")
        if not set(self.fused) <= set(range(self.depth)):
            raise ValueError(f"fusion_blocks {self.fused} are not all among {self.depth} blocks")
        return self

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.img_size // self.patch_size

    @property
    def fused(self) -> tuple[int, ...]:
        """Blocks whose mean patch token is fused: by default the ends of the four quarters."""
        quarters = {max(0, quarter * self.depth // 4 - 1) for quarter in (1, 2, 3, 4)}
        return tuple(sorted(quarters if self.fusion_blocks is None else self.fusion_blocks))

    @property
    def covariance_size(self) -> int:
        """Side of the covariance matrix that the projector sees."""
        return self.covariance_dim or self.embed_dim


PRESETS: Mapping[str, Architecture] = {
    "published": Architecture(),  # 249.1 million parameters
    "compact": Architecture(covariance_dim=40),  # 25.1 million: the size that the published card states
}


class Subjects(Part):
    """Whom the training data came from; the defaults are the published ones (OASIS-1: 416 people of 18 to 96 years).

    age_years  the youngest and the oldest, in whole years; None where nobody knows: then no age is refused
    """

    species: Annotated[str, Field(min_length=1, max_length=64)] = "human"
    age_years: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0, le=130)]] | None = (18, 96)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.age_years is not None and self.age_years[0] > self.age_years[1]:
            raise ValueError("age_years: the youngest comes first")
        return self


def _preprocessing(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    try:
        return Preprocessing.from_dict(value)
    except TypeError as error:  # pydantic turns only ValueError into a message with its key
        raise ValueError(str(error)) from None


class Manifest(Part):
    """Everything about a bundle that is not a weight.

    temperature       logits are divided by it before the softmax (Guo et al. 2017, arXiv:1706.04599)
    thresholds, conformal   the decision bands, of one kind or the other: the published one where neither is said
    scope             limits of model.scope.assess
    subjects          whom the training data came from; studies of anybody else are not classified
    dropout_samples   Monte Carlo dropout passes behind every spread
    trained           False for weights that no data has shaped; then no answer means anything
    provenance        where the weights come from, in words; sha256: of weights.safetensors
    """

    format: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=64)] = "neurossl"
    version: Annotated[str, Field(min_length=1, max_length=16)] = "1"
    trained: bool
    architecture: Architecture = Architecture()
    preprocessing: Annotated[
        Preprocessing, BeforeValidator(_preprocessing), PlainSerializer(lambda value: value.to_dict())
    ] = Field(default_factory=Preprocessing.card)
    temperature: Annotated[float, Field(gt=0)] = 1.6995
    thresholds: Thresholds | None = Thresholds()
    conformal: Conformal | None = None
    scope: Mapping[str, float] = Field(default_factory=lambda: dict(scope.THRESHOLDS))
    subjects: Subjects = Subjects()
    dropout_samples: Annotated[int, Field(ge=2, le=10_000)] = 10
    rollout_order: RolloutOrder = RolloutOrder.LAST_TO_FIRST
    provenance: Mapping[str, str] = Field(default_factory=dict)
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @model_validator(mode="before")
    @classmethod
    def _one_kind_of_bands(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("conformal") is not None:
            return {"thresholds": None, **values}
        return values

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if (self.thresholds is None) is (self.conformal is None):
            raise ValueError("the decision bands are those of thresholds or of conformal, one of the two")
        if self.preprocessing.size != self.architecture.img_size:
            raise ValueError(f"preprocessing.size is not architecture.img_size, {self.architecture.img_size}")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises BundleError with one line per wrong key."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
        except pydantic.ValidationError as error:
            raise BundleError(_lines(str(path), error)) from None

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """From values that a user gave. Raises BundleError with one line per wrong key."""
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise BundleError(_lines("manifest", error)) from None

    def to_json(self) -> str:
        """The text of manifest.json; the same manifest always gives the same text."""
        absent = {"conformal"} if self.conformal is None else {"thresholds"}
        return self.model_dump_json(indent=2, exclude=absent) + "\n"

    @property
    def bands(self) -> Thresholds | Conformal:
        """What decides the band of a probability."""
        return self.conformal or self.thresholds or Thresholds()

    @property
    def model_id(self) -> ModelId:
        """The identity that travels into reports; its hash covers the weights and every number here."""
        return ModelId(
            name=self.name,
            version=self.version,
            sha256=hashlib.sha256(self.to_json().encode()).hexdigest(),
            trained=self.trained,
            temperature=self.temperature,
            dropout_samples=self.dropout_samples,
            rollout_order=self.rollout_order.value,
            thresholds=self.bands.limits,
        )


def _lines(what: str, error: pydantic.ValidationError) -> str:
    return "\n".join(
        f"{what}: {'.'.join(map(str, each['loc'])) or 'manifest'}: {each['msg']}" for each in error.errors()
    )
