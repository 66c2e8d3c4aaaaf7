"""Ids that are drawn at random. Plans draw none: they get them from whoever carries them out."""

from __future__ import annotations

import secrets


def new_identity() -> str:
    """A fresh identity for a server that becomes a member."""
    return secrets.token_hex(8)


def new_incarnation() -> str:
    """A fresh id for a node's log."""
    return secrets.token_hex(8)
