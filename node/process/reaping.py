"""Process 1 of a container inherits every process whose parent died, and has to take leave of each."""

import os
from collections.abc import Collection


def reap_strangers(ours: Collection[int]) -> int:
    """Take leave of the dead who are not among `ours` (process ids, whose exit codes somebody waits for); how many."""
    reaped = 0
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if dead is None or dead.si_pid in ours:
                return reaped
            os.waitpid(dead.si_pid, os.WNOHANG)
        except ChildProcessError:
            return reaped
        reaped += 1
