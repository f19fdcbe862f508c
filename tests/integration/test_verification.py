"""Whether a destination answers C-ECHO: asked beside what is sent, and what came of it is kept."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from node.config import Destination, Settings
from node.deliver.verification import Verification
from node.observe import peers
from storage import Database, switches
from storage.records import SwitchName
from tests import stored
from tests.certificates import site
from tests.destination import destination


def settings(db: Database, port: int, **values: object) -> Settings:
    pacs = Destination.model_validate({"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, **values})
    return Settings(data_folder=stored.folder(db).root, destinations=(pacs,))


def asking(db: Database, configured: Settings) -> Verification:
    return Verification(configured.destinations[0], configured, db)


def told(db: Database, configured: Settings) -> peers.Echo:
    (found,) = peers.of_peers(configured, stored.folder(db), db, datetime.now(UTC)).receivers
    return found.echo


def test_a_destination_that_answers_is_there_and_one_that_has_gone_is_down(db: Database) -> None:
    with destination() as pacs:
        configured = settings(db, pacs.port)
        echo = asking(db, configured)
        assert echo.is_down is None
        echo.ask()
        assert (echo.trouble, echo.is_down, pacs.associations) == ("", False, 1)
    found = told(db, configured)
    assert found.is_answered
    assert found.took_s is not None
    echo.ask()
    assert "Connection refused" in echo.trouble
    assert echo.is_down
    assert told(db, configured).is_answered is False
    assert told(db, configured).answered_at == found.answered_at


def test_nobody_is_asked_while_an_operator_holds_up_the_sending(db: Database, free_port: Callable[[], int]) -> None:
    echo = asking(db, configured := settings(db, free_port()))
    switches.turn_on(db, SwitchName.SENDING, "anna", "the PACS is moved", datetime.now(UTC))
    echo.ask()
    assert (echo.is_down, told(db, configured)) == (None, peers.Echo())


def test_who_answers_otherwise_is_in_trouble_and_not_down(db: Database, tmp_path: Path) -> None:
    node, _ = site(tmp_path)
    with destination() as pacs:  # which speaks no TLS
        echo = asking(db, settings(db, pacs.port, tls=node))
        echo.ask()
    assert echo.trouble
    assert echo.is_down is False
