"""What machines hear when something is not possible: problem+json (RFC 9457), wherever on the way in it is said."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, PlainTextResponse, Response

FOR_MACHINES = "/api/"
TITLES = {
    401: "Log in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not that way",
    409: "Not possible",
    413: "Too long",
    421: "Not called so",
    422: "Not understood",
    500: "This did not work",
    503: "Not now",
}


def title_of(status: int) -> str:
    """In a few words."""
    return TITLES.get(status, "That did not work")


def problem(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """As problem+json."""
    content = {"type": "about:blank", "title": title_of(status), "status": status, "detail": text}
    return JSONResponse(content, status, headers=headers, media_type="application/problem+json")


def turned_away(path: str, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Before any page was asked: a problem under `/api/`, and a line of text elsewhere."""
    if path.startswith(FOR_MACHINES):
        return problem(status, text, headers)
    return PlainTextResponse(text, status, headers=headers)
