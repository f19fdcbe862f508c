"""What may be a UID of a peer (PS3.5 9.1), asked before one enters a path, a row or an answer."""

import re

PATTERN = re.compile(r"(?=.{1,64}\Z)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def is_uid(text: str) -> bool:
    """PS3.5 9.1: digits and dots, 64 at most, no component with a leading zero.

    >>> is_uid("1.2.840.10008.1.1"), is_uid("1.2/../../etc"), is_uid("1.02"), is_uid("")
    (True, False, False, False)
    """
    return PATTERN.fullmatch(text) is not None
