"""multipart/related as it comes (RFC 2046 5.1, RFC 2387): part after part, of which a piece is held at a time.

A delimiter counts when its line is nothing but that: data may hold the boundary, and a line that begins like it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.policy import compat32

from node.errors import Unparsable

LONGEST_HEADERS_BYTES = 16 * 1024
LONGEST_PADDING_BYTES = 256
LINE_END = b"\r\n"
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")  # 70 by RFC 2046, 73 of Orthanc
PADDING = re.compile(rb"[ \t]*\r\n")


class CutShort(Unparsable):
    """A body that ends in the middle of a part, or of what stands before it."""


@dataclass(frozen=True)
class MediaType:
    """A Content-Type; names in lower case."""

    name: str
    parameters: Mapping[str, str]

    @property
    def boundary(self) -> str:
        """Between parts; "" where it names none that may be."""
        found = self.parameters.get("boundary", "")
        return found if BOUNDARY.fullmatch(found) else ""


def media_type(content_type: str) -> MediaType:
    """Read a Content-Type.

    >>> media_type('multipart/related; type="application/dicom"; boundary=x').parameters["type"]
    'application/dicom'
    """
    message = Message(compat32)
    message["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    parameters = message.get_params(failobj=[], unquote=True)
    named = {str(name).lower(): str(value) for name, value in parameters[1:]}
    return MediaType(parameters[0][0].lower() if parameters else "", named)


@dataclass(frozen=True)
class Part:
    """One part; `data` is taken once, before the next part."""

    headers: Mapping[str, str]  # names in lower case
    data: Iterator[bytes]

    @property
    def media_type(self) -> str:
        """Without its parameters; "" where it does not say."""
        return media_type(self.headers.get("content-type", "")).name


def parts(body: Iterator[bytes], boundary: str) -> Iterator[Part]:
    """The parts of a body, and then nothing of what follows the last.

    Raises CutShort, also from the data of a part, and Unparsable.
    """
    reader = _Reader(body, boundary)
    for _ in reader.until_delimiter():
        """What stands before the first part says nothing."""
    while not reader.is_closed:
        data = reader.until_delimiter()
        yield Part(reader.headers(), data)
        for _ in data:
            """What nobody wanted."""


class _Reader:
    def __init__(self, body: Iterator[bytes], boundary: str) -> None:
        self._body = body
        self._delimiter = LINE_END + b"--" + boundary.encode("ascii")
        self._buffer = bytearray(LINE_END)  # so that the first delimiter may stand at the very beginning
        self.is_closed = False

    def until_delimiter(self) -> Iterator[bytes]:
        """Data up to the next delimiter, which is taken away with its line."""
        while True:
            at = self._buffer.find(self._delimiter)
            if at < 0:
                keep = len(self._delimiter) - 1
                if len(self._buffer) > keep:
                    yield self._take(len(self._buffer) - keep)
                self._more()
                continue
            behind = at + len(self._delimiter)
            end = self._line_ends(behind)
            if at or end is None:
                yield self._take(at if end is not None else behind)
            if end is not None:
                del self._buffer[: end - at]
                return

    def headers(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        while line := self._line():
            name, colon, value = line.partition(b":")
            if not colon:
                raise Unparsable("a part whose headers cannot be read")
            found[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
        return found

    def _line_ends(self, start: int) -> int | None:
        """Where the line of a delimiter ends; None where it is no delimiter's."""
        while len(self._buffer) < start + 2:
            self._more()
        if self._buffer[start : start + 2] == b"--":
            self.is_closed = True
            return start + 2
        while True:
            found = PADDING.match(self._buffer, start)
            if found:
                return found.end()
            rest = bytes(self._buffer[start:])
            if rest.strip(b" \t") not in (b"", b"\r") or len(rest) > LONGEST_PADDING_BYTES:
                return None
            self._more()

    def _line(self) -> bytes:
        while (at := self._buffer.find(LINE_END)) < 0:
            if len(self._buffer) > LONGEST_HEADERS_BYTES:
                raise Unparsable("a part whose headers are too long")
            self._more()
        return self._take(at + len(LINE_END))[:-2]

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def _more(self) -> None:
        piece = next(self._body, None)
        if piece is None:
            raise CutShort("the body ends in the middle of a part")
        self._buffer += piece
