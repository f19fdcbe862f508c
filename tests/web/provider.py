"""A small OpenID Connect provider on loopback: discovery, keys, and a token endpoint that checks PKCE."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "neurossl"


class Provider:
    """`claims` are added to the next ID token; `key` signs it."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
        self.published = self.key
        self.claims: dict[str, Any] = {"preferred_username": "anna", "neurossl_role": "operate"}
        self._asked: dict[str, dict[str, str]] = {}

    def agree(self, address: str) -> tuple[str, str]:
        """What a browser brings back that was sent to this address and logged in: state and code."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        self._asked["the-code"] = asked
        return asked["state"], "the-code"

    def documents(self) -> dict[str, Any]:
        """What is served by GET."""
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            },
            "/keys": {"keys": [self.published.as_dict(private=False)]},
        }

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """The answer of the token endpoint; None when the code or its verifier does not fit."""
        asked = self._asked.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        if asked is None or asked["code_challenge"] != challenge.decode():
            return None
        now = int(time.time())
        standard = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "42",
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 60,
        }
        id_token = jwt.encode({"alg": "RS256", "kid": "first"}, {**standard, **self.claims}, self.key)
        return {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}


@contextmanager
def provider() -> Iterator[Provider]:
    """One that runs."""
    found = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(found.documents().get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(found.token({name: values[0] for name, values in parse_qs(body).items()}))

        def _answer(self, content: Any) -> None:
            body = json.dumps(content or {"error": "invalid_grant"}).encode()
            self.send_response(200 if content else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    found.issuer = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
