"""Who sends and who gets the results: when each was last heard of, what it did, and what stands in the way."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from node.observe.peers import of_peers
from node.web.site import TheSite
from node.web.view import page

router = APIRouter()


@router.get("/peers")
def overview(request: Request, site: TheSite) -> HTMLResponse:
    """Senders, and then destinations."""
    found = of_peers(site.settings, site.folder, site.db, datetime.now(UTC))
    return page(request, "peers.html", found=found)
