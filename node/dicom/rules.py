"""A site's own rules: tag expressions such as `Manufacturer == "SIEMENS" and SeriesDescription ~ "mprage.*iso"`.

    expression   term { "or" term }
    term         factor { "and" factor }
    factor       "not" factor | "(" expression ")" | element comparison
    element      a keyword of the data dictionary, or (gggg,eeee)
    comparison   == != < <= > >= followed by a number or "text" | ~ "regular expression" | is present | is absent

Text is compared without regard to case and outer spaces; `~` finds its pattern anywhere in the value. Of a multi-valued
element any value may fit, `!=` says that none does, and an absent element fits nothing but `is absent` and `!=`. In
Enhanced objects the element is looked for in the functional groups as well.
"""

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from node.dicom.values import places, text

Test = Callable[[Dataset], bool]
TOKEN = re.compile(
    r"""\s*(?:(?P<tag>\([0-9a-f]{4},[0-9a-f]{4}\))|(?P<text>"[^"]*"|'[^']*')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<sign>==|!=|<=|>=|<|>|~|\(|\))|(?P<word>[A-Za-z][A-Za-z0-9]*))""",
    re.IGNORECASE,
)
ORDER: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)


def parse(expression: str) -> Test:
    """The test that an expression describes. Raises ValueError that says what is wrong with it, and where.

    >>> header = Dataset()
    >>> header.RepetitionTime = 2300
    >>> parse("RepetitionTime < 3000 and not EchoTime is present")(header)
    True
    """
    parser = _Parser(_tokens(expression))
    test = parser.expression()
    if parser.left:
        raise ValueError(f"nothing is expected before {parser.left[0]!r}")
    return test


def _tokens(expression: str) -> list[str]:
    found, place = [], 0
    while expression[place:].strip():
        match = TOKEN.match(expression, place)
        if match is None:
            raise ValueError(f"cannot be understood from {expression[place:].strip()[:20]!r} on")
        found.append(match.group().strip())
        place = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens, the first of which is next."""

    def __init__(self, left: list[str]) -> None:
        self.left = left

    def expression(self) -> Test:
        terms = [self._term()]
        while self._takes("or"):
            terms.append(self._term())
        return lambda header: any(term(header) for term in terms)

    def _term(self) -> Test:
        factors = [self._factor()]
        while self._takes("and"):
            factors.append(self._factor())
        return lambda header: all(factor(header) for factor in factors)

    def _factor(self) -> Test:
        if self._takes("not"):
            inner = self._factor()
            return lambda header: not inner(header)
        if self._takes("("):
            inner = self.expression()
            if not self._takes(")"):
                raise ValueError("a closing bracket is missing")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        keyword, sign = _keyword(self._next("an element")), self._next("a comparison").lower()
        if sign == "is":
            return _presence(keyword, self._next("present or absent").lower())
        value = self._next("a value")
        if sign == "~":
            return _pattern(keyword, value)
        if sign in ("==", "!="):
            equal = _equal(keyword, value)
            return equal if sign == "==" else lambda header: not equal(header)
        if sign in ORDER:
            return _ordered(keyword, ORDER[sign], value)
        raise ValueError(f"{sign!r} is no comparison")

    def _takes(self, token: str) -> bool:
        if self.left and self.left[0].lower() == token:
            self.left.pop(0)
            return True
        return False

    def _next(self, what: str) -> str:
        if not self.left:
            raise ValueError(f"{what} is missing at the end")
        return self.left.pop(0)


def _keyword(token: str) -> str:
    if token.startswith("("):
        keyword = keyword_for_tag(int(token[1:5] + token[6:10], 16))
    else:
        keyword = token if tag_for_keyword(token) is not None else ""
    if not keyword:
        raise ValueError(f"{token!r} is no element of the DICOM data dictionary")
    return keyword


def _values(header: Dataset, keyword: str) -> list[str]:
    found = next((value for place in places(header) if (value := text(place, keyword))), "")
    return [part.strip().casefold() for part in found.split("\\")] if found else []


def _presence(keyword: str, word: str) -> Test:
    if word not in ("present", "absent"):
        raise ValueError(f"an element is present or absent, not {word!r}")
    return lambda header: bool(_values(header, keyword)) is (word == "present")


def _pattern(keyword: str, token: str) -> Test:
    try:
        pattern = re.compile(_text(token), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{token} is no regular expression: {error}") from error
    return lambda header: any(pattern.search(value) for value in _values(header, keyword))


def _equal(keyword: str, token: str) -> Test:
    if token[0] in "\"'":
        wanted = _text(token).strip().casefold()
        return lambda header: wanted in _values(header, keyword)
    return _ordered(keyword, operator.eq, token)


def _ordered(keyword: str, compare: Callable[[float, float], bool], token: str) -> Test:
    try:
        limit = float(token)
    except ValueError:
        raise ValueError(f"{token} is no number to compare with") from None
    return lambda header: any(compare(value, limit) for value in map(_number, _values(header, keyword)))


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _text(token: str) -> str:
    if token[0] not in "\"'":
        raise ValueError(f"text stands in quotation marks: {token!r}")
    return token[1:-1]
