"""What can go wrong while a study is worked on, sorted by what to do next.

    NodeError
    ├── Permanent                the same input will fail again: give up, keep the reason
    │   ├── ConfigurationError   a setting is wrong; the message names its key
    │   │   └── ConfigurationRefused     a process has said so already
    │   ├── Unparsable           bytes that are no data set
    │   ├── UnreadableInstance   a stored file is missing, altered or cannot be decoded
    │   ├── MixedPatients        instances of one study disagree about the patient
    │   ├── InvalidResult        a result failed its validation and must not be sent
    │   └── Refused              the destination will never take this object
    └── Transient                trying again later may work
        ├── Unreachable          the peer did not answer, or refused the association for now
        └── OutOfResources       memory or disk is short at the moment

`model` and `storage` have trees of their own (`model/errors.py`, `storage/errors.py`); `node/retry.py` is the one place
that turns any of them into a decision.
"""


class NodeError(Exception):
    """Something went wrong."""


class Permanent(NodeError):
    """The same input will fail again."""


class Transient(NodeError):
    """Trying again later may work."""


class ConfigurationError(Permanent):
    """A setting is wrong."""


class ConfigurationRefused(ConfigurationError):
    """A process found its configuration wrong, and has said so on standard error."""


class Unparsable(Permanent):
    """Bytes that are no data set."""


class UnreadableInstance(Permanent):
    """A stored file is missing, altered or cannot be decoded."""


class MixedPatients(Permanent):
    """Instances of one study disagree about the patient."""


class InvalidResult(Permanent):
    """A result failed its validation and is kept back."""


class Refused(Permanent):
    """The destination will never take this object."""


class Unreachable(Transient):
    """The peer did not answer, or refused the association for now."""


class OutOfResources(Transient):
    """Memory or disk is short at the moment."""
