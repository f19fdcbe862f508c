"""Hashes of a file while its bytes go by.

The content of an instance is its encoded data set: preamble, prefix and file meta information (PS3.10 section 7.1) are
written by whoever stores the file, and differ when the same data set comes twice.
"""

import hashlib
import struct

_GROUP_LENGTH = struct.pack("<HH2sH", 0x0002, 0x0000, b"UL", 4)  # (0002,0000), always first, explicit VR little endian
_PREFIX_AT, _META_AT, _LENGTH_AT = 128, 132, 140
_HEADER_KNOWN_AT = 144  # preamble, "DICM", the whole element (0002,0000)


class ContentHash:
    """SHA-256 of a file's content, without its header when `skip_header` is set and it has one; its seal is of both.

    `whole` is for files that were named before there were seals.
    """

    def __init__(self, *, skip_header: bool, with_whole: bool = False) -> None:
        self.size_bytes = 0
        self._whole = hashlib.sha256() if with_whole else None
        self._header = hashlib.sha256()
        self._content = hashlib.sha256()
        self._start: bytes | None = b"" if skip_header else None  # not hashed yet: is there a header?
        self._skip = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        view = memoryview(piece).cast("B")
        self.size_bytes += len(view)
        if self._whole is not None:
            self._whole.update(view)
        if self._start is not None:
            self._start += view
            if len(self._start) < _HEADER_KNOWN_AT:
                return
            view = self._end_of_start()
        self._take(view)

    @property
    def whole(self) -> str:
        """Of the whole file, when it was asked for."""
        return "" if self._whole is None else self._whole.hexdigest()

    @property
    def content(self) -> str:
        """Of the content; to be asked when all bytes went by."""
        self._end()
        return self._content.hexdigest()

    @property
    def seal(self) -> str:
        """Another one for whatever differs, in header or content; to be asked when all bytes went by."""
        self._end()
        return hashlib.sha256(self._header.digest() + self._content.digest()).hexdigest()

    def _take(self, view: memoryview) -> None:
        skipped = min(self._skip, len(view))
        if skipped:
            self._skip -= skipped
            self._header.update(view[:skipped])
        self._content.update(view[skipped:])

    def _end(self) -> None:
        """Of a file too short to have a header."""
        if self._start is not None:
            self._take(self._end_of_start())

    def _end_of_start(self) -> memoryview:
        start, self._start = self._start or b"", None
        self._skip = _header_length(start)
        return memoryview(start)


def _header_length(start: bytes) -> int:
    """How many bytes of a Part 10 file precede its data set; 0 when this is none.

    >>> _header_length(bytes(128) + b"DICM" + _GROUP_LENGTH + (20).to_bytes(4, "little"))
    164
    >>> _header_length(b"anything else")
    0
    """
    if start[_PREFIX_AT:_META_AT] != b"DICM" or start[_META_AT:_LENGTH_AT] != _GROUP_LENGTH:
        return 0
    (length,) = struct.unpack("<I", start[_LENGTH_AT:_HEADER_KNOWN_AT])
    return _HEADER_KNOWN_AT + int(length)
