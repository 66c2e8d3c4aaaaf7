"""Programs with an event loop: what the asyncio write path does comes up in their histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redrepl.edges.loop_board import LoopBoard
from redrepl.edges.write_groups import WriteGroups
from tests.simulation.settings import PROFILES
from tests.simulation.simulation import simulate
from tests.simulation.world import in_virtual_time


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


def test_writes_leave_in_groups_that_are_held_and_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Counter[str]()

    def counted(owner: Any, method: str, name: Callable[..., str]) -> None:
        original = getattr(owner, method)

        def counting(*arguments: Any) -> Any:
            seen[name(*arguments)] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, method, counting)

    counted(
        WriteGroups, "_begin", lambda _, group: "alone" if len(group.entries) == 1 else "together"
    )
    counted(WriteGroups, "_held_long_enough", lambda _: "held")
    counted(LoopBoard, "_writable", lambda *_: "a piece")
    counted(LoopBoard, "give_up_all", lambda _: "given up")
    results = [simulate(seed, profile=PROFILES["tasks"]) for seed in range(8)]
    assert [result.seed for result in results if result.is_failure] == []
    assert min(seen[name] for name in ("alone", "together", "held", "a piece")) > 5
    assert not seen["given up"], "nothing interrupts a loop here"
    operations = sum((Counter(result.operations) for result in results), Counter[str]())
    assert any("TaskCancelled" in name for name in operations)
