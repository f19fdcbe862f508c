"""Audit messages (PS3.15 A.5): what happened as a value, and its XML by the schema of A.5.1. No network here.

Patients are not named: A.5.3 asks for a patient beside each study, and here its ID is the word "withheld". Study
Instance UIDs, SOP Class UIDs and numbers of instances are in; they are pseudonyms, which lead to a person in the PACS.
"""

import base64
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import NamedTuple

WITHHELD = "withheld"
SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = 0, 4, 8
APPLICATION_SERVER = "4"
LONGEST_TEXT = 256


class Code(NamedTuple):
    """A coded value of PS3.16 annex D, or of RFC 3881 where the standard takes that one."""

    value: str
    meaning: str
    scheme: str = "DCM"


ACTIVITY = Code("110100", "Application Activity")
START, STOP = Code("110120", "Application Start"), Code("110121", "Application Stop")
BEGIN_TRANSFERRING = Code("110102", "Begin Transferring DICOM Instances")
ACCESSED = Code("110103", "DICOM Instances Accessed")
TRANSFERRED = Code("110104", "DICOM Instances Transferred")
EXPORT = Code("110106", "Export")
STUDY_DELETED = Code("110105", "DICOM Study Deleted")
USER_AUTHENTICATION = Code("110114", "User Authentication")
LOGIN, LOGOUT = Code("110122", "Login"), Code("110123", "Logout")
SECURITY_ALERT = Code("110113", "Security Alert")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")
SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")
APPLICATION = Code("110150", "Application")
DESTINATION, SOURCE = Code("110152", "Destination Role ID"), Code("110153", "Source Role ID")
STUDY_UID, NODE_ID = Code("110180", "Study Instance UID"), Code("110182", "Node ID")
PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
URI = Code("12", "URI", "RFC-3881")


@dataclass(frozen=True)
class Participant:
    """Who took part: an application entity, a process, or a user of the command line."""

    user_id: str
    is_requestor: bool = False
    role: Code | None = None
    host: str = ""


@dataclass(frozen=True)
class Thing:
    """What it was about: a study, a patient who is not named, a node, a setting."""

    identifier: str
    kind: Code
    name: str
    type_code: str = "2"  # a system object
    role: str = ""
    details: tuple[tuple[str, str], ...] = ()
    instances: tuple[tuple[str, int], ...] = ()  # SOP Class UID, and how many


@dataclass(frozen=True)
class AuditEvent:
    """One thing that happened."""

    event: Code
    action: str  # C, R, U, D or E
    participants: tuple[Participant, ...]
    things: tuple[Thing, ...] = ()
    type_code: Code | None = None
    outcome: int = SUCCESS
    description: str = ""


def activity(us: str, process: str, type_code: Code) -> AuditEvent:
    """A process of the node begins or ends (A.5.3.1)."""
    node = Participant(us, role=APPLICATION)
    return AuditEvent(ACTIVITY, "E", (node, Participant(process, is_requestor=True)), type_code=type_code)


def association_refused(us: str, calling: str, host: str, reason: str) -> AuditEvent:
    """A peer was not let in (A.5.3.11)."""
    peer = Participant(calling or "unknown", is_requestor=True, host=host)
    place = Thing(host or "unknown", NODE_ID, calling or "unknown", details=(("Alert Description", reason),))
    return AuditEvent(
        SECURITY_ALERT, "E", (Participant(us), peer), (place,), NODE_AUTHENTICATION, MINOR_FAILURE, reason
    )


def configuration_changed(us: str, before: str, after: str) -> AuditEvent:
    """The settings are others than at the last start; they are told by their SHA-256 (A.5.3.11)."""
    details = (("Alert Description", "the configuration changed"), ("before", before), ("after", after))
    settings = Thing("config.yaml", URI, "settings", role="13", details=details)
    return AuditEvent(SECURITY_ALERT, "E", (Participant(us, is_requestor=True),), (settings,), SOFTWARE_CONFIGURATION)


