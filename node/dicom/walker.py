"""Reads the elements of an encoded data set without decoding it (PS3.5 chapter 7): tag, place and length, nothing else.

The listener needs six values of the header. A full parser would turn every value of a stranger's data set into objects,
recurse as deep as the stranger nests, and print values in warnings; this one walks, with a limit on the depth, and
stops before pixel data.
"""

from collections.abc import Container, Iterator
from mmap import mmap
from struct import Struct
from typing import NamedTuple

from pydicom.datadict import dictionary_VR

from node.dicom.syntaxes import BIG_ENDIAN, EXPLICIT, IMPLICIT
from node.errors import Unparsable

DEEPEST_SEQUENCE = 64
PIXEL_DATA_GROUP = 0x7FE0
FIRST_GROUP = 0x0008  # groups below belong to commands, files and directories
FILE_GROUP = 0x0002
DELIMITER_GROUP = 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
NO_VR = b"??"  # what DCMTK writes for a VR that it does not know
FILE_BEGINS = b"DICM\2\0"  # behind 128 bytes of preamble, PS3.10 7.1
CUT_SHORT = "the data set is cut short"

SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())  # PS3.5 table 7.1-2
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # PS3.5 table 7.1-1


class NeedMore(Exception):
    """The bytes at hand end within the part that is asked for."""


class Element(NamedTuple):
    """Where a value lies. A sequence, and each of its items (`tag` is ITEM), has no value of its own."""

    depth: int  # 0 at the top level
    tag: int
    start: int
    end: int


class _Frame(NamedTuple):
    """A sequence or a data set that is being walked; `end` is None where a delimiter ends it."""

    is_sequence: bool
    end: int | None
    explicit: bool


def walk(data: bytes, transfer_syntax: str, *, complete: bool = True) -> Iterator[Element]:
    """The elements in the order of their encoding, until pixel data or the end.

    Raises Unparsable, or NeedMore where `data` is only the beginning (`complete` is false) and ends.
    """
    walker = Walker(data, transfer_syntax, complete)
    while (element := walker.step()) is not None:
        yield element


