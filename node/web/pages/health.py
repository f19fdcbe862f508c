"""How the node is: disk, database, processes, what the office did last, device and bundle, certificates, versions."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from node.observe.state import of_node
from node.web.site import TheSite
from node.web.view import page

router = APIRouter()

SOON_DAYS = 30
ROLES = ("listener", "worker", "office")


@router.get("/health")
def overview(request: Request, site: TheSite) -> HTMLResponse:
    """Everything on one page, what is wrong first."""
    found = of_node(site.settings, site.folder, site.db, datetime.now(UTC))
    running = {sign.role.partition("-")[0] for sign in found.processes}
    missing = [role for role in ROLES if role not in running]
    return page(request, "health.html", found=found, missing=missing, soon_days=SOON_DAYS)