def bundle_commissioned(us: str, operator: str, bundle: str, report: Mapping[str, str]) -> AuditEvent:
    """A bundle was held against a site's labels (A.5.3.11); `report`: where it is, its hash, its signature, the key."""
    what = "a bundle was commissioned"
    details = (("Alert Description", what), ("bundle", bundle), *report.items())
    people = (Participant(us), Participant(operator, is_requestor=True))
    thing = Thing(bundle, URI, "commissioning report", role="13", details=details)
    return AuditEvent(SECURITY_ALERT, "E", people, (thing,), SOFTWARE_CONFIGURATION, description=what)


def bundle_promoted(us: str, operator: str, before: str, after: str, why: str) -> AuditEvent:
    """Another bundle is in charge (A.5.3.11); bundles are told by their SHA-256."""
    what = "another bundle is in charge"
    details = (("Alert Description", what), ("before", before), ("after", after), ("reason", why))
    people = (Participant(us), Participant(operator, is_requestor=True))
    thing = Thing(after, URI, "bundle", role="13", details=details)
    return AuditEvent(SECURITY_ALERT, "E", people, (thing,), SOFTWARE_CONFIGURATION, description=what)


def user_authentication(us: str, user: str, host: str, type_code: Code, outcome: int) -> AuditEvent:
    """Somebody logged in to the pages or out, or tried to (A.5.3.12)."""
    people = (Participant(user or "unknown", is_requestor=True, host=host), Participant(us, role=APPLICATION))
    return AuditEvent(USER_AUTHENTICATION, "E", people, type_code=type_code, outcome=outcome)


def received(us: str, calling: str, host: str, study: str, instances: Mapping[str, int]) -> AuditEvent:
    """A peer stored instances of a study over one association (A.5.3.7)."""
    sender = Participant(calling, is_requestor=True, role=SOURCE, host=host)
    return AuditEvent(TRANSFERRED, "C", (sender, Participant(us, role=DESTINATION)), _study(study, instances))


def sending_begins(us: str, peer: str, host: str, study: str, instances: Mapping[str, int]) -> AuditEvent:
    """Results of a study are about to go to a destination (A.5.3.3)."""
    return AuditEvent(BEGIN_TRANSFERRING, "E", _from_us_to(us, peer, host), _study(study, instances))


def sent(
    us: str, peer: str, host: str, study: str, instances: Mapping[str, int], *, complete: bool = True
) -> AuditEvent:
    """A destination acknowledged results of a study; not `complete` when it did not take all that were to go."""
    return AuditEvent(
        TRANSFERRED,
        "R",
        _from_us_to(us, peer, host),
        _study(study, instances),
        outcome=SUCCESS if complete else MINOR_FAILURE,
        description="" if complete else "not all results were acknowledged",
    )


def exported(sender: str, receiver: str, host: str, study: str, *, complete: bool = True) -> AuditEvent:
    """An information system was told of a study by HL7 v2: its result left the DICOM world (A.5.3.4).

    Both are named as IHE does, facility and application of the message header with a bar between them.
    """
    return AuditEvent(
        EXPORT,
        "R",
        _from_us_to(sender, receiver, host),
        _study(study, {}),
        outcome=SUCCESS if complete else MINOR_FAILURE,
        description="HL7 v2 ORU^R01" if complete else "HL7 v2 ORU^R01: not acknowledged",
    )


def study_deleted(us: str, study: str) -> AuditEvent:
    """Retention deleted the received instances of a study (A.5.3.5)."""
    return AuditEvent(STUDY_DELETED, "D", (Participant(us, is_requestor=True),), _study(study, {}))


def withdrawn(us: str, operator: str, study: str) -> AuditEvent:
    """An operator took an answer back, or kept it from being sent (A.5.3.6)."""
    people = (Participant(operator, is_requestor=True), Participant(us, role=APPLICATION))
    return AuditEvent(ACCESSED, "D", people, _study(study, {}))


def operated(us: str, operator: str, study: str, what: str) -> AuditEvent:
    """An operator did something with a study that changes no instance: tried again, made urgent, read (A.5.3.6)."""
    people = (Participant(operator, is_requestor=True), Participant(us, role=APPLICATION))
    return AuditEvent(ACCESSED, "U", people, _study(study, {}), description=what)


