"""How long the command line takes to say what it can do: fresh processes, the median of seven.

pytest tests/benchmarks/test_start.py
"""

import statistics
import subprocess
import sys
import time

LONGEST_S = 0.4
ROUNDS = 7


def test_help_is_there_at_once() -> None:
    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "node", "--help"], capture_output=True, check=True)
        return time.perf_counter() - begun

    taken_s = statistics.median(once() for _ in range(ROUNDS))
    sys.stdout.write(f"\nneurossl --help: {taken_s:.2f} s\n")
    assert taken_s < LONGEST_S
