"""The certificates of the settings: one list of all of them, until when each serves, and whether they can be used."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node import certificates
from node.config import Settings, Tls
from node.observe.encryption import of_certificates, of_tls
from tests.certificates import site

NOW = datetime(2026, 3, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tls, Tls]:
    return site(tmp_path_factory.mktemp("site"))


def settings(node: Tls) -> Settings:
    """TLS wherever the settings have it."""
    tls = node.model_dump()
    address = {"host": "127.0.0.1", "port": 1, "tls": tls}
    mail = {"name": "mail", "kind": "email", "host": "h", "sender": "a@b", "recipients": ["c@d"]}
    return Settings.model_validate(
        {
            "listener": {"tls": tls},
            "archive": {"ae_title": "PACS", **address},
            "destinations": [{"name": "pacs", "ae_title": "PACS", **address}],
            "hl7": [{"name": "ris", **address}],
            "audit": {"transport": "tls", "host": "h", "tls": tls},
            "web": {"tls": {"certificate": str(node.certificate), "key": str(node.key)}},
            "notifications": {"channels": [{**mail, "authorities": str(node.authorities)}]},
        }
    )


def test_every_certificate_of_the_settings_is_there_with_the_end_that_openssl_says(made: tuple[Tls, Tls]) -> None:
    now = datetime.now(UTC)
    found = {each.key: each for each in certificates.of_settings(settings(made[0]), now)}
    both = ("listener.tls", "archive.tls", "audit.tls", "destinations.pacs.tls", "hl7.ris.tls")
    pairs = {f"{key}.{file}" for key in both for file in ("certificate", "authorities")}
    assert set(found) == pairs | {"web.tls.certificate", "notifications.channels.mail.authorities"}
    command = ["openssl", "x509", "-in", made[0].certificate, "-noout", "-enddate", "-dateopt", "iso_8601"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    own = found["hl7.ris.tls.certificate"]
    assert own.not_after is not None
    assert told.strip() == f"notAfter={own.not_after:%Y-%m-%d %H:%M:%S}Z"
    assert own.days_left == pytest.approx((own.not_after - now).total_seconds() / 86400)


def test_a_file_that_is_no_certificate_says_so(made: tuple[Tls, Tls], tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    tls = made[0].model_copy(update={"certificate": broken, "authorities": tmp_path / "none.pem"})
    listener = Settings.model_validate({"listener": {"tls": tls.model_dump()}})
    found = certificates.of_settings(listener, NOW)
    assert [(each.not_after, each.trouble[:14]) for each in found] == [(None, "cannot be read")] * 2
    assert [fact.level for fact in (*of_tls(listener), *of_certificates(listener))] == ["trouble"] * 3


def test_of_a_chain_the_first_to_end_counts_and_of_authorities_one_that_still_holds(
    made: tuple[Tls, Tls], tmp_path: Path
) -> None:
    short, _ = site(tmp_path)
    day = ["openssl", "x509", "-in", short.authorities, "-signkey", short.authorities.with_suffix(".key"), "-days", "1"]
    brief = subprocess.run(day, capture_output=True, text=True, check=True).stdout
    both = tmp_path / "both.pem"
    both.write_text(made[0].certificate.read_text() + brief)
    tls = made[0].model_copy(update={"certificate": both, "authorities": both})
    listener = Settings.model_validate({"listener": {"tls": tls.model_dump()}})

    def days_left(now: datetime) -> list[int]:
        return [round(each.days_left or 0) for each in certificates.of_settings(listener, now)]

    assert days_left(datetime.now(UTC)) == [1, 1]
    assert days_left(datetime.now(UTC) + timedelta(days=2)) == [-1, 363]


def test_a_check_tries_the_files_of_the_pages_as_they_will_be_used(made: tuple[Tls, Tls]) -> None:
    (node, peer), whole = made, settings(made[0])
    assert {fact.text.partition(":")[0] for fact in of_tls(whole)} >= {"web.tls", "hl7.ris.tls", "archive.tls"}
    assert {fact.level for fact in (*of_tls(whole), *of_certificates(whole))} == {"ok"}
    for tls, words in (
        ({"certificate": str(node.certificate), "key": str(peer.key)}, "does not fit its key"),
        ({"certificate": str(node.certificate), "key": "/nowhere.key"}, "web.tls.key: /nowhere.key: cannot be read"),
    ):
        (fact,) = of_tls(Settings.model_validate({"web": {"tls": tls}}))
        assert fact.level == "trouble"
        assert words in fact.text


@pytest.mark.parametrize(("days", "level"), [(1, "ok"), (400, "warning")])
def test_a_certificate_that_ends_soon_is_a_warning(made: tuple[Tls, Tls], days: int, level: str) -> None:
    soon = settings(made[0])
    soon = soon.model_copy(update={"notifications": soon.notifications.model_copy(update={"certificate_days": days})})
    assert {fact.level for fact in of_certificates(soon)} == {level}


def test_a_certificate_that_has_ended_is_trouble(made: tuple[Tls, Tls], monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=400)

    monkeypatch.setattr("node.observe.encryption.datetime", Later)
    facts = list(of_certificates(settings(made[0])))
    assert {fact.level for fact in facts} == {"trouble"}
    assert "listener.tls.certificate: ended on 20" in facts[0].text
