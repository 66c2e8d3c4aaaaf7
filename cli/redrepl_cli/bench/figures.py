"""From the turns of all rounds to figures: pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redrepl_cli.bench.subjects import Spec, Turn, Unit


class Spread(NamedTuple):
    """The median of the rounds; half of them lie within the quartiles, all within lowest and
    highest.
    """

    median: float
    first_quartile: float
    third_quartile: float
    lowest: float
    highest: float

    def as_json(self, name: str) -> dict[str, Any]:
        """Three fields, of which ``name``, with its unit, is the figure's own."""
        return {
            name: _rounded(self.median),
            f"{name}_quartiles": [_rounded(self.first_quartile), _rounded(self.third_quartile)],
            f"{name}_range": [_rounded(self.lowest), _rounded(self.highest)],
        }


class Ratio(NamedTuple):
    """A subject's figure by its baseline's in the same round."""

    baseline: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class Result:
    """A subject's figures.

    ``calls``: timed ones in all rounds. ``rate`` None: compared by the time of a call.

    median_micros, p99_micros: of a round's calls, where one batch is one call. slowest_micros: of
    all calls.
    """

    group: str
    name: str
    unit: Unit
    calls: int
    median_micros: Spread
    p99_micros: Spread
    slowest_micros: float
    rate: Spread | None
    ratios: tuple[Ratio, ...]

    def as_json(self) -> dict[str, Any]:
        """The form that stays stable; the main baseline's ratio stands at the top."""
        main = self.ratios[0] if self.ratios else None
        return {
            "group": self.group,
            "name": self.name,
            "baseline": main.baseline if main else None,
            **(main.spread.as_json("ratio") if main else {"ratio": None}),
            "other_ratios": [
                {"baseline": r.baseline, **r.spread.as_json("ratio")} for r in self.ratios[1:]
            ],
            "ratio_of": self.unit.value if self.rate else "median_micros",
            "operations": self.calls,
            **self.median_micros.as_json("median_micros"),
            **self.p99_micros.as_json("p99_micros"),
            "slowest_micros": _rounded(self.slowest_micros),
            **(self.rate.as_json(self.unit.value) if self.rate else {}),
        }


def summarise(group: str, spec: Spec, turns: Mapping[str, Sequence[Turn]]) -> Result:
    """The figures of one subject.

    ``turns``: by subject, one per round; baselines not in it give no ratio.
    """
    own = turns[spec.name]
    ratios = [
        Ratio(base, _ratio(spec.unit, own, turns[base])) for base in spec.baselines if base in turns
    ]
    return Result(
        group,
        spec.name,
        spec.unit,
        sum(len(turn.micros) for turn in own),
        spread([percentile(turn.micros, 0.5) for turn in own]),
        spread([percentile(turn.micros, 0.99) for turn in own]),
        max(max(turn.micros) for turn in own),
        spread([_rate(turn) for turn in own]) if spec.unit.is_rate else None,
        tuple(ratios),
    )


def spread(rounds: Sequence[float]) -> Spread:
    """How the rounds' figures scatter."""
    middle, first, third = (percentile(rounds, share) for share in (0.5, 0.25, 0.75))
    return Spread(middle, first, third, min(rounds), max(rounds))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, between two of them by proportion."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _ratio(unit: Unit, own: Sequence[Turn], base: Sequence[Turn]) -> Spread:
    figure = _rate if unit.is_rate else _median
    return spread([figure(mine) / figure(other) for mine, other in zip(own, base, strict=True)])


def _median(turn: Turn) -> float:
    return percentile(turn.micros, 0.5)


def _rate(turn: Turn) -> float:
    return turn.units / turn.seconds


def _rounded(value: float) -> float:
    """Five digits say all that a measurement can."""
    return float(f"{value:.5g}")
