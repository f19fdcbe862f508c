"""What the node calls back, as its receivers have it: one that applies the notes, and archives that keep them."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from storage import outbox
from tests import peers
from tests.destination import Destination, destination, is_rejection_note, rejected_by, wait_until
from tests.services import Service, service, studies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

QUALITY, SAFETY = "113001", "113037"


@dataclass
class Story:
    """A study that was answered, answered anew as it grew, and whose answer an operator then withdrew."""

    first: set[str]  # the objects of each answer
    second: set[str]
    after_the_second: set[str]  # what a receiver that applies notes shows
    after_the_withdrawal: set[str]


def to(name: str, ae_title: str, port: int) -> dict[str, Any]:
    return {
        "name": name,
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        "supersede": "rejection_note",
    }


def live(node: Service, pacs: Destination, folder: Path) -> Story:
    """Until every destination has both notes."""
    ((study, paths),) = studies(folder, 1).items()
    node.send(paths[:-1])
    first = node.ended(study).job_id
    node.send(paths[-1:])
    second = node.ended(study, revision=2).job_id
    wait_until(lambda: all_sent(node, first) and len(pacs.notes) == 1, "the first to be called back")
    shown = pacs.shown
    said = node.command("queue", "withdraw", str(second), "--reason", "wrong patient")
    assert said.returncode == 0, said.stderr
    wait_until(lambda: all_sent(node, second) and len(pacs.notes) == 2, "the second to be called back")
    return Story(objects(node, first), objects(node, second), shown, pacs.shown)


def objects(node: Service, job_id: int) -> set[str]:
    """What was sent of an answer, without the note that calls it back."""
    with node.database() as db:
        kinds = {each.sop_instance_uid: each.kind for each in outbox.results_of_job(db, job_id) if each.is_object}
    return {uid for uid, kind in kinds.items() if kind != "rejection_note"}


def all_sent(node: Service, job_id: int) -> bool:
    """Its note has gone to every destination."""
    with node.database() as db:
        notes = {each.sop_instance_uid for each in outbox.results_of_job(db, job_id) if each.kind == "rejection_note"}
        sent = [each.state for each in outbox.of_job(db, job_id) if each.sop_instance_uid in notes]
        wanted = {each.destination for each in outbox.of_job(db, job_id)}
    return bool(notes) and sent == ["sent"] * len(wanted)


def check_notes(notes: list[Dataset], story: Story) -> None:
    """One for each answer, by the title that says how wrong it is, and each lists all that was sent of it."""
    found = {str(each.ConceptNameCodeSequence[0].CodeValue): rejected_by(each) for each in notes}
    assert found == {QUALITY: story.first, SAFETY: story.second}
    assert len(notes) == 2


def test_a_receiver_that_applies_the_notes_shows_what_stands_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    with destination() as pacs, service(tmp_path, bundle, None, destinations=[to("pacs", "PACS", pacs.port)]) as node:
        story = live(node, pacs, tmp_path)
    check_notes(pacs.notes, story)
    assert story.first.isdisjoint(story.second)
    assert story.after_the_second == story.second
    assert story.after_the_withdrawal == set()
    assert set(pacs.uids[:-2]) == story.first | story.second  # each note comes after what takes its place
    assert all(len(each) == 1 for each in pacs.contents.values())


@pytest.mark.peers
def test_dcmqrscp_and_orthanc_keep_the_notes_beside_what_they_call_back(bundle: Path, tmp_path: Path) -> None:
    with ExitStack() as running:
        running.enter_context(peers.loopback_only())
        archive = running.enter_context(peers.dcmqrscp(tmp_path))
        orthanc = running.enter_context(peers.orthanc(tmp_path))
        pacs = running.enter_context(destination())
        named = [
            to("pacs", "PACS", pacs.port),
            to("dcmqrscp", archive.ae_title, archive.port),
            to("orthanc", orthanc.ae_title, orthanc.port),
        ]
        node = running.enter_context(service(tmp_path, bundle, None, destinations=named))
        story = live(node, pacs, tmp_path)
        study = pacs.notes[0].StudyInstanceUID
        of_orthanc = [dcmread(BytesIO(orthanc.file(each))) for each in orthanc.instances(study)]
        of_dcmqrscp = [dcmread(path) for path in archive.files()]
    for kept in (of_orthanc, of_dcmqrscp):
        check_notes([each for each in kept if is_rejection_note(each)], story)
        assert Counter(each.Modality for each in kept)["KO"] == 2
        assert {str(each.SOPInstanceUID) for each in kept} == set(pacs.uids)
