"""One association from the peer's request to its end, in one thread: who may, what is agreed, message by message.

States of PS3.8 9.2 for an acceptor: waiting for the request (ARTIM is `pdu_timeout_s`), established, ended by release,
by abort or by the peer's silence. Nothing that one peer does reaches another association.
"""

from collections import Counter
from collections.abc import Callable
from threading import Event
from time import monotonic

import structlog

from node.config import Listener
from node.dicom.received import Receipt, Received
from node.dimse import contexts
from node.dimse.admission import Admission, only_echo
from node.dimse.association import Association, Message, Released
from node.dimse.command import Command, Request
from node.dimse.commitment import CommitmentReport, read_report
from node.dimse.connection import Connection, abort_pdu, reject_pdu
from node.dimse.errors import Aborted, ConnectionLost, DeadlinePassed, ProtocolViolation
from node.dimse.negotiation import AssociationRequest, decode_request, encode_answer
from node.dimse.status import ABORTED_BY_USER, ANSWERS, Status
from node.dimse.witness import Witness
from node.errors import Unparsable, Unreachable
from node.logs import safe_text

log = structlog.get_logger(__name__)

TICK_S = 0.25  # how soon an idle association notices that the listener stops
LONGEST_REPORT_BYTES = 16 * 1024 * 1024


OnStore = Callable[[Received], Receipt]
OnCommitment = Callable[[CommitmentReport], None]


class Acceptor:
    """What all associations of a listener share."""

    def __init__(
        self, settings: Listener, admission: Admission, on_store: OnStore, on_commitment: OnCommitment | None
    ) -> None:
        self.settings = settings
        self.admission = admission
        self.witness = Witness()
        self.stopping = Event()
        self.on_store = on_store
        self.on_commitment = on_commitment
        self.storage = contexts.storage_classes(settings.accept)
        commitment = {contexts.STORAGE_COMMITMENT} if on_commitment else set()
        self.others = frozenset({contexts.VERIFICATION} | commitment)

    def serve(self, connection: Connection, host: str, admitted: Callable[[], None]) -> None:
        """Hold one association; `admitted` is called when it is let in."""
        request = self._request(connection, host)
        if request is None:
            return
        rejection = self.admission.enter(request, host)
        if rejection is not None:
            log.warning("association rejected", calling=request.calling_ae_title, host=host, reason=str(rejection))
            connection.close_after_last_word(reject_pdu(rejection))
            self.witness.refused(request.calling_ae_title, host, str(rejection))
            return
        admitted()
        try:
            association = self._accept(connection, request, host)
            _Conversation(self, association, request, host).hold()
        except (ConnectionLost, DeadlinePassed) as error:
            log.warning("no association", calling=request.calling_ae_title, host=host, reason=str(error))
        finally:
            self.admission.leave(request, host)
            self.witness.ended()

    def _request(self, connection: Connection, host: str) -> AssociationRequest | None:
        try:
            return decode_request(connection.receive(self.settings.pdu_timeout_s))
        except ProtocolViolation as violation:
            log.warning("no association", host=host, reason=str(violation))
            connection.close_after_last_word(abort_pdu(violation.abort))
        except (ConnectionLost, DeadlinePassed) as error:
            log.debug("no association", host=host, reason=str(error))  # a port scan, or a health probe
            connection.close()
        return None

    def _accept(self, connection: Connection, request: AssociationRequest, host: str) -> Association:
        storage, others = self.storage, self.others
        if only_echo(self.settings, request, host):
            storage, others = frozenset(), frozenset({contexts.VERIFICATION})
        answers = contexts.negotiate(request.contexts, storage, others)
        roles = contexts.negotiate_roles(request.roles, storage)
        connection.send(encode_answer(request, answers, roles), self.settings.pdu_timeout_s)
        return Association(
            connection,
            {each.context_id: each for each in answers if each.result == 0},
            request.maximum_pdu_bytes,
            self.settings.pdu_timeout_s,
            self.settings.maximum_instance_mib << 20,
        )


