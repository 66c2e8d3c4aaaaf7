"""Suites: what they hold, and what `--only` leaves of them."""

from __future__ import annotations

import pytest

from redrepl_cli.bench.suites import SUITES


def test_names_and_baselines_are_right() -> None:
    for suite in SUITES.values():
        assert len(set(suite.names)) == len(suite.names)
        for group in suite.groups:
            names = {spec.name for spec in group.specs}
            assert len({spec.unit.is_rate for spec in group.specs}) == 1
            for spec in group.specs:
                assert set(spec.baselines) <= names
                assert spec.name not in spec.baselines


def test_only_keeps_baselines() -> None:
    chosen = SUITES["peers"].only(["single/redrepl set quorum"])
    assert chosen.names == [
        "single/redis-py set",
        "single/redrepl set QUORUM",
        "single/SET + WAIT 1, pipeline",
    ]


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [("asyncio", {"asyncio"}), ("memory", {"memory"}), ("*dead", {"faults"}), ("nobody", set())],
)
def test_only_takes_parts_and_patterns(pattern: str, groups: set[str]) -> None:
    assert {name.partition("/")[0] for name in SUITES["peers"].only([pattern]).names} == groups


def test_patterns_add_up() -> None:
    assert SUITES["peers"].only(["delay/*no proxy", "memory"]).names == [
        "memory/coordinator",
        "delay/redis-py set, no proxy",
    ]
