"""How the node is: disk, database, processes, what the office did last, device and bundle, certificates, versions."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from node.observe.state import of_node
from node.web.site import TheSite
from node.web.view import page

router = APIRouter()

SOON_DAYS = 30


@router.get("/health")
def overview(request: Request, site: TheSite) -> HTMLResponse:
    """Everything on one page, what is wrong first."""
    found = of_node(site.settings, site.folder, site.db, datetime.now(UTC))
    return page(request, "health.html", found=found, soon_days=SOON_DAYS)
