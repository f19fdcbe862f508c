"""What can go wrong while storing, sorted by what to do next.

StorageError
├── StorageFull        the disk takes no more, or failed a write: refuse for now, the sender tries again (0xA700)
├── DatabaseBusy       another process held the database longer than the busy timeout: try again
├── DatabaseUnusable   corrupt, newer than this program, or empty beside stored files: stop and say so
├── FolderUnusable     the data folder cannot be made, or is not safely ours: stop and say so
├── FolderInUse        another process holds the lock of this data folder: stop and say so
├── BackupUnusable     a backup is partial or altered, or cannot be put where it was to go: say what is wrong
├── FileAltered        a stored file is missing, or no longer what was stored: give up on what needs it
│   └── FileTorn       it is less or other than its name says: what a power cut leaves, or damage
├── UnsafePath         a path leads out of the data folder: refuse it
├── ResultConflict     a result of this UID exists with another content: keep the first
├── LeaseLost          the job or delivery is not ours any more: drop the work, write nothing
├── NotFound           no such study, job or delivery
└── InvalidTransition  the transition table does not allow this change of state
"""


class StorageError(Exception):
    """Storing failed."""


class StorageFull(StorageError):
    """The disk takes no more, or failed a write."""


class DatabaseBusy(StorageError):
    """Another process held the database longer than the busy timeout."""


class DatabaseUnusable(StorageError):
    """The database is corrupt, newer than this program, or empty beside stored files."""


class FolderUnusable(StorageError):
    """The data folder cannot be made, or is not safely ours."""


class FolderInUse(StorageError):
    """Another process holds the lock of this data folder."""


class BackupUnusable(StorageError):
    """A backup is partial or altered, or cannot be put where it was to go."""


class FileAltered(StorageError):
    """A stored file is missing, or no longer what was stored."""


class FileTorn(FileAltered):
    """A stored file is less or other than its name says."""


class UnsafePath(StorageError):
    """A path leads out of the data folder."""


class ResultConflict(StorageError):
    """A result of this UID exists with another content."""


class LeaseLost(StorageError):
    """The job or delivery is not ours any more."""


class NotFound(StorageError):
    """No such study, job or delivery."""


class InvalidTransition(StorageError):
    """The transition table does not allow this change of state."""
