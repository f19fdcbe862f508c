"""What people write into descriptions, in one spelling, so that lists of words can be held against it.

"T1_MPRAGE-nachKM" and "t1 mprage nach KM" become " t 1 mprage nach km ": lower case, no accents, a space at every
change between letters and digits, underscores and dots gone. A name with a capital after a small letter is there twice,
split at such places and not: "nachKM", but also "ProHance".
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

JOINED = re.compile(r"(?<=t1)w?c\b", re.IGNORECASE)  # T1c and T1wC, but not T1 c, which may be coronal
ABBREVIATIONS: tuple[tuple[str, str], ...] = (
    (r"\bto ?f\b", "tof"),
    (r"\bk\. ?m\b", "km"),
    (r"\bm\. ?d\. ?c\b", "mdc"),
    (r"\bi\. ?v\b", "iv"),
    (r"\bw ?/ ?(w ?/? ?o)\b", " with without "),
    (r"\bw ?/ ?o(ut)?\b|\bw\. ?o\b|\bwo\b", " without "),
    (r"\bw ?/", " with "),
    (r"\bs ?/ ?(?=(c|cte|contraste?|gad\w*|gd)\b)", " sin "),
    (r"\bc ?/ ?(?=(c|cte|contraste?|gad\w*|gd)\b)", " con "),
    (r"\bsin c(te)?\b", " sin contraste "),
    (r"\bcon c(te)?\b", " con contraste "),
    (r"\bo\.? ?km\b", " ohne km "),
    (r"\bm\.? ?km\b", " mit km "),
    (r"\bv\.? ?km\b", " vor km "),
    (r"\bn\.? ?km\b", " nach km "),
    (r"\+ ?c\b|\bc ?\+", " plusc "),
    (r"(?<![a-z0-9 ]) ?- ?c\b(?!-?spine)|\bc-(?![a-z0-9])", " minusc "),
)


def said(*texts: str) -> str:
    """The texts in the one spelling, a space at both ends; " " where nothing is said.

    >>> said("3DT1Gd", "MPRAGE_w/o FS")
    ' 3 dt 1 gd | mprage without fs '
    """
    return " | ".join(_one(text) for text in texts if text.strip()).join("  ") if any(texts) else " "


def pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Finds any of these words or phrases in what was `said`."""
    return re.compile(f"(?<= )(?:{alternatives(words)})(?= )")


def alternatives(words: Iterable[str]) -> str:
    """The words as the inside of a regular expression, the longest first; they are given in the one spelling.

    >>> alternatives(["gad*", "t 2 *"])
    'gad\\\\w*|t 2 \\\\*'
    """
    spelled = {" ".join(map(_part, _bare(word).lower().split())) for word in words}
    return "|".join(sorted(spelled, key=lambda word: (-len(word), word)))


def _part(word: str) -> str:
    return re.escape(word) if word in "*+&/" else r"\w*".join(map(re.escape, word.split("*")))


def _bare(text: str) -> str:
    marked = text.replace("ß", "ss").replace("_", " ")
    return "".join(each for each in unicodedata.normalize("NFKD", marked) if not unicodedata.combining(each))


@lru_cache(maxsize=4096)
def _one(text: str) -> str:
    joined = JOINED.sub(" +c ", _bare(text))
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", joined)
    return _plain(joined) if apart == joined else f"{_plain(apart)} | {_plain(joined)}"


def _plain(text: str) -> str:
    spaced = re.sub(r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])", " ", text).lower()
    for short, full in ABBREVIATIONS:
        spaced = re.sub(short, full, spaced)
    return " ".join(re.findall(r"[^\W\d_]+|\d+|[+&/*]", spaced))
