"""What readers said of the answers of a bundle."""

from collections import Counter

from node.work.outcome import Outcome
from storage import Database, readings


def of_bundle(db: Database, bundle_sha256: str) -> dict[str, int]:
    """Word -> how often; of each reader the newest word on each answer."""
    counted: Counter[str] = Counter()
    for reading, row in readings.counted(db):
        outcome = Outcome.from_row(row)
        if outcome and outcome.prediction and outcome.prediction.model.sha256 == bundle_sha256:
            counted[str(reading.word)] += 1
    return dict(counted)