class _Conversation:
    """The messages of one association."""

    def __init__(self, acceptor: Acceptor, association: Association, request: AssociationRequest, host: str) -> None:
        self._acceptor = acceptor
        self._association = association
        self._calling_ae_title = request.calling_ae_title
        self._host = host
        self._stored: Counter[str] = Counter()
        self._log = log.bind(calling=request.calling_ae_title, host=host)
        asks_itself = only_echo(acceptor.settings, request, host)  # every half minute, and of no interest
        self._tell = self._log.debug if asks_itself else self._log.info
        self._witness = Witness() if asks_itself else acceptor.witness

    def hold(self) -> None:
        """Answer until it ends; what it came to is one line in the log."""
        started = monotonic()
        self._witness.accepted(self._calling_ae_title, self._host)
        self._tell("association accepted", contexts=len(self._association.contexts))
        end = "broken"
        try:
            end = self._hold()
        except ProtocolViolation as violation:
            end = str(violation)
            self._association.abort(violation.abort)
        except (ConnectionLost, Aborted) as error:
            end = str(error)
        except Unreachable as error:
            end = str(error)
            self._association.abort(ABORTED_BY_USER)
        finally:
            self._association.close()
            seconds = round(monotonic() - started, 3)
            self._tell("association ended", end=end, seconds=seconds, instances=dict(self._stored))

    def _hold(self) -> str:
        while self._wait():
            message = self._association.receive()
            if isinstance(message, Released):
                self._association.confirm_release()
                return "released"
            self._answer(message)
        self._association.abort(ABORTED_BY_USER)
        return "the listener stops"

    def _wait(self) -> bool:
        """Until a message begins; False when the listener stops."""
        idle_until = monotonic() + self._acceptor.settings.idle_timeout_s
        while not self._acceptor.stopping.is_set():
            if self._association.wait(TICK_S):
                return True
            if monotonic() > idle_until:
                raise DeadlinePassed("nothing came for too long")
        return False

    def _answer(self, message: Message) -> None:
        command = message.command
        if command.is_response:
            raise ProtocolViolation("a response that nobody asked for")
        match command.field:
            case Request.C_ECHO:
                status = Status.SUCCESS
                self._witness.echoed(self._calling_ae_title, self._host)
            case Request.C_STORE:
                status = self._store(message)
            case Request.N_EVENT_REPORT:
                status = self._report(message)
            case Request.C_CANCEL:
                return
            case _:
                status = Status.UNRECOGNIZED_OPERATION
        message.discard()
        self._association.respond(message, status)

    def _store(self, message: Message) -> Status:
        command, context = message.command, message.context
        if command.sop_class_uid != context.abstract_syntax or command.sop_class_uid not in self._acceptor.storage:
            return self._noted(command, Status.SOP_CLASS_NOT_SUPPORTED)
        if not command.has_data_set:
            return self._noted(command, Status.CANNOT_UNDERSTAND)
        received = Received(
            self._calling_ae_title,
            self._host,
            command.sop_class_uid,
            command.sop_instance_uid,
            context.transfer_syntax,
            message.data,
        )
        try:
            status = ANSWERS[self._acceptor.on_store(received)]
        except Unreachable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender hears of it and the others live on
            self._log.error("instance not stored", error=safe_text(error))
            status = Status.PROCESSING_FAILURE
        return self._noted(command, status)

    def _noted(self, command: Command, status: Status) -> Status:
        self._stored[status.name.lower()] += 1
        if status is not Status.SUCCESS:
            uid = command.response(status).sop_instance_uid
            self._log.warning("instance refused", sop_instance_uid=uid, status=f"{status:04X}", reason=status.name)
        return status

    def _report(self, message: Message) -> Status:
        on_commitment, context = self._acceptor.on_commitment, message.context
        if on_commitment is None or context.abstract_syntax != contexts.STORAGE_COMMITMENT:
            return Status.SOP_CLASS_NOT_SUPPORTED
        try:
            report = read_report(message.read(LONGEST_REPORT_BYTES), context.transfer_syntax)
        except Unparsable as error:
            self._log.warning("commitment report refused", reason=str(error))
            return Status.PROCESSING_FAILURE
        try:
            on_commitment(report)
        except Exception as error:  # noqa: BLE001 - the peer hears of it, and reports again or is asked again
            self._log.error("commitment report not noted", error=safe_text(error))
            return Status.PROCESSING_FAILURE
        return Status.SUCCESS
