"""What is posted comes from a page of ours: each form carries a token that only our page and this browser know.

The token is a keyed hash of the browser's cookies, of which one changes with each log-in, so a site elsewhere can
neither read nor compute it. It holds as long as this process: after a restart a form that was left open asks to be sent
again.
"""

import hmac
import secrets
from hashlib import sha256

from fastapi import HTTPException, Request
from starlette.datastructures import FormData

COOKIE = "neurossl-browser"
FIELD = "token"
STALE = "This form is too old, or did not come from a page of this node. Go back, reload the page and try again."


class Seal:
    """Makes and checks tokens."""

    def __init__(self) -> None:
        """With a key of its own."""
        self._key = secrets.token_bytes(32)

    def token(self, form_key: str) -> str:
        """For the forms of a browser, as it is known now."""
        return hmac.new(self._key, form_key.encode(), sha256).hexdigest()

    def fits(self, form_key: str, token: str) -> bool:
        """Whether the token is that of this browser."""
        return hmac.compare_digest(self.token(form_key).encode(), token.encode())


def new_browser() -> str:
    """A name for a browser that nobody can guess."""
    return secrets.token_urlsafe(32)


async def posted(request: Request) -> FormData:
    """The fields of a form of ours; every POST of a page depends on it. Answers 403 for any other form."""
    form = await request.form(max_files=0, max_fields=50)
    token = form.get(FIELD)
    if not isinstance(token, str) or not request.app.state.site.seal.fits(request.state.form_key, token):
        raise HTTPException(403, STALE)
    return form


def text(form: FormData, name: str, longest: int = 500) -> str:
    """A field as text, cut; "" when it is not there."""
    value = form.get(name, "")
    return value.strip()[:longest] if isinstance(value, str) else ""
