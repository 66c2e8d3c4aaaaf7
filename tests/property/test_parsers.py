"""Whatever comes from outside, a parser takes it or raises what it says that it raises."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.parsers.table import PARSERS

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
long = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
@quick
def test_only_documented_errors_come_out(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    parser.accepts(data.draw(parser.inputs))


@pytest.mark.soak
@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
@long
def test_only_documented_errors_come_out_of_many_inputs(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    parser.accepts(data.draw(parser.inputs))


@pytest.mark.parametrize("name", PARSERS)
def test_sound_inputs_are_read(name: str) -> None:
    parser = PARSERS[name]
    accepted = [parser.accepts(data) for data in parser.sound]
    assert any(accepted)
