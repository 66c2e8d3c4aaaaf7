"""What a session has seen, so that it never reads its own past from a copy that lags."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from itertools import islice

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.stamp import NO_STAMP, Stamp


class Session:
    """The newest stamp written or read, per key; bounded.

    Keys beyond SESSION_KEYS are covered by a common floor: a copy of them that is older than the floor is read from the
    primary instead, which costs a little and is never wrong.
    """

    def __init__(self, seen: Mapping[bytes, Stamp] | None = None, floor: Stamp = NO_STAMP) -> None:
        self._seen: dict[bytes, Stamp] = dict(seen or {})
        self._floor = floor
        while len(self._seen) > limits.SESSION_KEYS:
            self._forget_oldest()

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
        """A text that carries this session to another process."""
        seen = {base64.b64encode(key).decode(): str(stamp) for key, stamp in list(self._seen.items())}
        content = json.dumps({"seen": seen, "floor": str(self._floor)}, separators=(",", ":"))
        return base64.urlsafe_b64encode(content.encode()).decode()

    @classmethod
    def from_token(cls, token: str) -> Session:
        """Read what `token` gave. Raises RequestError on anything else."""
        try:
            content = json.loads(base64.urlsafe_b64decode(token))
            seen = {base64.b64decode(key): Stamp.parse(stamp) for key, stamp in content["seen"].items()}
            return cls(seen, Stamp.parse(content["floor"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(f"session token cannot be read: {error}") from error

    def _forget_oldest(self) -> None:
        # Some at a time: to find its oldest key, a dict goes over the places of all that were taken out before it.
        # Another thread may forget the same ones at the same moment; then there is less left to do here.
        oldest = list(islice(self._seen, 1 + limits.SESSION_KEYS // 20))
        self._floor = max(self._floor, *(self._seen.pop(key, NO_STAMP) for key in oldest))


def check_session(session: object) -> Session:
    """The session that was given, a new one for None. Raises RequestError for anything else."""
    if session is None:
        return Session()
    if not isinstance(session, Session):
        raise RequestError(f"session must be a Session, not {type(session).__name__}")
    return session
