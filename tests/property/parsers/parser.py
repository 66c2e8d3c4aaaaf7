"""What is known of a parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from tests.support.mutation import mutated


class Parser(NamedTuple):
    """One way in.

    read: takes bytes, and also asserts what holds of all that comes out. errors: those that it says
    it raises. sound: inputs near which others are made. made: how inputs are made where `mutated`
    is not it.
    examples: how many inputs `make test` tries.
    """

    name: str
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    sound: tuple[bytes, ...]
    made: st.SearchStrategy[bytes] | None = None
    examples: int = 60

    @property
    def inputs(self) -> st.SearchStrategy[bytes]:
        """Inputs to try."""
        return self.made if self.made is not None else mutated(self.sound)

    def accepts(self, data: bytes) -> bool:
        """Read these bytes: whether something came out of them.

        Anything but a documented error is raised.
        """
        try:
            self.read(data)
        except self.errors:
            return False
        return True


def text(data: bytes) -> str:
    """Any text, with lone surrogates where the bytes are no UTF-8: so the environment and command
    lines give it.
    """
    return data.decode("utf-8", "surrogateescape")
