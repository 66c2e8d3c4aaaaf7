"""The availability formulas against counting every combination of copies that are up."""

from itertools import pairwise, product
from math import fsum, isclose, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl import ConsistencyLevel, RequestError
from redrepl.values.availability import at_least, count_distribution, plan_availability

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
def test_every_level_equals_the_enumeration(availabilities: list[float]) -> None:
    for level in plan_availability(availabilities).levels:
        expected = chance_of(availabilities, lambda ups, k=level.required: ups[0] and sum(ups[1:]) >= k)
        assert close(level.write_availability, expected)


@given(copies)
def test_reads_equal_the_enumeration(availabilities: list[float]) -> None:
    plan = plan_availability(availabilities)
    required = ConsistencyLevel.QUORUM.required(len(availabilities) - 1)
    assert close(plan.any_copy_read_availability, chance_of(availabilities, any))
    assert close(
        plan.quorum_read_availability, chance_of(availabilities, lambda ups: ups[0] and sum(ups[1:]) >= required)
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
    plan = plan_availability([0.9, 0.9, 0.9], reads_per_second_per_copy=1000)
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
