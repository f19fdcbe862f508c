"""Notices through apprise: Teams, Slack and whatever else it knows. Its URL is the secret.

apprise would name pictures and a page of its own makers, follow redirections, keep files in a home folder and log what
it sends; all of that is switched off, so that nobody hears of it but the service in the URL.
"""

import logging

from node.access.secrets import secret
from node.config_telling import ServiceChannel
from node.errors import ConfigurationError
from node.notify.notice import Message
from node.notify.ways import TIMEOUT_S, Untold


class Service:
    """Tells one service."""

    def __init__(self, channel: ServiceChannel) -> None:
        """Nothing is sent yet."""
        self._channel = channel

    def tell(self, message: Message) -> None:
        """As `Way`."""
        url = secret(self._channel.secret)
        import apprise  # loads every service that it knows

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        asset = apprise.AppriseAsset(
            service_timeout=6 * TIMEOUT_S,
            allow_templates=False,
            plugin_paths=[],
            app_id="NeuroSSL Node",
            app_desc="NeuroSSL Node",
            app_url="",
            image_url_mask="",
            image_url_logo="",
            http_redirects=False,
            pem_autogen=False,
            pgp_autogen=False,
        )
        told = apprise.Apprise(asset=asset)
        if not told.add(url):
            raise ConfigurationError(f"notifications: {self._channel.name}: apprise does not know this URL")
        if not told.notify(title=message.subject, body=message.body, body_format=apprise.NotifyFormat.TEXT):
            raise Untold("the service did not take it")
