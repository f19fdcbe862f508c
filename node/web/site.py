"""What every page stands on, made once when the process starts."""

import threading
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from node.config import Settings
from node.observe.audit import Trail
from node.web.door import Door
from node.web.forms import Seal
from storage import Database, DataFolder


@dataclass(frozen=True)
class Site:
    """Settings, data and what is secret to this process."""

    settings: Settings
    folder: DataFolder
    db: Database
    trail: Trail
    door: Door
    seal: Seal = field(default_factory=Seal)
    closing: threading.Event = field(default_factory=threading.Event)  # open streams end when it is set


def site_of(request: Request) -> Site:
    """The site that the request came to."""
    found: Site = request.app.state.site
    return found


TheSite = Annotated[Site, Depends(site_of)]
