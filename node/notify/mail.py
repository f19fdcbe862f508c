"""Notices by e-mail: SMTP with STARTTLS or TLS, to a server that the settings name (RFC 5321, RFC 8314)."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256

from node.access.secrets import secret
from node.config_telling import EmailChannel
from node.notify.notice import Message
from node.notify.ways import TIMEOUT_S, Untold, trusted


class Mail:
    """Sends to one list of recipients."""

    def __init__(self, channel: EmailChannel) -> None:
        """Nothing is sent yet."""
        self._channel = channel

    def tell(self, message: Message) -> None:
        """As `Way`."""
        channel = self._channel
        try:
            with self._connected() as server:
                if channel.secret is not None:
                    server.login(channel.user or channel.sender, secret(channel.secret))
                refused = server.send_message(self._letter(message), channel.sender, list(channel.recipients))
        except smtplib.SMTPResponseException as error:
            raise Untold(f"the mail server answers {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Untold(f"the mail server: {getattr(error, 'strerror', None) or type(error).__name__}") from None
        if refused:
            raise Untold(f"the mail server refuses {len(refused)} of {len(channel.recipients)} recipients")

    def _connected(self) -> smtplib.SMTP:
        channel = self._channel
        if channel.security == "tls":
            context = trusted(channel.authorities)
            return smtplib.SMTP_SSL(channel.host, channel.port, timeout=TIMEOUT_S, context=context)
        server = smtplib.SMTP(channel.host, channel.port, timeout=TIMEOUT_S)
        try:
            if channel.security == "starttls":
                server.starttls(context=trusted(channel.authorities))
        except (smtplib.SMTPException, ssl.SSLError, OSError):
            server.close()
            raise
        return server

    def _letter(self, message: Message) -> EmailMessage:
        """The same notices make the same Message-ID: who gets them twice sees them once."""
        letter = EmailMessage()
        letter["From"], letter["To"] = self._channel.sender, ", ".join(self._channel.recipients)
        letter["Subject"] = message.subject
        letter["Date"] = format_datetime(message.notices[-1].at)
        ids = "".join(each.notice_id for each in message.notices)
        letter["Message-ID"] = f"<{sha256(ids.encode()).hexdigest()[:32]}@{self._channel.sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.body)
        return letter
