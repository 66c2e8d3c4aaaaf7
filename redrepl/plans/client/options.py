"""How operations are to be carried out: per call, and by default."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from redrepl.values.level import Level


class CallOptions(NamedTuple):
    """Of one operation; None means the client's default.

    ``timeout_seconds`` is for the whole operation.
    """

    level: Level | None
    timeout_seconds: float | None


class ClientSettings(Protocol):
    """What a client takes from its configuration."""

    @property
    def level(self) -> Level:
        """Default level of writes."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """Default time-out of each operation."""
        ...

    @property
    def home(self) -> str | None:
        """With several primaries, the id of the one that this client writes to; None: the first
        that can be reached.
        """
        ...

    @property
    def max_skew_seconds(self) -> float:
        """How far the clocks of nodes and clients may differ."""
        ...
