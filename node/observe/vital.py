"""Whether the node does its work, for `neurossl health`: quick, and asks nobody but its own listener.

A process that gives signs of life may still do nothing. So the office says which of its acts and couriers are late, the
listener whether it could write a file and a row just now, and here it is asked by C-ECHO whether it answers.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from node.process.heartbeat import STALE_S, Pulse, pulses

if TYPE_CHECKING:
    from node.config import Settings

ECHO_WITHIN_S = 5.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what an unspecified address is called by


def of_node(settings: "Settings") -> tuple[list[Pulse], list[str]]:
    """The signs of life of every process that was not stopped, and what is wrong, one line each."""
    signs = [sign for sign in pulses(settings.data_folder / "locks") if sign.state != "stopped"]
    troubles = [line for sign in signs for line in _troubles(sign, settings)]
    return signs, troubles or ([] if signs else ["nothing runs"])


def remarks(signs: Iterable[Pulse]) -> list[str]:
    """What is not as it should be and stops no work, one line each: a channel that cannot be told."""
    channels = (item for sign in signs if sign.beats for item in sign.facts.get("channels", {}).items())
    return [f"channel {name} is not told: {trouble}" for name, trouble in channels if trouble]


def _troubles(sign: Pulse, settings: "Settings") -> Iterator[str]:
    if not sign.beats:
        yield f"{sign.role}: no sign of life for more than {STALE_S:g} s"
        return
    for name in sign.facts.get("late", ()):
        yield f"{sign.role}: {name} is late"
    if storing := sign.facts.get("storing", ""):
        yield f"{sign.role}: nothing can be stored: {storing}"
    if "port" in sign.facts and sign.state == "ready":
        yield from _echo(int(sign.facts["port"]), settings)


def _echo(port: int, settings: "Settings") -> Iterator[str]:
    from node.dimse import scu  # not before something listens
    from node.dimse.scu import Peer

    listener = settings.listener
    host = ANYWHERE.get(listener.host, listener.host)
    outcome = scu.echo(Peer(listener.ae_title, host, port, listener.ae_title, listener.tls), ECHO_WITHIN_S)
    if not outcome.answered and not outcome.answers_otherwise:
        yield f"listener: does not answer C-ECHO: {outcome.text}"
