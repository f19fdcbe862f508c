"""Who receives an audit trail, on loopback, and the rules of PS3.15 A.5 that a message must keep."""

import re
import socket
import ssl
import threading
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime

SYSLOG = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<at>\S+) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) "
    rb"(?P<id>[!-~]{1,32}) - \xef\xbb\xbf(?P<body>.*)",
    re.DOTALL,
)  # RFC 5424 6: version 1, no structured data, a message in UTF-8

UID = r"[0-2](\.(0|[1-9]\d*))+"
TOKEN, ANY = r"\S(.*\S)?", r".*"
CODED = {"csd-code": TOKEN, "codeSystemName": TOKEN, "originalText": TOKEN}

# The schema of A.5.1.1: for each element its attributes (with "?" when they may be missing) and its children in
# their order, with how often each may stand there.
SCHEMA: dict[str, tuple[dict[str, str], list[tuple[str, str]]]] = {
    "AuditMessage": (
        {},
        [
            ("EventIdentification", "1"),
            ("ActiveParticipant", "+"),
            ("AuditSourceIdentification", "1"),
            ("ParticipantObjectIdentification", "*"),
        ],
    ),
    "EventIdentification": (
        {
            "EventActionCode?": "[CRUDE]",
            "EventDateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
            "EventOutcomeIndicator": "0|4|8|12",
        },
        [("EventID", "1"), ("EventTypeCode", "*"), ("EventOutcomeDescription", "?")],
    ),
    "EventID": (CODED, []),
    "EventTypeCode": (CODED, []),
    "EventOutcomeDescription": ({}, []),
    "ActiveParticipant": (
        {
            "UserID": ANY,
            "AlternativeUserID?": ANY,
            "UserName?": ANY,
            "UserIsRequestor": "true|false",
            "NetworkAccessPointID?": TOKEN,
            "NetworkAccessPointTypeCode?": "[1-5]",
        },
        [("RoleIDCode", "*")],
    ),
    "RoleIDCode": (CODED, []),
    "AuditSourceIdentification": (
        {"AuditEnterpriseSiteID?": TOKEN, "AuditSourceID": TOKEN},
        [("AuditSourceTypeCode", "*")],
    ),
    "AuditSourceTypeCode": ({"csd-code": "[1-9]"}, []),
    "ParticipantObjectIdentification": (
        {
            "ParticipantObjectID": TOKEN,
            "ParticipantObjectTypeCode?": "[1-4]",
            "ParticipantObjectTypeCodeRole?": r"[1-9]|1\d|2[0-6]",
        },
        [
            ("ParticipantObjectIDTypeCode", "1"),
            ("ParticipantObjectName", "1"),
            ("ParticipantObjectDetail", "*"),
            ("ParticipantObjectDescription", "*"),
        ],
    ),
    "ParticipantObjectIDTypeCode": (CODED, []),
    "ParticipantObjectName": ({}, []),
    "ParticipantObjectDetail": ({"type": TOKEN, "value": r"[A-Za-z0-9+/]*={0,2}"}, []),
    "ParticipantObjectDescription": ({}, [("SOPClass", "*")]),
    "SOPClass": ({"UID?": UID, "NumberOfInstances": r"\d+"}, []),
}
STUDIES = {"110102", "110103", "110104", "110105"}  # events about studies: a study and a patient, A.5.3.3 to A.5.3.7


def violations(element: ET.Element) -> list[str]:
    """What of the schema the element, and what is in it, does not keep."""
    if element.tag not in SCHEMA:
        return [f"{element.tag}: is not in the schema"]
    attributes, children = SCHEMA[element.tag]
    found = [
        f"{element.tag}: {name.rstrip('?')}={element.get(name.rstrip('?'))!r}"
        for name, pattern in attributes.items()
        if not (name.endswith("?") and name[:-1] not in element.attrib)
        and not re.fullmatch(pattern, element.get(name.rstrip("?")) or "\0")
    ]
    found += [
        f"{element.tag}: {name} has no place" for name in element.attrib.keys() - {n.rstrip("?") for n in attributes}
    ]
    order = "".join(f"({name}!){'' if often == '1' else often}" for name, often in children)
    if not re.fullmatch(order, "".join(f"{each.tag}!" for each in element)):
        found.append(f"{element.tag}: holds {[each.tag for each in element]}")
    return found + [each for child in element for each in violations(child)]


