"""What stands no longer is called back from the destinations that want to hear of it: by rejection notes."""

from datetime import UTC, datetime
from importlib.metadata import version

import structlog

from node.config import Destination, Settings
from node.errors import NodeError
from node.logs import safe_text
from storage import Database, DataFolder, files, notes
from storage.errors import StorageError
from storage.notes import CalledBack
from storage.outbox import NewDelivery
from storage.records import Proof, Result
from storage.states import AnswerState

log = structlog.get_logger()


class Recall:
    """Plans the notes that are due. The same answer and objects give the same bytes again, whoever builds them."""

    def __init__(self, settings: Settings, folder: DataFolder, db: Database) -> None:
        """Nothing is built before `look`."""
        self._settings = settings
        self._folder = folder
        self._db = db
        self._given_up: set[tuple[str, int]] = set()

    def look(self) -> None:
        """Once around."""
        for destination in self._settings.destinations:
            if destination.supersede == "rejection_note":
                self._call_back(destination)

    def _call_back(self, destination: Destination) -> None:
        for found in notes.due(self._db, destination.name):
            this = (destination.name, found.answer.answer_id)
            ids = {"destination": destination.name, "job_id": found.answer.job_id}
            if this in self._given_up:
                continue
            try:
                note = self._built(destination, found)
            except (NodeError, StorageError) as error:
                self._given_up.add(this)  # until the next start; its objects stay at the destination
                log.exception("results cannot be called back", **ids, reason=safe_text(error))
                continue
            delivery = NewDelivery(note.sop_instance_uid, destination.name, Proof(destination.proof))
            if notes.plan(self._db, found.answer, note, delivery, datetime.now(UTC)):
                log.info("results called back", **ids, results=len(found.results), state=found.answer.state)

    def _built(self, destination: Destination, found: CalledBack) -> Result:
        from pydicom import dcmread  # these are large, and notes are seldom due

        from node.report import Context, build_rejection

        answer = found.answer
        paths = [files.verify(self._folder, each.path, each.sha256) for each in found.results]
        context = Context(
            settings=self._settings.results,
            destinations=[destination],
            contents={},
            created_at=answer.updated_at,
            software_version=version("neurossl-node"),
            generation=answer.generation,
        )
        objects = [dcmread(path, stop_before_pixels=True) for path in paths]
        superseded = answer.state is AnswerState.SUPERSEDED
        encoded = build_rejection(objects, answer.key or f"job {answer.job_id}", context, superseded=superseded)
        stored = files.write(self._folder, encoded.name, [encoded.content], area="results")
        return Result(
            sop_instance_uid=encoded.sop_instance_uid,
            sop_class_uid=encoded.sop_class_uid,
            series_instance_uid=encoded.series_instance_uid,
            job_id=answer.job_id,
            kind=encoded.kind,
            ordinal=encoded.ordinal,
            path=stored.path,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
        )
