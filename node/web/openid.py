"""Log-in by OpenID Connect: authorization code with PKCE, state and nonce; the ID token says who, and which role.

Loaded only where a site uses it. Each log-in that is under way belongs to the browser that began it.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from node.access.visitor import Role, Visitor
from node.config_web import OpenIdConnect
from node.errors import ConfigurationError
from node.web.door import NotLetIn

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
TIMEOUT_S = 10.0
BEGUN_WITHIN_S = 600.0
KNOWN_S = 3600.0
LEEWAY_S = 60
MOST_BEGUN = 1000


@dataclass(frozen=True)
class _Begun:
    browser: str
    nonce: str
    verifier: str
    back: str  # the page that was wanted
    answer_to: str
    at_s: float


class Provider:
    """The one that is configured."""

    def __init__(self, settings: OpenIdConnect) -> None:
        """Asks nobody before the first log-in. Raises ConfigurationError when the secret cannot be read."""
        self._settings = settings
        self._secret = _secret(settings)
        self._begun: OrderedDict[str, _Begun] = OrderedDict()
        self._lock = threading.Lock()
        self._known: tuple[float, Mapping[str, Any]] = (float("-inf"), {})

    def begin(self, browser: str, answer_to: str, back: str) -> str:
        """The address of the provider to go to; it sends the browser back to `answer_to`. Raises NotLetIn."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        with self._client(answer_to) as client:
            address, _ = client.create_authorization_url(
                self._metadata()["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        with self._lock:
            self._begun[state] = _Begun(browser, nonce, verifier, back, answer_to, time.monotonic())
            while len(self._begun) > MOST_BEGUN:
                self._begun.popitem(last=False)
        return str(address)

    def finish(self, browser: str, state: str, code: str) -> tuple[Visitor, str]:
        """Who the provider says that is, and the page they wanted. Raises NotLetIn."""
        with self._lock:
            begun = self._begun.pop(state, None)
        if begun is None or begun.browser != browser or time.monotonic() - begun.at_s > BEGUN_WITHIN_S:
            raise NotLetIn("this log-in was not begun in this browser, or too long ago")
        claims = self._claims(begun, code)
        role = _role(claims.get(self._settings.role_claim))
        name = str(claims.get("preferred_username") or claims.get("email") or claims.get("sub", ""))[:64]
        if role is None:
            raise NotLetIn(f"{name} has no role here: the claim {self._settings.role_claim} names none")
        return Visitor(name, role, session=True), begun.back

    def _claims(self, begun: _Begun, code: str) -> Mapping[str, Any]:
        metadata = self._metadata()
        try:
            with self._client(begun.answer_to) as client:
                token = client.fetch_token(metadata["token_endpoint"], code=code, code_verifier=begun.verifier)
            keys = KeySet.import_key_set(_json(metadata["jwks_uri"]))
            read = jwt.decode(token["id_token"], keys, registry=JWSRegistry(algorithms=ALGORITHMS))
            params = {
                "nonce": begun.nonce,
                "client_id": self._settings.client_id,
                "access_token": token["access_token"],
            }
            claims = CodeIDToken(read.claims, read.header, {"iss": {"values": [metadata["issuer"]]}}, params)
            claims.validate(leeway=LEEWAY_S)
        except (AuthlibBaseError, JoseError, httpx2.HTTPError, KeyError, ValueError) as error:
            raise NotLetIn(f"what the provider answered does not hold: {type(error).__name__}") from error
        return dict(claims)

    def _metadata(self) -> Mapping[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0)."""
        at_s, known = self._known
        if time.monotonic() - at_s < KNOWN_S:
            return known
        issuer = self._settings.issuer.rstrip("/")
        try:
            found = _json(f"{issuer}/.well-known/openid-configuration")
        except (httpx2.HTTPError, ValueError) as error:
            raise NotLetIn(f"the provider cannot be asked: {type(error).__name__}") from error
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise NotLetIn("the provider calls itself by another name than web.openid_connect.issuer")
        known = dict(found)
        self._known = (time.monotonic(), known)
        return known

    def _client(self, answer_to: str) -> Any:
        return OAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._secret,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            scope="openid profile email",
            redirect_uri=answer_to,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
        )


def _json(address: str) -> Any:
    with httpx2.Client(timeout=TIMEOUT_S) as client:
        answer = client.get(address)
        answer.raise_for_status()
        return answer.json()


def _role(claim: Any) -> Role | None:
    """The highest role that the claim names."""
    named = {str(each) for each in (claim if isinstance(claim, list) else [claim])}
    return next((role for role in reversed(Role) if role in named), None)


def _secret(settings: OpenIdConnect) -> str | None:
    path = settings.client_secret_file
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"web.openid_connect.client_secret_file: {path}: cannot be read: {error.strerror}"
        ) from error
