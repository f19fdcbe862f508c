"""What can go wrong in the model, sorted by what to do next.

ModelError
├── BundleError        the bundle is missing, altered or does not fit the architecture; the message names the difference
├── CheckpointError    a published checkpoint cannot be imported; the message names the difference
├── DeviceError        the configured device is not there; nothing falls back silently
├── VolumeError        the volume cannot be sliced (empty, not finite, degenerate geometry)
│   └── TooCoarse      its samples lie too far apart for every plane that the bundle reads
└── DeviceOutOfMemory  the batch did not fit even at its smallest size; trying again later may work
"""


class ModelError(Exception):
    """The model cannot do this."""


class BundleError(ModelError):
    """The bundle is missing, altered or does not fit the architecture."""


class CheckpointError(ModelError):
    """A published checkpoint cannot be imported."""


class DeviceError(ModelError):
    """The configured device is not there."""


class VolumeError(ModelError):
    """The volume cannot be sliced."""


class TooCoarse(VolumeError):
    """The samples of the volume lie too far apart for every plane that the bundle reads."""


class DeviceOutOfMemory(ModelError):
    """The batch did not fit even at its smallest size."""
