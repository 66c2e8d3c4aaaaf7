"""Rounds: everybody takes turns, the first round does not count, and who fails does not stop the
others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import MagicMock

import pytest

from redrepl import Unavailable
from redrepl_cli.bench.memory import resident_bytes
from redrepl_cli.bench.native import set_and_wait_in_pipeline, set_then_wait
from redrepl_cli.bench.rounds import Taker, measure_group, reason_of, take_rounds
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, Turn, each_await, each_call

SETTINGS = Settings(rounds=2, operations=8, value_bytes=1, copies=3)


class Diary:
    """Who took a turn, of how many calls."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, int]] = []

    def taker(self, name: str, calls: int = 8, fails_at: int | None = None) -> Taker:
        """A subject that fails at its so manieth turn."""

        def take_turn(calls: int) -> Turn:
            self.turns.append((name, calls))
            if fails_at is not None and len([n for n, _ in self.turns if n == name]) == fails_at:
                raise CannotMeasure("had enough")
            return Turn([1.0] * calls, 0.001, calls)

        return Taker(take_turn, calls)


def test_everybody_takes_a_turn_in_each_round() -> None:
    diary, seen = Diary(), list[int]()
    found = take_rounds({name: diary.taker(name) for name in "abc"}, 2, {}, seen.append)
    by_round = [diary.turns[start : start + 3] for start in (0, 3, 6)]
    assert [sorted(each) for each in by_round] == [
        [("a", 2), ("b", 2), ("c", 2)],
        *[[("a", 8), ("b", 8), ("c", 8)]] * 2,
    ]
    assert {name: len(turns) for name, turns in found.items()} == {"a": 2, "b": 2, "c": 2}
    assert seen == [0, 1, 2]


def test_rounds_have_different_orders_and_runs_the_same() -> None:
    runs = []
    for _ in range(2):
        diary = Diary()
        take_rounds({name: diary.taker(name) for name in "abcd"}, 8, {}, lambda _round: None)
        runs.append([name for name, _ in diary.turns])
    assert runs[0] == runs[1]
    assert len({"".join(runs[0][start : start + 4]) for start in range(0, 36, 4)}) > 3


@pytest.mark.parametrize("fails_at", [1, 3])
def test_who_fails_drops_out_with_its_reason(fails_at: int) -> None:
    diary, reasons = Diary(), dict[str, str]()
    takers = {"good": diary.taker("good"), "bad": diary.taker("bad", fails_at=fails_at)}
    found = take_rounds(takers, 3, reasons, lambda _round: None)
    assert list(found) == ["good"]
    assert len(found["good"]) == 3
    assert reasons == {"bad": "had enough"}


def test_ctrl_c_is_no_reason_but_ends_the_run() -> None:
    def interrupted(_calls: int) -> Turn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_rounds({"a": Taker(interrupted, 1)}, 1, {}, lambda _round: None)


def test_a_group_measures_what_can_be_prepared() -> None:
    opened: list[str] = []

    @contextmanager
    def resource(_stage: Stage) -> Iterator[str]:
        opened.append("opened")
        yield "resource"
        opened.append("closed")

    @contextmanager
    def missing(_stage: Stage) -> Iterator[str]:
        opened.append("tried")
        raise CannotMeasure("is not there\nand more")
        yield ""

    def good(stage: Stage) -> TakeTurn:
        return each_call(lambda _number: stage.use(resource))

    def bad(stage: Stage) -> TakeTurn:
        return each_call(lambda _number: stage.use(missing)) if stage.use(missing) else good(stage)

    specs = (
        Spec("base", good),
        Spec("bad", bad),
        Spec("worse", bad),
        Spec("own", good, ("base", "bad"), share=0.5),
    )
    found = measure_group(Group("g", "title", specs), SETTINGS, lambda _round: None)
    assert [(result.name, result.calls) for result in found.results] == [("base", 16), ("own", 8)]
    assert [ratio.baseline for ratio in found.results[1].ratios] == ["base"]
    assert found.not_measured == [("g", "bad", "is not there"), ("g", "worse", "is not there")]
    assert opened == ["tried", "opened", "closed"], (
        "each is opened once, and a failure is not tried again"
    )


def test_tasks_share_the_calls_of_a_turn() -> None:
    numbers, under_way, most = list[int](), 0, 0

    async def call(number: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        numbers.append(number)
        await asyncio.sleep(0)
        under_way -= 1

    with asyncio.Runner() as runner:
        turn = each_await(runner, call, tasks=3, units=5)(10)
    assert sorted(numbers) == list(range(10))
    assert (most, len(turn.micros), turn.units) == (3, 10, 50)


def test_a_failure_among_tasks_is_told_by_itself() -> None:
    async def call(number: int) -> None:
        if number == 2:
            raise CannotMeasure("number two")

    with asyncio.Runner() as runner, pytest.raises(ExceptionGroup) as caught:
        each_await(runner, call, tasks=2)(4)
    assert reason_of(caught.value) == "number two"


def test_a_reason_names_the_nodes() -> None:
    reason = reason_of(Unavailable("not enough copies", {"c": "gone"}))
    assert reason.startswith("not enough copies")
    assert "c: gone" in reason
    assert reason_of(ValueError()) == "ValueError"


@pytest.mark.parametrize("how", [set_then_wait, set_and_wait_in_pipeline])
def test_a_wait_that_nobody_confirms_is_not_measured(
    how: Callable[..., Callable[[int], None]],
) -> None:
    client = MagicMock()
    client.wait.return_value = 1
    client.pipeline.return_value.execute.return_value = [True, 1]
    how(client, b"value", 1)(0)
    with pytest.raises(CannotMeasure, match="WAIT 2 was confirmed by 1 replicas only"):
        how(client, b"value", 2)(0)


def test_this_process_has_a_size() -> None:
    assert resident_bytes() > 1_000_000
