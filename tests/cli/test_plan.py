"""`redrepl plan`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Invoke
from tests.cli.support.results import json_of


def test_json_has_every_level_and_the_capacity(invoke: Invoke) -> None:
    found = json_of(
        invoke(
            *("plan", "--copies", "3", "--availability", "90%"),
            *("--reads-per-second-per-copy", "1000", "--failover", "manual", "--format", "json"),
        )
    )
    assert [level["levels"] for level in found["levels"]] == [["ASYNC"], ["ONE", "QUORUM"], ["ALL"]]
    assert [level["write_availability"] for level in found["levels"]] == pytest.approx(
        [0.9, 0.891, 0.729]
    )
    assert found["any_copy_read_availability"] == pytest.approx(0.999)
    assert found["quorum_read_availability"] == pytest.approx(0.891)
    assert (found["reads_per_second"], found["expected_reads_per_second"]) == (
        3000,
        pytest.approx(2700),
    )
    assert found["failover"]["automatic"] is False


def test_with_automatic_failover_a_majority_is_enough(invoke: Invoke) -> None:
    given = (
        "plan",
        "--copies",
        "3",
        "--availability",
        "99.9%",
        "--switching-seconds",
        "1",
        "--away-minutes",
        "60",
    )
    found = json_of(invoke(*given, "--format", "json"))
    lost_seconds = (1 - found["quorum_read_availability"]) * 365.25 * 86400
    assert lost_seconds == pytest.approx(
        94.61 + 8.75, abs=0.01
    )  # not the 8.8 hours of a primary that stays away
    assert found["failover"] == {
        "automatic": True,
        "switching_seconds": 1.0,
        "away_seconds": 3600.0,
        "switches_per_year": pytest.approx(8.749, abs=0.001),
    }
    text = invoke(*given).stdout
    assert "write ONE, QUORUM (1 other)  99.99967 %  1.7 minutes" in text
    for assumption in (
        "copies fail independently",
        "replaced 1 s later by any majority",
        "8.75 times a year, 8.75 s",
    ):
        assert assumption in text


def test_table_in_words(invoke: Invoke) -> None:
    result = invoke("plan", "--copies", "2", "--availability", "0.99", "--availability", "0.9")
    assert result.exit_code == 0
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    assert lines[0][0] == "operation"
    assert "write ONE, QUORUM, ALL (1 other)  89.1 %" in result.stdout
    assert "read from any copy                99.9 %" in result.stdout


def test_every_count_is_listed(invoke: Invoke) -> None:
    result = invoke("plan", "--copies", "6", "--availability", "0.99")
    for text in (
        "ASYNC (0 others)",
        "ONE (1 other)",
        "2 (2 others)",
        "QUORUM (3 others)",
        "ALL (5 others)",
    ):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--copies", "3", "--availability", "1.5"], "does not lie in 0..1"),
        (["--copies", "3", "--availability", "101%"], "does not lie in 0..1"),
        (["--copies", "3", "--availability", "nan"], "does not lie in 0..1"),
        (["--copies", "3", "--availability", "often"], "neither a number"),
        (["--copies", "3", "--availability", "0.9", "--availability", "0.9"], "once or 3 times"),
        (["--copies", "17", "--availability", "0.9"], "range 1<=x<=16"),
        (["--copies", "3"], "Missing option '--availability'"),
    ],
)
def test_impossible_arguments(arguments: list[str], message: str, invoke: Invoke) -> None:
    result = invoke("plan", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
