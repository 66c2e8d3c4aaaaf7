"""What the subjects of one group run on: opened when the first of them asks, closed with the
group.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from redrepl_cli.bench.settings import Settings

T = TypeVar("T")


class CannotMeasure(Exception):
    """A subject cannot be measured here; the text says why. The rest of the run goes on."""


class Stage:
    """Servers and clients of one group, each opened once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self._opened: dict[object, Any] = {}
        self._failed: dict[object, Exception] = {}

    def use(self, opener: Callable[[Stage], AbstractContextManager[T]]) -> T:
        """What ``opener`` opens; what could not be opened is not tried again, but raises its error
        again.
        """
        if opener in self._failed:
            raise self._failed[opener]
        if opener not in self._opened:
            try:
                self._opened[opener] = self._stack.enter_context(opener(self))
            except Exception as error:
                self._failed[opener] = error
                raise
        found: T = self._opened[opener]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The error goes to nobody who was opened: a client that hears of it could hide it.
        self._stack.close()