def held_up(us: str, operator: str, what: str, reason: str) -> AuditEvent:
    """An operator held up a part of the node, or let it go on (A.5.3.11)."""
    details = (("Alert Description", what), ("reason", reason))
    people = (Participant(us), Participant(operator, is_requestor=True))
    node = Thing(us, NODE_ID, us, details=details)
    return AuditEvent(SECURITY_ALERT, "E", people, (node,), SOFTWARE_CONFIGURATION, description=what)


def encode(event: AuditEvent, source_id: str, at: datetime) -> bytes:
    """The AuditMessage of A.5.1 as UTF-8 in one line, without byte order mark."""
    root = ET.Element("AuditMessage")
    identification = ET.SubElement(
        root,
        "EventIdentification",
        EventActionCode=event.action,
        EventDateTime=at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        EventOutcomeIndicator=str(event.outcome),
    )
    _coded(identification, "EventID", event.event)
    if event.type_code:
        _coded(identification, "EventTypeCode", event.type_code)
    if event.description:
        ET.SubElement(identification, "EventOutcomeDescription").text = clean(event.description)
    for each in event.participants:
        _participant(root, each)
    source = ET.SubElement(root, "AuditSourceIdentification", AuditSourceID=clean(source_id))
    ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    for thing in event.things:
        _thing(root, thing)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text.replace(b"\n", b"")


def clean(text: str) -> str:
    """What a peer may have chosen, as one short line that XML can hold.

    >>> clean("PA\\0CS" + chr(10))
    'PA?CS?'
    """
    return "".join(each if each.isprintable() else "?" for each in text[:LONGEST_TEXT])


def _from_us_to(us: str, peer: str, host: str) -> tuple[Participant, Participant]:
    return Participant(us, is_requestor=True, role=SOURCE), Participant(peer, role=DESTINATION, host=host)


def _study(study: str, instances: Mapping[str, int]) -> tuple[Thing, ...]:
    """The study, and its patient, who is not named."""
    counted = tuple(sorted(instances.items()))
    patient = Thing(WITHHELD, PATIENT_NUMBER, WITHHELD, type_code="1", role="1")
    return Thing(study, STUDY_UID, "study", role="3", instances=counted), patient


def _coded(parent: ET.Element, name: str, code: Code) -> None:
    named = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    ET.SubElement(parent, name, named)


def _participant(root: ET.Element, who: Participant) -> None:
    attributes = {"UserID": clean(who.user_id), "UserIsRequestor": str(who.is_requestor).lower()}
    if who.host:
        attributes |= {"NetworkAccessPointID": clean(who.host), "NetworkAccessPointTypeCode": _kind_of(who.host)}
    found = ET.SubElement(root, "ActiveParticipant", attributes)
    if who.role:
        _coded(found, "RoleIDCode", who.role)


def _kind_of(host: str) -> str:
    """1 is a name, 2 an address."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return "1"
    return "2"


def _thing(root: ET.Element, thing: Thing) -> None:
    attributes = {"ParticipantObjectID": clean(thing.identifier), "ParticipantObjectTypeCode": thing.type_code}
    if thing.role:
        attributes["ParticipantObjectTypeCodeRole"] = thing.role
    found = ET.SubElement(root, "ParticipantObjectIdentification", attributes)
    _coded(found, "ParticipantObjectIDTypeCode", thing.kind)
    ET.SubElement(found, "ParticipantObjectName").text = clean(thing.name)
    for name, value in thing.details:
        ET.SubElement(found, "ParticipantObjectDetail", type=name, value=_base64(value))
    _classes(found, thing.instances)


def _classes(parent: ET.Element, instances: Iterable[tuple[str, int]]) -> None:
    counted = list(instances)
    if not counted:
        return
    description = ET.SubElement(parent, "ParticipantObjectDescription")
    for uid, number in counted:
        ET.SubElement(description, "SOPClass", UID=uid, NumberOfInstances=str(number))


def _base64(text: str) -> str:
    return base64.b64encode(clean(text).encode()).decode()
