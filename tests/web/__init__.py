"""The pages without a network: a data folder, the application over it, and a client that keeps cookies."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from node.config import Settings
from node.observe.audit import Trail
from node.web.app import application
from node.web.door import Door
from node.web.server import listening, options
from node.web.site import Site
from storage import Database, DataFolder, open_database


@contextmanager
def browser(
    folder: DataFolder, db: Database, *, comes_from: str = "127.0.0.1", **settings: Any
) -> Iterator[TestClient]:
    """A browser before a node with this data folder; `settings` are sections of config.yaml."""
    values = Settings.model_validate({"data_folder": str(folder.root), **settings})
    with Trail(values, "web") as trail:
        app = application(Site(values, folder, db, trail, Door(values, trail)))
        address = (comes_from, 50000)
        with TestClient(app, base_url="http://localhost:11180", client=address, follow_redirects=False) as client:
            yield client


@contextmanager
def quick_hashes() -> Iterator[None]:
    """Passwords are hashed as Argon2id with little memory: a test need not be slow to guess."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.access.users.PasswordHasher", partial(PasswordHasher, 1, 8, 1))
        yield


def token(client: TestClient, address: str = "/queue") -> str:
    """What the forms of this page carry."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', client.get(address, follow_redirects=True).text)
    assert found, address
    return found[1]


def post(client: TestClient, address: str, *, page: str = "/queue", **fields: str) -> Any:
    """A form of this page, sent."""
    return client.post(address, data={"token": token(client, page), **fields})


def dependencies(route: Any) -> set[Any]:
    """What is called before a page is."""
    found, waiting = set(), [route.dependant]
    while waiting:
        each = waiting.pop()
        found.add(each.call)
        waiting += each.dependencies
    return found


@contextmanager
def served(data: DataFolder, **section: Any) -> Iterator[str]:
    """The pages of this data folder over HTTP, in a thread; `section` is that of config.yaml. Gives their address."""
    values = Settings.model_validate({"data_folder": str(data.root), "web": {"port": 0, **section}})
    db = open_database(data)
    with Trail(values, "web") as trail, listening(values.web) as door:
        site = Site(values, data, db, trail, Door(values, trail))
        server = uvicorn.Server(options(values.web, site))
        thread = threading.Thread(target=server.run, args=([door],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            site.closing.set()
            server.should_exit = True
            thread.join()
            db.close()
