"""What can go wrong while weights are made.

ModelError
└── TrainingError
    ├── LabelTableError   a row of a label table is wrong; the message names file and row
    ├── NoTrainingData    nothing in the folder can be used; the message says what was looked for
    ├── SubjectLeak       the same subject, or the same picture, would stand on both sides of a split
    ├── ResumeError       a checkpoint is missing, damaged or belongs to another recipe or other data
    ├── NoSuchRecipe      there is no recipe of this name
    └── Diverged          the loss is no longer finite

A damaged image is no error here: it is named and skipped (`sources.Skipped`).
"""

from model.errors import ModelError


class TrainingError(ModelError):
    """Training cannot go on."""


class LabelTableError(TrainingError):
    """A row of a label table is wrong."""


class NoTrainingData(TrainingError):
    """Nothing in the folder can be used."""


class SubjectLeak(TrainingError):
    """The same subject, or the same picture, would stand on both sides of a split."""


class ResumeError(TrainingError):
    """A checkpoint is missing, damaged or belongs to another recipe or other data."""


class NoSuchRecipe(TrainingError):
    """There is no recipe of this name."""


class Diverged(TrainingError):
    """The loss is no longer finite."""
