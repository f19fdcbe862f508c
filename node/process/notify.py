"""Tells systemd how the service is (sd_notify(3)): ready, alive, reloading, stopping. Elsewhere nobody is told."""

import contextlib
import os
import socket
import time

VARIABLE = "NOTIFY_SOCKET"
READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def notify(*assignments: str) -> None:
    """One message; a socket that has gone is no reason to stop working."""
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        sock.sendto("\n".join(assignments).encode(), target)


def reloading() -> str:
    """The message that a reload begins; `READY` ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
