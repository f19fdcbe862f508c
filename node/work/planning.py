"""Pure: who gets which of the results of an answer."""

from collections.abc import Iterator

from node.config import Settings
from node.work.messages import Analysed
from storage.outbox import NewDelivery
from storage.records import Proof
from storage.states import AnswerKind


def deliveries(analysed: Analysed, settings: Settings) -> list[NewDelivery]:
    """By DICOM as each result says; by HL7 one report, from which the message is made when it is sent."""
    return [*_by_dicom(analysed, settings), *_by_hl7(analysed, settings)]


def _by_dicom(analysed: Analysed, settings: Settings) -> Iterator[NewDelivery]:
    for each in analysed.results:
        for name in each.destinations:
            found = settings.destination(name)
            yield NewDelivery(each.result.sop_instance_uid, name, Proof(found.proof) if found else Proof.NONE)


def _by_hl7(analysed: Analysed, settings: Settings) -> Iterator[NewDelivery]:
    report = next((each.result for each in analysed.results if each.result.kind.startswith("sr_")), None)
    if report is None:
        return
    for receiver in settings.hl7:
        if receiver.skipped or analysed.answer.kind is AnswerKind.RESULT:
            yield NewDelivery(report.sop_instance_uid, receiver.name)