def checked(body: bytes) -> ET.Element:
    """The message, which keeps the schema, and what A.5.3 asks of its event; fails otherwise."""
    root = ET.fromstring(body)  # noqa: S314 - our own
    assert violations(root) == []
    assert {each.get("UserIsRequestor") for each in root.iter("ActiveParticipant")} <= {"true", "false"}
    if event(root) in STUDIES:
        kinds = [
            (each.get("ParticipantObjectTypeCode"), each.get("ParticipantObjectTypeCodeRole"))
            for each in root.iter("ParticipantObjectIdentification")
        ]
        assert kinds == [("2", "3"), ("1", "1")]
    return root


def event(message: ET.Element) -> str:
    """The code of what happened."""
    found = message.find("EventIdentification/EventID")
    assert found is not None
    return found.get("csd-code", "")


def kind(message: ET.Element) -> str:
    """The code of what kind of that happened; "" where there is none."""
    found = message.find("EventIdentification/EventTypeCode")
    return "" if found is None else found.get("csd-code", "")


def user(message: ET.Element) -> str:
    """Who asked for it."""
    people = message.iter("ActiveParticipant")
    return next((each.get("UserID", "") for each in people if each.get("UserIsRequestor") == "true"), "")


def study(message: ET.Element) -> str:
    """Which study it is about."""
    found = message.find("ParticipantObjectIdentification")
    return "" if found is None else found.get("ParticipantObjectID", "")


def counts(message: ET.Element) -> dict[str, int]:
    """SOP Class UID -> how many instances."""
    return {each.get("UID", ""): int(each.get("NumberOfInstances", "")) for each in message.iter("SOPClass")}


def details(message: ET.Element) -> dict[str, str]:
    """What is said of the thing, in clear."""
    return {
        each.get("type", ""): b64decode(each.get("value", "")).decode()
        for each in message.iter("ParticipantObjectDetail")
    }


class Receiver:
    """What came, as it came."""

    def __init__(self, port: int) -> None:
        self.port, self.raw = port, list[bytes]()

    @property
    def messages(self) -> list[ET.Element]:
        """All so far, each held against RFC 5424 and the schema."""
        return [checked(parsed(each)["body"]) for each in list(self.raw)]

    def of(self, code: str) -> list[ET.Element]:
        """Those of one event."""
        return [each for each in self.messages if event(each) == code]


def parsed(raw: bytes) -> dict[str, bytes]:
    """The parts of a syslog message; fails when it is none."""
    found = SYSLOG.fullmatch(raw)
    assert found, raw[:200]
    datetime.fromisoformat(found["at"].decode())
    return found.groupdict()


@contextmanager
def udp_receiver() -> Iterator[Receiver]:
    """RFC 5426: a datagram is a message."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.2)
        receiver, stop = Receiver(sock.getsockname()[1]), threading.Event()

        def receive() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    receiver.raw.append(sock.recv(65536))

        thread = threading.Thread(target=receive)
        thread.start()
        yield receiver
        stop.set()
        thread.join()


@contextmanager
def stream_receiver(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Receiver]:
    """RFC 6587 3.4.1, and RFC 5425 with `tls`: octet counting."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.settimeout(0.2)
        receiver, stop, threads = Receiver(listening.getsockname()[1]), threading.Event(), list[threading.Thread]()

        def read(sock: socket.socket) -> None:
            with suppress(OSError), closing(sock):
                sock.settimeout(5)
                with closing(tls.wrap_socket(sock, server_side=True) if tls else sock) as talking:
                    talking.settimeout(0.2)
                    collect(talking)

        def collect(talking: socket.socket) -> None:
            buffer = b""
            while not stop.is_set():
                with suppress(TimeoutError):
                    piece = talking.recv(65536)
                    if not piece:
                        return
                    buffer = _messages(buffer + piece, receiver.raw)

        def accept() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    threads.append(threading.Thread(target=read, args=(listening.accept()[0],)))
                    threads[-1].start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield receiver
        stop.set()
        for each in (thread, *threads):
            each.join()


def _messages(buffer: bytes, found: list[bytes]) -> bytes:
    """Take whole messages out; what is left."""
    while (counted := re.match(rb"([1-9]\d*) ", buffer)) and len(buffer) >= counted.end() + int(counted[1]):
        end = counted.end() + int(counted[1])
        found.append(buffer[counted.end() : end])
        buffer = buffer[end:]
    return buffer
