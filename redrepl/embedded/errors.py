"""Errors of the embedded servers; every one says what was tried and carries its evidence."""


class EmbeddedError(Exception):
    """Base of every error raised by `redrepl.embedded`, also raised for calls in the wrong
    state.
    """


class ServerBinaryNotFound(EmbeddedError):
    """No Redis or Valkey server program was found; the message lists the places looked at and the
    cures.
    """


class ServerBinaryUnusable(EmbeddedError):
    """A server program was found, but it does not run, is no Redis or Valkey, or is too old."""


class ClockNotMovable(EmbeddedError):
    """A server's clock cannot be moved here, or was not made to be moved; the message says why."""


class ServerStartError(EmbeddedError):
    """A server did not become ready; `log_tail` holds the last lines it wrote."""

    def __init__(self, reason: str, log_tail: str = "") -> None:
        super().__init__(reason, log_tail)
        self.reason = reason
        self.log_tail = log_tail

    def __str__(self) -> str:
        log = self.log_tail.strip() or "(the server wrote nothing)"
        return f"{self.reason}\nlast lines of its log:\n{log}"
