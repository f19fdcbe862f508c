"""What the other series of a study say about one: names that all of them share, and when a contrast agent was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.dicom.acquisition import Acquisition
from node.dicom.clock import Moment
from node.series import words
from node.series.spelling import pattern, said

SEQUENCE = pattern(words.SEQUENCE)


@dataclass(frozen=True)
class Study:
    """The company of a series.

    shared        Protocol Names that every MR series of the study has, though they are different acquisitions
    protocols     how many different Protocol Names there are
    agent_since   when the first series with signs of a contrast agent began, or its injection; None without one
    agent_series  how that series is called
    agent_expected  the name of the examination tells of a contrast agent
    """

    shared: frozenset[str] = frozenset()
    protocols: int = 0
    agent_since: Moment | None = None
    agent_series: str = ""
    agent_expected: bool = False

    def says_nothing(self, protocol_name: str, *, described: bool) -> bool:
        """Whether a Protocol Name is that of the whole examination, and so tells nothing about one series."""
        if protocol_name in self.shared:
            return True
        names_a_series = bool(SEQUENCE.search(said(protocol_name)))
        return described and not names_a_series and self.protocols < 2

    def told(self, made: Acquisition) -> str:
        """What the series' own names say, in the one spelling of node/series/spelling.py."""
        protocol = "" if made.protocol_name in self.shared else made.protocol_name
        return said(made.series_description, protocol)

    def after_agent(self, acquired: Moment | None) -> str:
        """In words, where the series was acquired after one with a contrast agent; else ""."""
        if self.agent_since is None or acquired is None or acquired <= self.agent_since:
            return ""
        return f"it was acquired after {self.agent_series}, which tells of a contrast agent"


ALONE = Study()


def shared_names(acquisitions: Sequence[Acquisition]) -> frozenset[str]:
    """The one Protocol Name of all these acquisitions, of which at least two are of different kinds; else nothing."""
    names = {made.protocol_name for made in acquisitions}
    kinds = {(made.tr, made.te, made.ti, made.flip, made.spin) for made in acquisitions}
    return frozenset(names) if len(names) == 1 and len(kinds) > 1 else frozenset()
