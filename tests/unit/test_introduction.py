"""What a server says before it closes a connection that is being opened is told, whatever becomes
of our questions.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.endpoint import split_url
from redrepl.edges.introduction import NodeUnusable, introduce
from redrepl.values.keys import KeyLayout

FULL = b"-ERR max number of clients reached\r\n"
ADMISSION = Admission(KeyLayout("shop"), Purpose.SERVE)


class Closing:
    """A socket on which this comes before the peer closes.

    ``sends``: whether it took our questions before that.
    """

    def __init__(self, data: bytes, sends: bool, resets: bool) -> None:
        self._data = data
        self._sends = sends
        self._resets = resets

    def settimeout(self, seconds: float) -> None:
        """Nothing waits here."""

    def gettimeout(self) -> float:
        """For each answer."""
        return 1.0

    def sendall(self, _: bytes) -> None:
        """All at once, or nothing."""
        if not self._sends:
            raise BrokenPipeError("Broken pipe")

    def recv(self, size: int) -> bytes:
        """What came before the end, and then that."""
        data, self._data = self._data[:size], self._data[size:]
        if not data and self._resets:
            raise ConnectionResetError("Connection reset by peer")
        return data


def opened(data: bytes, sends: bool = True, resets: bool = False, url: str = "redis://h") -> None:
    sock: Any = Closing(data, sends, resets)
    introduce(sock, split_url("a", url), SimpleNamespace(client_name=None, db=0), ADMISSION, 1.0)


@pytest.mark.parametrize("url", ["redis://h", "redis://:secret@h"])
@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("sends", [True, False])
def test_what_a_server_says_before_it_closes_is_told(sends: bool, resets: bool, url: str) -> None:
    with pytest.raises(NodeUnusable) as told:
        opened(FULL, sends, resets, url)
    assert "takes no more clients: ERR max number of clients reached" in str(told.value)


@pytest.mark.parametrize(
    ("sends", "resets", "error"),
    [
        (True, False, "closed the connection"),
        (True, True, "reset by peer"),
        (False, True, "Broken pipe"),
    ],
)
def test_one_that_closes_without_a_word_is_told_as_that(
    sends: bool, resets: bool, error: str
) -> None:
    with pytest.raises((ConnectionResetError, BrokenPipeError), match=error):
        opened(b"", sends, resets)


def test_a_server_that_quotes_what_it_was_asked_shows_no_password() -> None:
    quoted = b"-ERR unknown command 'AUTH', with args beginning with: 'ada' 's3cr3t' \r\n"
    with pytest.raises(NodeUnusable) as told:
        opened(quoted, url="redis://ada:s3cr3t@h")
    assert "unknown command 'AUTH'" in str(told.value)
    assert "s3cr3t" not in str(told.value)
