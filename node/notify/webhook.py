"""Notices by HTTP POST, signed, so that the receiver knows who speaks and that nothing is played again.

    X-NeuroSSL-Timestamp: 1764081000          seconds since 1970
    X-NeuroSSL-Signature: v1=<hex>            HMAC-SHA256 with the secret over timestamp, a full stop, and the body

The body is JSON: `node`, `subject`, `notices` with `id`, `kind`, `at`, `text` each. A notice that comes again has its
`id` again. Any status of 200 to 299 is an acknowledgement; a redirection is none, and is not followed.
"""

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from node.access.secrets import secret
from node.config_telling import WebhookChannel
from node.notify.notice import Message
from node.notify.ways import TIMEOUT_S, Untold, trusted

DEFAULT_PORTS = {"http": 80, "https": 443}


class Webhook:
    """Posts to one address."""

    def __init__(self, channel: WebhookChannel, wall_s: Callable[[], float] = time.time) -> None:
        """Nothing is sent yet."""
        self._channel = channel
        self._wall_s = wall_s

    def tell(self, message: Message) -> None:
        """As `Way`."""
        body = _body(message)
        stamp = str(int(self._wall_s()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "neurossl-node",
            "X-NeuroSSL-Timestamp": stamp,
            "X-NeuroSSL-Signature": signature(secret(self._channel.secret), stamp, body),
        }
        try:
            status = self._post(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise Untold(f"the webhook: {getattr(error, 'strerror', None) or type(error).__name__}") from None
        if not 200 <= status < 300:
            raise Untold(f"the webhook answers {status}")

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        url = urlsplit(self._channel.url)
        host, port = url.hostname or "", url.port or DEFAULT_PORTS[url.scheme]
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            context = trusted(self._channel.authorities)
            connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", f"{url.path or '/'}{'?' if url.query else ''}{url.query}", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()


def signature(key: str, timestamp: str, body: bytes) -> str:
    """What a receiver works out as well, and compares.

    >>> signature("secret", "1764081000", b"{}")
    'v1=9517b294e9fcb018d5a80bc6a7d3ddbf08ad4cccd9f9cc4877d7997025f76800'
    """
    return "v1=" + hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _body(message: Message) -> bytes:
    notices = [
        {"id": each.notice_id, "kind": each.kind, "at": each.at.isoformat(), "text": each.text}
        for each in message.notices
    ]
    return json.dumps({"node": message.node, "subject": message.subject, "notices": notices}).encode()
