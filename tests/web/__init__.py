"""The pages without a network: a data folder, the application over it, and a client that keeps cookies."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient

from node.config import Settings
from node.observe.audit import Trail
from node.web.app import application
from node.web.site import Site
from storage import Database, DataFolder


@contextmanager
def browser(folder: DataFolder, db: Database, **settings: Any) -> Iterator[TestClient]:
    """A browser on this machine, before a node with this data folder; `settings` are sections of config.yaml."""
    values = Settings.model_validate({"data_folder": str(folder.root), **settings})
    with Trail(values, "web") as trail:
        app = application(Site(values, folder, db, trail))
        with TestClient(app, base_url="http://localhost:11180", follow_redirects=False) as client:
            yield client


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
