"""Studies as they come, from several senders at a time; what was acknowledged is remembered."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from node.dicom import part10
from node.dimse import scu
from tests import factories, wire
from tests.services import Service

SLICES = 24
SERIES = {"slices": SLICES, "rows": 64, "columns": 64, "spacing_mm": (6.6, 3.5, 3.5)}
SECOND_PATIENT = {**factories.PATIENT, "PatientName": "Beispiel^Anna", "PatientID": "TEST-0002"}


@dataclass
class Sent:
    """What the senders know; one for all of them."""

    acknowledged: dict[str, str] = field(default_factory=dict)  # SOP Instance UID -> SHA-256 of the data set
    studies: dict[str, str] = field(default_factory=dict)  # Study Instance UID -> its kind
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # answers that should not have come
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, number: int = 1) -> None:
        with self.lock:
            self.counts[what] += number


class Traffic:
    """Sends one study after the other until it is told to stop; everything follows from the seed but the time."""

    def __init__(self, node: Service, folder: Path, sent: Sent, seed: str) -> None:
        self._node, self._folder, self._sent = node, folder, sent
        self._random = random.Random(seed)
        self._seed = seed
        self._number = 0
        self._late: list[list[Path]] = []
        self._old: list[list[Path]] = []

    def run(self, stop: threading.Event, every_s: float) -> None:
        """Until `stop`, with a study about every so many seconds."""
        kinds = tuple(KINDS)
        while not stop.is_set():
            kind = self._random.choices(kinds, [KINDS[each][1] for each in kinds])[0]
            KINDS[kind][0](self)
            self._sent.count(f"sent: {kind}")
            stop.wait(self._random.uniform(0.5, 1.5) * every_s)
        for paths in self._late:
            self._take(paths)

    def whole(self) -> None:
        paths = self._study("whole")
        self._late.append(paths[SLICES:])
        self._take(paths[:SLICES])
        self._old.append(paths[:SLICES])

    def in_pieces(self) -> None:
        paths = self._study("in pieces")[:SLICES]
        self._random.shuffle(paths)
        cut = self._random.randrange(1, len(paths))
        for piece in (paths[:cut], paths[cut:]):
            self._take(piece)
            time.sleep(self._random.uniform(0, 1))

    def late(self) -> None:
        """Another series of a study that was sent before."""
        if self._late:
            self._take(self._late.pop(0))

    def again(self) -> None:
        if self._old:
            self._take(self._random.choice(self._old))

    def unreadable(self) -> None:
        self._take(self._study("unreadable")[: self._random.randrange(1, 6)])

    def two_patients(self) -> None:
        paths = self._study("two patients", second=SECOND_PATIENT)
        self._take(paths)

    def broken(self) -> None:
        """What is no data set, and an association that breaks off: never acknowledged."""
        with suppress(OSError, AssertionError, TypeError), wire.Peer(self._node.port or 0, timeout_s=10) as peer:
            peer.associate(calling="SCANNER")
            uid = f"1.2.826.0.1.66.{self._random.randrange(10**9)}"
            status = peer.store(self._random.randbytes(2000), e0002=wire.MR, e1000=uid)
            if status == 0:
                self._sent.wrong.append(f"noise was acknowledged as {uid}")
            peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, e0002=wire.MR, e1000=uid))))

    def from_a_stranger(self) -> None:
        with suppress(OSError, AssertionError), wire.Peer(self._node.port or 0, timeout_s=10) as peer:
            found = peer.rejection(calling="STRANGER")
            if found is None:
                self._sent.wrong.append("a stranger was let in")
            self._sent.count("strangers turned away", found is not None)

    def _study(self, kind: str, second: dict[str, str] | None = None) -> list[Path]:
        """A T1 series, and three instances of another series, as files."""
        self._number += 1
        study = str(factories.uid("soak", self._seed, self._number))
        with self._sent.lock:
            self._sent.studies[study] = kind
        made = factories.mr_series(study_uid=study, **SERIES)
        other = {"patient": second} if second else {"RepetitionTime": 5000, "EchoTime": 100}
        made += factories.mr_series(study_uid=study, description="T2 TSE", **{**SERIES, "slices": 3}, **other)
        return factories.write(made, self._folder / f"{self._number:05}")

    def _take(self, paths: list[Path]) -> None:
        """As a scanner does: what is not acknowledged is sent again, until it is."""
        left = list(paths)
        while left:
            if (port := self._node.port) is None:
                time.sleep(0.2)
                continue
            outcomes = list(scu.send(scu.Peer("NEUROSSL", "127.0.0.1", port, "SCANNER"), left, 10))
            for each in outcomes:
                self._note(each)
            left = [each.path for each in outcomes if not each.accepted]
            time.sleep(0.2 if left else 0)

    def _note(self, outcome: scu.SendOutcome) -> None:
        if outcome.accepted:
            meta = part10.read_meta(outcome.path)
            digest = sha256(outcome.path.read_bytes()[meta.data_set_offset :]).hexdigest()
            with self._sent.lock:
                self._sent.acknowledged[outcome.sop_instance_uid] = digest
                self._sent.counts["C-STOREs acknowledged"] += 1
        elif outcome.status is not None:
            self._sent.count(f"C-STOREs answered {outcome.status:04X}")
        else:
            self._sent.count("C-STOREs without an answer")


KINDS: dict[str, tuple[Callable[[Traffic], None], int]] = {  # and how often, against the others
    "a whole study": (Traffic.whole, 8),
    "a study in pieces": (Traffic.in_pieces, 5),
    "a late series": (Traffic.late, 3),
    "a study again": (Traffic.again, 3),
    "an unreadable study": (Traffic.unreadable, 2),
    "a study of two patients": (Traffic.two_patients, 1),
    "noise": (Traffic.broken, 2),
    "a stranger": (Traffic.from_a_stranger, 2),
}
