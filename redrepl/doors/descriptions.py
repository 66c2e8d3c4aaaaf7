"""Docstrings that two classes have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)


def described_like(other: type) -> Callable[[C], C]:
    """Add to a class' docstring what that of ``other`` says after its first line.

    `help` shows no text of base classes, and a text written twice comes to differ.
    """

    def describe(cls: C) -> C:
        own, (_, _, rest) = (
            inspect.cleandoc(cls.__doc__ or ""),
            inspect.cleandoc(other.__doc__ or "").partition("\n\n"),
        )
        cls.__doc__ = f"{own}\n\n{rest}"
        return cls

    return describe
