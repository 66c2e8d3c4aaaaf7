"""Why a node gave no answer, where somebody concludes something from it."""

from __future__ import annotations

from typing import Final

REFUSES: Final = "refuses connections"
"""Nothing listens at the address: the server is not running."""

LOST: Final = "connection lost"
"""It was there a moment ago; whether it still is shows when a connection is opened anew."""


def is_crash(reason: str) -> bool:
    """Whether a node that gave no answer for this reason is down for certain, and not merely slow or busy."""
    return REFUSES in reason or LOST in reason


def is_out_of_memory(reason: str) -> bool:
    """Whether a server refused a write because its memory is used up."""
    return reason.startswith("OOM")
