"""Kinds of arguments that several commands take."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from redrepl.values import limits

if TYPE_CHECKING:
    from redrepl import Coordinator

_TIMES = 3.0
"""How many times as long as finding the cluster took, which was connecting and one answer, an
operation may take.
"""


def _decimal(text: str) -> float | None:
    """The number that a text is, None where it is none.

    Python takes more forms than people write.
    """
    try:
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None


class FiniteRange(click.FloatRange):
    """A range of numbers: without NaN, which compares with no bound, and without infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuse what is no number that one can wait or count for."""
        found: float = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return found


class LevelType(click.ParamType[str]):
    """A consistency level: async, one, quorum, all or a count of other copies; kept as text."""

    name = "level"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse anything else before a node is asked; whether a count fits, the cluster
        decides.
        """
        from redrepl.values.errors import RequestError
        from redrepl.values.level import parse_level

        try:
            parse_level(value)
        except RequestError as error:
            self.fail(error.message, param, ctx)
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The names."""
        names = ("async", "one", "quorum", "all")
        return [CompletionItem(name) for name in names if name.startswith(incomplete.lower())]


class ProbabilityType(click.ParamType[float]):
    """A probability, as 0.999 or as 99.9%."""

    name = "probability"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read either form and check the range."""
        text = str(value).strip()
        found = _decimal(text.removesuffix("%"))
        if found is None:
            self.fail(
                f"{value!r} is neither a number such as 0.999 nor a percentage such as 99.9%",
                param,
                ctx,
            )
        found = found / 100 if text.endswith("%") else found
        if not 0.0 <= found <= 1.0:
            self.fail(f"{value!r} does not lie in 0..1 (or 0%..100%)", param, ctx)
        return found


LEVEL = LevelType()
PROBABILITY = ProbabilityType()

timeout_option = click.option(
    "--timeout",
    "timeout_seconds",
    type=FiniteRange(min=0.0, min_open=True, max=limits.MAX_TIMEOUT_SECONDS),
    metavar="SECONDS",
    help="Time for the operation [default: timeout_seconds, and more where the nodes are far].",
)

level_option = click.option(
    "--level",
    type=LEVEL,
    metavar="LEVEL",
    help="Copies that must confirm: async, one, quorum, all, or a count of others.",
)


def timeout_for(coordinator: Coordinator[str, bytes], timeout_seconds: float | None) -> float:
    """The time for an operation: what was asked for, else what is configured, and more where the
    nodes are far.

    A command connects first, which takes several round trips by itself.
    """
    if timeout_seconds is not None:
        return timeout_seconds
    measured = min(_TIMES * coordinator.reached_in_seconds, limits.MAX_TIMEOUT_SECONDS)
    return max(coordinator.configuration.timeout_seconds, measured)
