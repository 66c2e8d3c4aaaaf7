"""Figures from turns: medians of rounds, quartiles, ratios taken round by round."""

from __future__ import annotations

import pytest

from redrepl_cli.bench.figures import percentile, spread, summarise
from redrepl_cli.bench.subjects import Turn, Unit
from tests.unit.support.bench import report, spec, turns


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7], 0.99, 7),
        ([3, 1, 2], 0.5, 2),
        ([1, 2, 3, 4], 0.5, 2.5),
        ([4, 1, 3, 2], 0.25, 1.75),
        ([0, 100], 0.99, 99),
    ],
)
def test_percentiles_lie_between_their_neighbours(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == pytest.approx(expected)


def test_a_spread_is_in_order() -> None:
    assert spread([5, 1, 4, 2, 3]) == (3, 2, 4, 1, 5)


def test_a_ratio_is_taken_in_each_round_and_not_of_the_medians() -> None:
    found = summarise(
        "g", spec("own", "base"), {"own": turns(20, 30, 90), "base": turns(10, 30, 30)}
    )
    (ratio,) = found.ratios
    assert (ratio.baseline, ratio.spread.median, ratio.spread.lowest, ratio.spread.highest) == (
        "base",
        2,
        1,
        3,
    )
    assert found.median_micros == (30, 25, 60, 20, 90)
    assert (found.calls, found.slowest_micros, found.rate) == (6, 91, None)


def test_rates_are_compared_by_rate() -> None:
    fast, slow = [Turn([10.0], 0.5, 500)], [Turn([1.0], 2.0, 500)]
    found = summarise(
        "g", spec("own", "base", unit=Unit.KEYS_PER_SECOND), {"own": fast, "base": slow}
    )
    assert found.rate is not None
    assert (found.rate.median, found.ratios[0].spread.median) == (1000, 4)


def test_a_baseline_that_was_not_measured_gives_no_ratio() -> None:
    found = summarise("g", spec("own", "gone", "base"), {"own": turns(20), "base": turns(10)})
    assert [ratio.baseline for ratio in found.ratios] == ["base"]
    assert summarise("g", spec("own", "gone"), {"own": turns(20)}).as_json()["ratio"] is None


def test_every_figure_in_json_has_its_unit_in_its_name() -> None:
    base, own, *_, many = report().as_json()["results"]
    assert (base["baseline"], base["ratio"], base["other_ratios"]) == (None, None, [])
    assert (own["baseline"], own["ratio"], own["ratio_of"]) == ("base", 1.5, "median_micros")
    assert own["ratio_quartiles"] == [1.25, 1.75]
    assert own["ratio_range"] == [1, 2]
    assert own["other_ratios"] == [
        {
            "baseline": "other",
            "ratio": 0.5,
            "ratio_quartiles": [0.5, 0.5],
            "ratio_range": [0.5, 0.5],
        }
    ]
    assert (own["median_micros"], own["median_micros_range"], own["operations"]) == (
        30,
        [20, 40],
        6,
    )
    assert own["median_micros"] < own["p99_micros"] < own["slowest_micros"]
    assert (many["ratio_of"], many["keys_per_second"]) == ("keys_per_second", 166670)
    assert "keys_per_second" not in own
