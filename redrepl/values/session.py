"""What a session has seen, so that it never reads its own past from a copy that lags."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from itertools import islice

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.reading import load_json
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp
from redrepl.values.validation import check_key

_TOKEN_BYTES = 64
_ENTRY_BYTES = 6 + STAMP_BYTES
"""What JSON takes beside the keys: once, and for each of them."""

_MOST_CHARACTERS = 4 * (limits.MAX_TOKEN_BYTES // 3 + 1)


class Session:
    """The newest stamp written or read, per key; bounded.

    Keys beyond SESSION_KEYS are covered by a common floor: a copy of them that is older than the
    floor is read from the primary instead, which costs a little and is never wrong.

    seen: what an earlier session had, by the encoded key. floor: what it had of all other keys.
    """

    def __init__(self, seen: Mapping[bytes, Stamp] | None = None, floor: Stamp = NO_STAMP) -> None:
        self._seen: dict[bytes, Stamp] = dict(seen or {})
        self._floor = floor
        while len(self._seen) > limits.SESSION_KEYS:
            self._forget_oldest()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} keys={len(self._seen)}>"

    def note(self, key: bytes, stamp: Stamp) -> None:
        """Remember a stamp that was written or read."""
        seen = self._seen
        known = seen.get(key)
        if known is None or known < stamp:
            seen[key] = stamp
            if len(seen) > limits.SESSION_KEYS:
                self._forget_oldest()

    def at_least(self, key: bytes) -> Stamp:
        """The stamp below which a copy of this key is this session's past."""
        return self._seen.get(key, self._floor)

    def token(self) -> str:
        """A text that carries this session to another process.

        Keys for which there is no room the floor covers.
        """
        seen: dict[str, str] = {}
        floor, room = self._floor, limits.MAX_TOKEN_BYTES - _TOKEN_BYTES
        for key, stamp in reversed(list(self._seen.items())):
            name = base64.b64encode(key).decode()
            room -= len(name) + _ENTRY_BYTES
            if room >= 0:
                seen[name] = str(stamp)
            else:
                floor = max(floor, stamp)
        newest_last = dict(reversed(seen.items()))
        content = json.dumps({"seen": newest_last, "floor": str(floor)}, separators=(",", ":"))
        return base64.urlsafe_b64encode(content.encode()).decode()

    @classmethod
    def from_token(cls, token: str) -> Session:
        """Read what `token` gave. Raises RequestError on anything else."""
        try:
            if len(token) > _MOST_CHARACTERS:
                raise ValueError(f"it has {len(token)} characters, allowed are {_MOST_CHARACTERS}")
            content = load_json(
                base64.b64decode(token, b"-_", validate=True), limits.MAX_TOKEN_BYTES
            )
            seen = {
                check_key(base64.b64decode(key, validate=True)): _stamp(stamp)
                for key, stamp in content["seen"].items()
            }
            return cls(seen, _stamp(content["floor"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(f"session token cannot be read: {error}") from error

    def _forget_oldest(self) -> None:
        # Some at a time: to find its oldest key, a dict goes over the places of all that were taken
        # out before it. Another thread may forget the same ones at the same moment; then there is
        # less left to do here.
        oldest = list(islice(self._seen, 1 + limits.SESSION_KEYS // 20))
        self._floor = max(self._floor, *(self._seen.pop(key, NO_STAMP) for key in oldest))


def _stamp(text: str) -> Stamp:
    found = Stamp.parse(text)
    if found.micros > limits.MAX_MICROS:
        raise ValueError("a stamp is out of range")
    return found


def check_session(session: object) -> Session:
    """The session that was given, a new one for None. Raises RequestError for anything else."""
    if session is None:
        return Session()
    if not isinstance(session, Session):
        raise RequestError(f"session must be a Session, not {type(session).__name__}")
    return session
