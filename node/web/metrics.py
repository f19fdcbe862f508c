"""`/metrics`: the numbers of the node, for Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.observe.metrics import exposition
from node.web.site import TheSite

router = APIRouter()


@router.get("/metrics")
def metrics(request: Request, site: TheSite) -> Response:
    """In the format that the asker prefers."""
    accept = request.headers.get("accept", "")
    content, content_type = exposition(site.settings, site.folder, site.db, accept)
    return Response(content, media_type=content_type)
