"""Was a contrast agent given before this series? Heard from its header, its own words, and the clock of the study.

- Every element of the Contrast/Bolus module counts (PS3.3 C.7.6.4), and per frame whether the agent was administered.
- In a name, a negation counts directly before the word for the agent, and nowhere else.
- The Series Description outweighs the Protocol Name. A Protocol Name that all series share, or that names a whole
  examination ("BRAIN W/WO CONTRAST"), says nothing about one of them.
- What was acquired after a series with agent has the agent in it, too.

In doubt the answer is yes, and says by which sign.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from node.dicom.acquisition import Acquisition
from node.series import words
from node.series.spelling import alternatives, pattern, said
from node.series.study import ALONE, Study

A, NO = alternatives((*words.AGENT, *words.AGENT_AFTER)), alternatives(words.NEGATION)
FILLER, WITH, AND = alternatives(words.FILLERS), alternatives(words.WITH), alternatives(words.AND)
ELSE = alternatives(words.AFTER_SOMETHING_ELSE)
REST = f"(?:(?:{FILLER}|{A}) )*(?:{A})(?= )"  # "injection de gado", up to the last word for the agent

NOT_AGENT = pattern(words.NOT_AGENT)
BOTH = re.compile(f" (?:(?:{WITH})(?: (?:{AND}))*|w(?: (?:{AND}))+) (?:{NO}) {REST}")
NEGATED = re.compile(f" (?:{NO}) {REST}|(?<= )(?:{alternatives(words.NEGATED)})(?= )")
NEGATED_ALONE = re.compile(f"(?<= )(?:{alternatives(words.NEGATED_ALONE)})(?= )(?! (?:{ELSE}) )")
GIVEN = re.compile(f"(?<= )(?:{A}|(?:{alternatives(words.AFTER)})(?! (?:{ELSE}) ))(?= )")
SAYS_NOTHING, SAYS_NO = (re.compile(f" (?:{alternatives(each)}) ") for each in (words.NO_VALUE, words.NO_AGENT_VALUE))
A_WORD = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Heard:
    """What was heard of a contrast agent: the sign that one was given, and whether it is said that none was."""

    sign: str = ""
    denied: bool = False

    @property
    def nothing(self) -> bool:
        """Neither."""
        return not self.sign and not self.denied


def given(made: Acquisition, study: Study = ALONE) -> str:
    """The sign that a contrast agent was given before this acquisition, in words; "" where there is none."""
    return by_itself(made, study) or study.after_agent(made.acquired)


def by_itself(made: Acquisition, study: Study = ALONE) -> str:
    """The same, by the series' own header and names alone."""
    header, names = in_header(made.contrast_bolus), in_names(made, study)
    if header.sign:
        return f"the header tells of a contrast agent ({header.sign}); the model knows none"
    if names.sign:
        silent = "denies it" if header.denied else "is silent"
        return f"the header {silent}, the {names.sign} tells of a contrast agent"
    return ""


def in_header(module: Iterable[tuple[str, str]]) -> Heard:
    """What the elements of the Contrast/Bolus module say, given by keyword and text; the sign is the keyword."""
    stated = sorted(module)
    if {text for keyword, text in stated if keyword == "ContrastBolusAgentAdministered"} == {"NO"}:
        return Heard(denied=True)
    answers = [(keyword, _element(text)) for keyword, text in stated]
    sign = next((keyword for keyword, answer in answers if answer), "")
    return Heard(sign, denied=not sign and any(answer is False for _, answer in answers))


def in_names(made: Acquisition, study: Study = ALONE) -> Heard:
    """What the series' names say; the sign is the name and its word."""
    own = hear(made.series_description)
    if not own.nothing:
        return Heard(own.sign and f"series description with {own.sign!r}", own.denied)
    if study.says_nothing(made.protocol_name, described=bool(made.series_description.strip())):
        return Heard()
    protocol = hear(made.protocol_name)
    return Heard(protocol.sign and f"protocol name with {protocol.sign!r}", protocol.denied)


def hear(name: str) -> Heard:
    """What one name says of a contrast agent; the sign is the word.

    >>> hear("T1 GAD W/O FS"), hear("T1 vor KM"), hear("T1 MPRAGE")
    (Heard(sign='gad', denied=False), Heard(sign='', denied=True), Heard(sign='', denied=False))
    """
    text = NOT_AGENT.sub("-", said(name))
    both = BOTH.search(text)
    if both:
        return Heard(both.group().strip().replace("plusc", "+c"))
    rest, negations = NEGATED.subn(" - ", text)
    found = GIVEN.search(rest)
    return Heard(found.group().replace("plusc", "+c") if found else "", bool(negations or NEGATED_ALONE.search(rest)))


def _element(text: str) -> bool | None:
    """Whether the value of an element tells of an agent; None where it says nothing."""
    number = re.fullmatch(r"\s*([\d.]+)\s*(ml|cc|mmol|mg|g)?\s*", text, re.IGNORECASE)
    if number:
        return float(number[1]) > 0 if number[1].count(".") < 2 and number[1] != "." else None
    spelled = said(text)
    if not A_WORD.search(spelled) or SAYS_NOTHING.fullmatch(spelled):
        return None
    heard = hear(text)
    return not (SAYS_NO.fullmatch(spelled) or (heard.denied and not heard.sign))
