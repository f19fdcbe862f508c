"""What may be a UID of a peer (PS3.5 9.1), asked before one enters a path, a row or an answer."""

import re

PATTERN = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Digits and single dots, 64 at most. Leading zeros, which PS3.5 9.1 forbids, are too common to refuse.

    >>> is_uid("1.2.840.10008.1.1"), is_uid("1.2/../../etc"), is_uid("1.02"), is_uid("1..2"), is_uid("")
    (True, False, True, False, False)
    """
    return PATTERN.fullmatch(text) is not None
