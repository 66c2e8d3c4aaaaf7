"""The availability formulas against counting every combination of copies that are up."""

from itertools import pairwise, product
from math import fsum, isclose, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl import ConsistencyLevel, RequestError
from redrepl.values.availability import (
    SECONDS_PER_YEAR,
    Switching,
    at_least,
    count_distribution,
    plan_availability,
)

probabilities = st.floats(0.0, 1.0)
copies = st.lists(probabilities, min_size=1, max_size=7)


def chance_of(availabilities: list[float], succeeds: object) -> float:
    """The probability of a condition on (up, up, ...), by adding up all combinations."""
    assert callable(succeeds)
    combinations = product((False, True), repeat=len(availabilities))
    return fsum(
        prod(p if up else 1 - p for p, up in zip(availabilities, ups, strict=True))
        for ups in combinations
        if succeeds(ups)
    )


def close(first: float, second: float) -> bool:
    return isclose(first, second, abs_tol=1e-12)


@given(copies)
def test_with_a_primary_that_stays_every_level_equals_the_enumeration(
    availabilities: list[float],
) -> None:
    for level in plan_availability(availabilities, switching=None).levels:
        expected = chance_of(
            availabilities, lambda ups, k=level.required: ups[0] and sum(ups[1:]) >= k
        )
        assert close(level.write_availability, expected)


@given(copies)
def test_with_a_failover_in_no_time_any_majority_is_enough(availabilities: list[float]) -> None:
    majority = len(availabilities) // 2 + 1
    for level in plan_availability(availabilities, switching=Switching(0.0, 1.0)).levels:
        needed = max(majority, level.required + 1)
        moving = chance_of(availabilities, lambda ups, needed=needed: sum(ups) >= needed)
        fixed = chance_of(
            availabilities, lambda ups, k=level.required: ups[0] and sum(ups[1:]) >= k
        )
        assert close(level.write_availability, max(moving, fixed))


@given(copies, st.floats(0.0, 100.0), st.floats(0.001, 100.0))
def test_a_failover_takes_nothing_that_a_fixed_primary_gives(
    availabilities: list[float], seconds: float, away: float
) -> None:
    fixed = plan_availability(availabilities, switching=None).levels
    moving = plan_availability(availabilities, switching=Switching(seconds, away)).levels
    for without, level in zip(fixed, moving, strict=True):
        assert without.write_availability <= level.write_availability <= 1.0


def test_a_majority_of_three_with_failover_by_hand() -> None:
    """Two of three at 99.9 %: 3 q^2 p + q^3 of a year is 94.6 s; 8.75 failovers of a second each
    come on top.
    """
    plan = plan_availability([0.999] * 3, switching=Switching(1.0, 3600.0))
    by_name = {name: level.write_availability for level in plan.levels for name in level.names}
    p, q = 0.999, 0.001
    down = 3 * p * q * q + q**3
    assert down * SECONDS_PER_YEAR == pytest.approx(94.61, abs=0.01)
    switched = q * p * p / 3600
    assert by_name["QUORUM"] == pytest.approx(1 - down - switched, abs=1e-15)
    assert plan.switches_per_year == pytest.approx(switched * SECONDS_PER_YEAR)
    assert plan.switches_per_year == pytest.approx(8.749, abs=0.001)
    assert by_name["ALL"] == pytest.approx(p**3)
    assert by_name["ASYNC"] == by_name["QUORUM"]


def test_five_copies_by_hand() -> None:
    """Three of five at 90 %: 10 p^3 q^2 + 5 p^4 q + p^5 = 0.99144."""
    plan = plan_availability([0.9] * 5, switching=Switching(0.0, 1.0))
    by_name = {name: level.write_availability for level in plan.levels for name in level.names}
    assert by_name["QUORUM"] == pytest.approx(0.99144)
    assert plan.quorum_read_availability == pytest.approx(0.99144)
    assert by_name["ALL"] == pytest.approx(0.59049)


def test_two_copies_are_never_replaced() -> None:
    with_failover = plan_availability([0.99, 0.9])
    assert with_failover.switches_per_year == 0.0
    assert with_failover.levels == plan_availability([0.99, 0.9], switching=None).levels


def test_a_failover_that_takes_all_the_absence_is_no_failover_at_all() -> None:
    with pytest.raises(RequestError, match="more than 0"):
        plan_availability([0.9] * 3, switching=Switching(1.0, 0.0))
    slow = plan_availability([0.9] * 3, switching=Switching(10.0, 1.0))
    assert slow.levels[1].write_availability == pytest.approx(0.9 * 0.99)


@given(copies)
def test_reads_equal_the_enumeration(availabilities: list[float]) -> None:
    plan = plan_availability(availabilities, switching=None)
    required = ConsistencyLevel.QUORUM.required(len(availabilities) - 1)
    assert close(plan.any_copy_read_availability, chance_of(availabilities, any))
    assert close(
        plan.quorum_read_availability,
        chance_of(availabilities, lambda ups: ups[0] and sum(ups[1:]) >= required),
    )


@given(st.lists(probabilities, max_size=12))
def test_the_distribution_is_one(availabilities: list[float]) -> None:
    chances = count_distribution(availabilities)
    assert len(chances) == len(availabilities) + 1
    assert close(fsum(chances), 1.0)
    assert at_least(availabilities, 0) == pytest.approx(1.0)
    assert at_least(availabilities, len(availabilities) + 1) == 0.0


@given(copies)
def test_a_stricter_level_is_never_more_available(availabilities: list[float]) -> None:
    found = [level.write_availability for level in plan_availability(availabilities).levels]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(found))


@given(st.integers(1, 16))
def test_every_level_has_its_names(count: int) -> None:
    plan = plan_availability([0.9] * count)
    named = {name: level.required for level in plan.levels for name in level.names}
    assert named == {level.name: level.required(count - 1) for level in ConsistencyLevel}
    assert [level.required for level in plan.levels] == list(range(count))


def test_three_copies_by_hand() -> None:
    plan = plan_availability([0.9, 0.9, 0.9], reads_per_second_per_copy=1000, switching=None)
    by_name = {name: level.write_availability for level in plan.levels for name in level.names}
    assert by_name["ASYNC"] == pytest.approx(0.9)
    assert by_name["QUORUM"] == pytest.approx(0.9 * 0.99)
    assert by_name["ALL"] == pytest.approx(0.729)
    assert plan.any_copy_read_availability == pytest.approx(0.999)
    assert plan.reads_per_second == 3000
    assert plan.expected_reads_per_second == pytest.approx(2700)


@pytest.mark.parametrize("availabilities", [[], [0.9] * 17, [1.1], [-0.1], [float("nan")]])
def test_impossible_copies_are_refused(availabilities: list[float]) -> None:
    with pytest.raises(RequestError):
        plan_availability(availabilities)


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(RequestError, match="reads per second"):
        plan_availability([0.9], rate)
