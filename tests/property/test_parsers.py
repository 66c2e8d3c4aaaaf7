"""Whatever comes from outside, a parser takes it or raises what it says that it raises."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.property.parsers.parser import Parser
from tests.property.parsers.table import PARSERS

MANY = 20_000


def _try(parser: Parser, most: int, is_repeatable: bool) -> None:
    @given(parser.inputs)
    @settings(
        max_examples=most,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=is_repeatable,
        database=None,
    )
    def read(data: bytes) -> None:
        parser.accepts(data)

    read()


@pytest.mark.parametrize("name", PARSERS)
def test_only_documented_errors_come_out(name: str) -> None:
    _try(PARSERS[name], PARSERS[name].examples, is_repeatable=True)


@pytest.mark.soak
@pytest.mark.parametrize("name", PARSERS)
def test_only_documented_errors_come_out_of_many_inputs(name: str) -> None:
    _try(PARSERS[name], MANY * PARSERS[name].examples // 60, is_repeatable=False)


@pytest.mark.parametrize("name", PARSERS)
def test_sound_inputs_are_read(name: str) -> None:
    parser = PARSERS[name]
    accepted = [parser.accepts(data) for data in parser.sound]
    assert any(accepted)