def walk_meta(data: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """Tag, start and end of the elements of group 0002, which stand first and are always explicit VR little endian.

    Raises Unparsable.
    """
    walker = Walker(data, EXPLICIT, True, position)
    while data[walker.position : walker.position + 2] == b"\2\0":
        tag, _, length = walker.head(True)
        start = walker.position
        walker.position = start + length
        if walker.position > len(data):
            raise Unparsable(CUT_SHORT)
        yield tag, start, walker.position


def data_set_begins(data: bytes, transfer_syntax: str) -> int:
    """Where the data set begins behind elements of groups 0000 to 0007, which some senders leave in front of it.

    PS3.5 7.1 forbids them there; archives take them out. File meta elements are explicit VR little endian as in a file,
    whatever the transfer syntax. Of a whole file the preamble goes with them. Raises Unparsable, or NeedMore where they
    do not end within `data`.
    """
    order = ">" if transfer_syntax == BIG_ENDIAN else "<"
    position = 132 if data[128:134] == FILE_BEGINS else 0
    while position + 8 <= len(data):
        (group,) = Struct(f"{order}H").unpack_from(data, position)
        (meta,) = Struct("<H").unpack_from(data, position)
        if group >= FIRST_GROUP and meta >= FIRST_GROUP:
            return position
        vr = data[position + 4 : position + 6]
        explicit = vr in SHORT_VRS or vr in LONG_VRS
        walker = Walker(data, EXPLICIT if meta < FIRST_GROUP else transfer_syntax, False, position)
        _, _, length = walker.head(explicit)
        if length == UNDEFINED:
            raise Unparsable("a group that does not belong into a data set")
        position = walker.position + length
    if position > len(data):
        raise NeedMore
    return position


class Walker:
    """A walk that is under way: `position` is behind the head of the last element."""

    def __init__(self, data: bytes | mmap, transfer_syntax: str, complete: bool, position: int = 0) -> None:
        order = ">" if transfer_syntax == BIG_ENDIAN else "<"
        self._tag = Struct(f"{order}HH").unpack_from
        self._long = Struct(f"{order}I").unpack_from
        self._short = Struct(f"{order}H").unpack_from
        self._plain = Struct(f"{order}HH2sH").unpack_from
        self._data = data
        self._complete = complete
        self.position = position
        self._stack = [_Frame(False, len(data) if complete else None, transfer_syntax != IMPLICIT)]

    def step(self) -> Element | None:
        """The next element; None at pixel data or the end."""
        while self._leave_what_ended():
            frame = self._stack[-1]
            tag, vr, length = self.head(frame.explicit)
            element = self._item(tag, length) if frame.is_sequence else self._element(tag, vr, length)
            if element is not None:
                return element
        return None

    def skim(self, wanted: Container[int], last: int, long_value: int) -> int:
        """Pass over elements of the top level that nobody wants, many times as quick as `step`; how many.

        It stops at all that needs a closer look, which is for `step`: a tag of `wanted` or behind `last`, what is no
        short explicit element, a value of `long_value` bytes or more, groups before FIRST_GROUP.
        """
        if len(self._stack) != 1 or not self._stack[0].explicit:
            return 0
        plain, data, position, passed = self._plain, self._data, self.position, 0
        end = len(data) - 8
        while position <= end:
            group, number, vr, length = plain(data, position)
            tag = group << 16 | number
            if tag in wanted or tag > last or group < FIRST_GROUP or vr not in SHORT_VRS or length >= long_value:
                break
            position += 8 + length
            passed += 1
        self.position = position
        return passed

    def _leave_what_ended(self) -> bool:
        """Whether anything is left to walk."""
        stack = self._stack
        while stack and (end := stack[-1].end) is not None and self.position >= end:
            if self.position > end:
                raise Unparsable("an element reaches beyond what holds it")
            stack.pop()
        return bool(stack)

    def head(self, explicit: bool) -> tuple[int, bytes, int]:
        """Tag, VR (empty in implicit VR) and length of the element here; `position` is at its value then."""
        data, position = self._data, self.position
        self._have(position + 8)
        group, number = self._tag(data, position)
        if group == DELIMITER_GROUP or not explicit:
            self.position = position + 8
            return group << 16 | number, b"", self._long(data, position + 4)[0]
        vr = data[position + 4 : position + 6]
        if vr in SHORT_VRS:
            self.position = position + 8
            return group << 16 | number, vr, self._short(data, position + 6)[0]
        if vr not in LONG_VRS and (group % 2 or vr == NO_VR):
            return self._odd_head(group << 16 | number, vr)
        if not (vr.isalpha() and vr.isupper()):
            raise Unparsable("an element without a value representation")
        self._have(position + 12)
        self.position = position + 12
        return group << 16 | number, vr, self._long(data, position + 8)[0]

    def _odd_head(self, tag: int, vr: bytes) -> tuple[int, bytes, int]:
        """An element whose VR no standard has: `??`, and of private ones two NULs, blanks, letters of a vendor.

        Writers gave it the short form, the long one, or no VR at all. The form after which another element begins is
        the right one; where none tells, an unknown VR in capitals has the long form, and any other the short one, as
        DCMTK reads them.
        """
        position, is_vr = self.position, vr.isalpha() and vr.isupper()
        short = (8, b"LO", self._short(self._data, position + 6)[0])
        implicit = (8, b"", self._long(self._data, position + 4)[0])
        forms = [short, implicit]
        if is_vr:
            self._have(position + 12)
            forms.insert(0, (12, b"OB", self._long(self._data, position + 8)[0]))
        head, vr, length = next((each for each in forms if self._leads_on(tag, position + each[0] + each[2])), forms[0])
        self.position = position + head
        return tag, vr, length

    def _leads_on(self, tag: int, end: int) -> bool:
        """Whether an element that comes after `tag` begins at `end`, or the data set ends there."""
        if end + 6 > len(self._data):
            return end == len(self._data) and self._complete
        if end == self._stack[-1].end:
            return True
        group, number = self._tag(self._data, end)
        vr = self._data[end + 4 : end + 6]
        known = vr in SHORT_VRS or vr in LONG_VRS or group in (DELIMITER_GROUP, tag >> 16)
        return known and group << 16 | number > tag

    def _have(self, end: int) -> None:
        if end > len(self._data):
            raise Unparsable(CUT_SHORT) if self._complete else NeedMore

    def _item(self, tag: int, length: int) -> Element | None:
        frame = self._stack[-1]
        if tag == SEQUENCE_END and frame.end is None:
            self._stack.pop()
            return None
        if tag != ITEM:
            raise Unparsable("a sequence holds something other than items")
        element = Element(len(self._stack) // 2, ITEM, self.position, self.position)
        self._stack.append(_Frame(False, self._end(length), frame.explicit))
        return element

    def _element(self, tag: int, vr: bytes, length: int) -> Element | None:
        if tag >> 16 == DELIMITER_GROUP:
            self._delimiter(tag)
            return None
        depth = len(self._stack) // 2
        if depth == 0 and tag >> 16 < FIRST_GROUP and tag >> 16 != FILE_GROUP:  # some senders strew its elements
            raise Unparsable("a group that does not belong into a data set")
        if depth == 0 and tag >> 16 >= PIXEL_DATA_GROUP:
            self._stack.clear()
            return None
        start = self.position
        if vr == b"SQ" or length == UNDEFINED or (not vr and _is_sequence(tag)):
            if depth >= DEEPEST_SEQUENCE:
                raise Unparsable(f"sequences nested deeper than {DEEPEST_SEQUENCE}")
            explicit = self._stack[-1].explicit and vr != b"UN"  # PS3.5 6.2.2: UN holds implicit VR
            self._stack.append(_Frame(True, self._end(length), explicit))
            return Element(depth, tag, start, start)
        self.position = start + length
        return Element(depth, tag, start, start + length)

    def _delimiter(self, tag: int) -> None:
        if tag != ITEM_END or self._stack[-1].end is not None or len(self._stack) == 1:
            raise Unparsable("a delimiter where an element belongs")
        self._stack.pop()

    def _end(self, length: int) -> int | None:
        return None if length == UNDEFINED else self.position + length


def _is_sequence(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False
