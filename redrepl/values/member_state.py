"""The state of a member, as its member hash and its guard hold it."""

from __future__ import annotations

from enum import StrEnum


class MemberState(StrEnum):
    """What a member may do. The names are stored: the scripts write and compare them.

    ACTIVE: serves clients in its epoch.
    SYNCING: is being filled, or compared with the others; it takes records of upkeep alone.
    FENCED: was stopped for an epoch in which it does not serve yet; it holds what it held.
    NONE: the server is no member, so that its hash holds no state.
    UNKNOWN: in place of a state that redrepl never writes. It is stored nowhere.
    """

    ACTIVE = "active"
    SYNCING = "syncing"
    FENCED = "fenced"
    NONE = ""
    UNKNOWN = "unknown"

    @classmethod
    def parse(cls, stored: str | bytes | None) -> MemberState:
        """The state that is stored so; UNKNOWN for what redrepl does not write. Never raises."""
        text = stored.decode("ascii", "replace") if isinstance(stored, bytes) else stored
        return _STATES.get(text or "", cls.UNKNOWN)

    @property
    def is_stored(self) -> bool:
        """Whether a member hash of ours can hold it."""
        return self in _STORED

    @property
    def serves(self) -> bool:
        """Whether clients are admitted."""
        return self is MemberState.ACTIVE

    @property
    def is_filled(self) -> bool:
        """Whether the member serves, or did until it was fenced."""
        return self in (MemberState.ACTIVE, MemberState.FENCED)

    @property
    def when_stopped(self) -> MemberState:
        """The state after a change of epoch stopped the member; one that is being filled keeps
        it.
        """
        return MemberState.FENCED if self is MemberState.ACTIVE else self


_STORED = (MemberState.ACTIVE, MemberState.SYNCING, MemberState.FENCED)
_STATES = {state.value: state for state in (*_STORED, MemberState.NONE)}
