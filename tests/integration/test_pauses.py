"""What senders hear while an operator holds up the intake, or drains the node; and that both end as they began."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from node.config import AllowedPeer, Listener
from node.dimse.acceptor import Acceptor
from node.dimse.admission import Admission
from node.dimse.scp import Server
from node.service.valve import Valve
from storage import Database, switches
from storage.errors import DatabaseBusy
from storage.records import SwitchName
from tests import factories, wire
from tests.stored import NOW


@contextmanager
def listening(db: Database) -> Iterator[tuple[int, Valve]]:
    """A listener whose valve looks when it is told to; what comes is dropped with success."""
    settings = Listener(port=0, allow=(AllowedPeer(ae_title="TESTER"),))
    admission = Admission(settings)
    valve = Valve(db, admission)
    with Server(settings, Acceptor(settings, admission, partial(valve.through, wire.take), None)) as server:
        yield server.port, valve


def test_an_instance_is_refused_for_now_while_the_intake_is_held_up_and_echo_still_works(db: Database) -> None:
    (dataset,) = factories.mr_series(slices=1)
    with listening(db) as (port, valve), wire.Peer(port) as peer:
        peer.associate()
        assert peer.store(dataset) == 0
        switches.turn_on(db, SwitchName.INTAKE, "anna", "full", NOW)
        valve.look()
        assert (peer.store(dataset), peer.store(dataset), peer.echo()) == (0xA700, 0xA700, 0)
        switches.turn_off(db, SwitchName.INTAKE, "anna", NOW)
        valve.look()
        assert peer.store(dataset) == 0


def test_nobody_new_comes_in_while_the_node_is_drained_but_itself(db: Database) -> None:
    with listening(db) as (port, valve):
        switches.turn_on(db, SwitchName.DRAIN, "anna", "an update", NOW)
        valve.look()
        with wire.Peer(port) as peer:
            assert peer.rejection() == (2, 3, 1)
        with wire.Peer(port) as itself:
            itself.associate(calling="NEUROSSL", contexts=wire.STANDARD[:1])
            assert itself.echo() == 0
        switches.turn_off(db, SwitchName.DRAIN, "anna", NOW)
        valve.look()
        with wire.Peer(port) as peer:
            peer.associate()
            assert peer.echo() == 0


def test_a_database_that_cannot_be_asked_changes_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> None:
        raise DatabaseBusy("held by another process")

    switches.turn_on(db, SwitchName.INTAKE, "anna", "full", NOW)
    with listening(db) as (_, valve):
        valve.look()
        switches.turn_off(db, SwitchName.INTAKE, "anna", NOW)
        monkeypatch.setattr(db, "reading", busy)
        valve.look()
        assert valve.is_shut
