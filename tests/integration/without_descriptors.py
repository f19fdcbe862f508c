"""A listener in a process that has no file descriptors left: the next caller hears so, and those inside are served."""

import contextlib
import os
import resource
import socket

from tests import wire

LIMIT = 64


def main() -> None:
    """Fails when the caller is not told."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    with wire.listener() as server, wire.Peer(server.port) as inside:
        inside.associate()
        caller = wire.Peer(server.port)
        first = caller.rejection()
        assert first is None, first
        blocked = wire.Peer.__new__(wire.Peer)
        blocked.socket = socket.socket()
        held: list[int] = []
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        blocked.socket.settimeout(10)
        blocked.socket.connect(("127.0.0.1", server.port))
        assert blocked.rejection() == (2, 3, 2)
        assert inside.echo() == 0
        for descriptor in held:
            os.close(descriptor)
        with wire.Peer(server.port) as again:
            assert again.rejection() is None
        blocked.socket.close()
        caller.socket.close()


if __name__ == "__main__":
    main()
