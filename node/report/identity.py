"""Who and when a result object is: UIDs that follow from the inputs, and times pinned to the job.

The same answer (node/report/key.py) of the same job gets the same UIDs in any process on any machine, so building twice
builds the same objects and a result that is sent again is recognised by its receiver. Another time is another UID: one
that was sent before never gets another content. `made` tells of a result that lies here already.
"""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from pydicom import dcmread

_NAMESPACE = uuid.UUID("4be0ac2b-6d18-4f83-8e57-3a6ff0b3ec21")
_SEPARATOR = "\x1f"
_OFFSET = re.compile(r"^([+-])(\d\d)(\d\d)$")


class Made(NamedTuple):
    """A result as it was made."""

    at: str  # the same for all results of one making
    sop_instance_uid: str
    series_instance_uid: str


def made(path: Path) -> Made:
    """What a result of ours says of itself. Raises what reading a file raises."""
    header = dcmread(path, stop_before_pixels=True)
    at = f"{header.InstanceCreationDate}{header.InstanceCreationTime}"
    return Made(at, str(header.SOPInstanceUID), str(header.SeriesInstanceUID))


def derived_uid(*parts: str) -> str:
    """The UID of these parts: UUID version 5 under 2.25 (PS3.5 B.2), 44 characters at most.

    The parts are separated, so that ("a", "b") and ("ab",) differ.

    >>> derived_uid("a", "b") == derived_uid("ab")
    False
    >>> derived_uid("a", "b") == derived_uid("a", "b")
    True
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, _SEPARATOR.join(parts)).int}"


def digest(parts: Iterable[str]) -> str:
    """SHA-256 of the sorted parts: the order in which instances arrived leaves no trace."""
    return sha256(_SEPARATOR.join(sorted(parts)).encode()).hexdigest()


def local_time(at: datetime, offset: str | None) -> datetime:
    """`at` on the clock of the study: its TimezoneOffsetFromUTC where it has one, else the zone of this machine.

    PS3.3 C.12.1.1.8 lets that offset rule over every time in the object, the copied ones and ours.
    """
    match = _OFFSET.match((offset or "").strip())
    if match is None:
        return at.astimezone()
    sign, hours, minutes = match.groups()
    delta = timedelta(hours=int(hours), minutes=int(minutes))
    if delta > timedelta(hours=14):
        return at.astimezone()
    return at.astimezone(timezone(-delta if sign == "-" else delta))


def da(at: datetime) -> str:
    """VR DA."""
    return at.strftime("%Y%m%d")


def tm(at: datetime) -> str:
    """VR TM, with microseconds."""
    return at.strftime("%H%M%S.%f")


def dt(at: datetime) -> str:
    """VR DT, with microseconds and the offset from UTC."""
    return at.strftime("%Y%m%d%H%M%S.%f%z")
