"""No library that is used here calls home.

OpenVINO reports its use to an analytics host, from a thread that it starts when it is imported, and keeps a number of
this machine in the home folder. Where its reporter is not installed it does without, so that is how it is made to look.
The Hugging Face client, which is asked only by `neurossl model import`, is told not to report either.
"""

import os
import sys

REPORTERS = ("openvino_telemetry",)
REFUSALS = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "DISABLE_TELEMETRY": "1"}


def refuse_telemetry() -> None:
    """From now on importing a reporter fails as if it were not installed."""
    for name in REPORTERS:
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]
    os.environ.update(REFUSALS)
