"""Who wants to know what becomes of associations, beside those who send and receive over them; by itself nobody."""


class Witness:
    """Hears of it in the thread of the association; must not raise, and must not take long."""

    def refused(self, calling_ae_title: str, host: str, reason: str) -> None:
        """A peer was not let in; its title is "" where it was not understood."""

    def accepted(self, calling_ae_title: str, host: str) -> None:
        """A peer was let in."""

    def echoed(self, calling_ae_title: str, host: str) -> None:
        """A peer was answered a C-ECHO."""

    def ended(self) -> None:
        """The association that this thread held is over."""
