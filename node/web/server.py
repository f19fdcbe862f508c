"""`neurossl web`: the pages as a process of the service; it reads the data folder, and asks no peer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from node.certificates import pages_context
from node.config import Settings
from node.config_web import Web
from node.errors import ConfigurationError
from node.observe.audit import trail_of
from node.process.role import take_role
from node.web.app import application
from node.web.door import Door
from node.web.site import Site

log = structlog.get_logger()

TICK_S = 1.0
ENDS_WITHIN_S = 3
MOST_CONNECTIONS = 500
BACKLOG = 128


def run_web(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop`.

    Raises ConfigurationError when the address or the TLS files cannot be used, FolderInUse when another one serves
    this data folder.
    """
    with take_role(settings, "web") as (_, folder, db, heart), trail_of(settings, "web") as trail:
        site = Site(settings, folder, db, trail, Door(settings, trail))
        with listening(settings.web) as door:
            server = uvicorn.Server(options(settings.web, site))
            address = _address(settings.web, door)
            thread = threading.Thread(target=server.run, args=([door],), name="http", daemon=True)
            thread.start()
            while not stop.is_set() and thread.is_alive():
                heart.beat("ready" if server.started else "starting", address=address)
                stop.wait(TICK_S if server.started else 0.05)
            heart.beat("stopping")
            site.closing.set()
            server.should_exit = True
            thread.join(2 * ENDS_WITHIN_S)


def options(web: Web, site: Site) -> uvicorn.Config:
    """How it is served. Raises ConfigurationError when the TLS files cannot be used."""
    tls = None if web.tls is None else pages_context(web.tls)
    return uvicorn.Config(
        application(site),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=ENDS_WITHIN_S,
        limit_concurrency=MOST_CONNECTIONS,
        ssl_context_factory=None if tls is None else lambda _, __: tls,
    )


@contextmanager
def listening(web: Web) -> Iterator[socket.socket]:
    """The socket. Raises ConfigurationError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            web.host, web.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            door.listen(BACKLOG)
            yield door
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise ConfigurationError(f"web.port: cannot listen on {web.host}:{web.port}: {reason}") from error


def _address(web: Web, door: socket.socket) -> str:
    """What a browser opens."""
    name = f"[{web.host}]" if ":" in web.host else web.host
    return f"{'http' if web.tls is None else 'https'}://{name}:{door.getsockname()[1]}"
