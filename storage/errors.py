"""What can go wrong while storing, sorted by what to do next.

StorageError
├── StorageFull        no space below the watermark: refuse for now, the sender tries again (0xA700)
├── DatabaseBusy       another process held the database longer than the busy timeout: try again
├── DatabaseUnusable   corrupt, or written by a newer version: stop and say so
├── FolderInUse        another process holds the lock of this data folder: stop and say so
├── LeaseLost          the job is not ours any more: drop the work, write nothing
├── NotFound           no such study, job or delivery
└── InvalidTransition  the transition table does not allow this change of state
"""


class StorageError(Exception):
    """Storing failed."""


class StorageFull(StorageError):
    """No space below the watermark."""


class DatabaseBusy(StorageError):
    """Another process held the database longer than the busy timeout."""


class DatabaseUnusable(StorageError):
    """The database is corrupt, or written by a newer version."""


class FolderInUse(StorageError):
    """Another process holds the lock of this data folder."""


class LeaseLost(StorageError):
    """The job is not ours any more."""


class NotFound(StorageError):
    """No such study, job or delivery."""


class InvalidTransition(StorageError):
    """The transition table does not allow this change of state."""
