"""Who may open an association, and how many."""

import pytest

from node.config import AllowedPeer, Listener
from node.dimse.admission import Admission, Unresolved, is_allowed, resolve
from node.dimse.negotiation import AssociationRequest
from node.dimse.status import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    TEMPORARY_CONGESTION,
)

PACS = AllowedPeer(ae_title="PACS")


def request(calling: str = "PACS", called: str = "NEUROSSL", **rest: object) -> AssociationRequest:
    return AssociationRequest(calling, called, (), **rest)  # type: ignore[arg-type]


def test_an_empty_list_is_nobody() -> None:
    assert Admission(Listener()).enter(request(), "127.0.0.1") == CALLING_AE_NOT_RECOGNIZED


def test_who_is_named_may_come_in_and_who_is_not_may_not() -> None:
    admission = Admission(Listener(allow=(PACS,)))
    assert admission.enter(request(), "10.0.0.1") is None
    assert admission.enter(request("pacs"), "10.0.0.1") == CALLING_AE_NOT_RECOGNIZED
    assert admission.inside == 1


def test_the_senders_are_those_with_an_association_open_each_named_once() -> None:
    admission = Admission(Listener(allow=(PACS, AllowedPeer(ae_title="CT"))))
    assert admission.senders == []
    for calling, host in (("PACS", "10.0.0.1"), ("CT", "10.0.0.2"), ("PACS", "10.0.0.3"), ("STRANGER", "10.0.0.4")):
        admission.enter(request(calling), host)
    assert admission.senders == ["CT", "PACS"]
    admission.leave(request("CT"), "10.0.0.2")
    admission.leave(request("PACS"), "10.0.0.3")
    assert admission.senders == ["PACS"]


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.8", False),
        ("10.0.0.7", "::ffff:10.0.0.7", True),
        ("10.1.0.0/16", "10.1.200.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("::1", "::1", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("localhost", "127.0.0.1", True),
        ("localhost", "10.0.0.1", False),
        ("no.such.host.invalid", "10.0.0.1", False),
        ("", "10.0.0.1", False),
    ],
)
def test_where_a_host_is_named_the_address_counts_too(host: str, address: str, allowed: bool) -> None:
    assert is_allowed((AllowedPeer(ae_title="PACS", host=host),), "PACS", address) is allowed


def test_the_called_title_must_be_ours_unless_the_settings_do_not_care() -> None:
    assert Admission(Listener(allow=(PACS,))).enter(request(called="OTHER"), "h") == CALLED_AE_NOT_RECOGNIZED
    careless = Admission(Listener(allow=(PACS,), check_called_ae_title=False))
    assert careless.enter(request(called="OTHER"), "h") is None


def test_another_protocol_or_application_is_not_ours() -> None:
    admission = Admission(Listener(allow=(PACS,)))
    assert admission.enter(request(protocol_version=2), "h") == PROTOCOL_VERSION_NOT_SUPPORTED
    assert admission.enter(request(application_context="1.2.3"), "h") == APPLICATION_CONTEXT_NOT_SUPPORTED


def test_one_sender_cannot_take_every_place() -> None:
    other = AllowedPeer(ae_title="OTHER")
    admission = Admission(Listener(allow=(PACS, other), maximum_associations=5, maximum_associations_per_peer=3))
    assert [admission.enter(request(), "h") for _ in range(4)] == [None, None, None, LOCAL_LIMIT_EXCEEDED]
    assert [admission.enter(request("OTHER"), "h") for _ in range(3)] == [None, None, LOCAL_LIMIT_EXCEEDED]
    admission.leave(request(), "h")
    assert admission.enter(request("OTHER"), "h") is None


def test_a_stranger_hears_that_he_is_one_however_full_it_is() -> None:
    admission = Admission(Listener(allow=(PACS,), maximum_associations=1))
    admission.enter(request(), "h")
    assert admission.enter(request("STRANGER"), "h") == CALLING_AE_NOT_RECOGNIZED
    assert admission.enter(request(), "h") == LOCAL_LIMIT_EXCEEDED


def test_once_closed_nobody_comes_in() -> None:
    admission = Admission(Listener(allow=(PACS,)))
    admission.close()
    assert admission.enter(request(), "h") == TEMPORARY_CONGESTION


def test_a_sender_whose_name_does_not_resolve_now_is_to_ask_again() -> None:
    allow = (AllowedPeer(ae_title="PACS", host="no.such.host.invalid"),)
    assert Admission(Listener(allow=allow)).enter(request(), "10.0.0.1") == TEMPORARY_CONGESTION
    assert Admission(Listener(allow=allow)).enter(request("OTHER"), "10.0.0.1") == CALLING_AE_NOT_RECOGNIZED
    assert Admission(Listener(allow=(*allow, PACS))).enter(request(), "10.0.0.1") is None


def test_a_name_is_asked_for_again_once_it_did_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[object]:
        if not found:
            raise OSError("no name server")
        return found

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    allow = (AllowedPeer(ae_title="PACS", host="pacs.hospital.example"),)
    assert Admission(Listener(allow=allow)).enter(request(), "10.0.0.1") == TEMPORARY_CONGESTION
    found.append((2, 1, 6, "", ("10.0.0.1", 0)))
    assert Admission(Listener(allow=allow)).enter(request(), "10.0.0.1") is None


@pytest.mark.parametrize("host", ["10.1.2.300", "10.1.0.0/40", "pacs host", "pacs;x", "-pacs", "", "1.2.3", "a..b"])
def test_a_host_that_can_never_be_one_is_told_from_one_that_does_not_resolve_now(host: str) -> None:
    with pytest.raises(Unresolved, match="no address, no network and no host name") as refused:
        resolve(host)
    assert not refused.value.for_now
    allow = (AllowedPeer(ae_title="PACS", host=host),)
    assert Admission(Listener(allow=allow)).enter(request(), "10.0.0.1") == CALLING_AE_NOT_RECOGNIZED
