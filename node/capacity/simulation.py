"""Studies that wait for their turn, in SimPy: first come, first served, at places with so many servers each."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray


@dataclass(frozen=True)
class Visit:
    """A wait until `at_s`, then for a server of `place`, `seconds` of work there, and visits while it is held."""

    place: str
    seconds: float
    at_s: float = 0.0
    within: tuple["Visit", ...] = ()


@dataclass
class Run:
    """What came of it.

    waits_s: of each study for servers, summed by place · ended_s (N,) · busy_s: work done, by place
    """

    servers: Mapping[str, int]
    waits_s: dict[str, NDArray[np.float64]]
    ended_s: NDArray[np.float64]
    busy_s: dict[str, float] = field(default_factory=dict)

    def use(self, place: str, seconds: float) -> float:
        """Share of the servers of a place that worked, over so many seconds."""
        return self.busy_s[place] / (self.servers[place] * seconds)


def simulate(servers: Mapping[str, int], studies: Sequence[Sequence[Visit]]) -> Run:
    """Let every study make its visits, one after the other."""
    environment = simpy.Environment()
    places = {name: simpy.Resource(environment, count) for name, count in servers.items()}
    count = len(studies)
    run = Run(servers, {name: np.zeros(count) for name in servers}, np.zeros(count), dict.fromkeys(servers, 0.0))

    def visit(number: int, each: Visit) -> Generator[simpy.Event, Any, None]:
        if each.at_s > environment.now:
            yield environment.timeout(each.at_s - environment.now)
        asked = environment.now
        with places[each.place].request() as turn:
            yield turn
            held = environment.now
            run.waits_s[each.place][number] += held - asked
            yield environment.timeout(each.seconds)
            for inner in each.within:
                yield from visit(number, inner)
            run.busy_s[each.place] += environment.now - held

    def study(number: int, visits: Sequence[Visit]) -> Generator[simpy.Event, Any, None]:
        for each in visits:
            yield from visit(number, each)
        run.ended_s[number] = environment.now

    for number, visits in enumerate(studies):
        environment.process(study(number, visits))
    environment.run()
    return run
