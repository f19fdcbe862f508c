"""Certificates for a node and a peer of one site, made as a user makes them."""

from pathlib import Path

from node.config import Tls
from node.offline import certificates


def site(folder: Path) -> tuple[Tls, Tls]:
    """The TLS settings of the node, and those of its peer."""
    made = certificates.make(folder / "tls", "127.0.0.1", "127.0.0.1")
    node, peer = (Tls(certificate=pem, key=key, authorities=made.authority) for pem, key in (made.node, made.peer))
    return node, peer
