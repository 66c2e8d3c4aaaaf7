"""What type checkers make of the first lines of a program: these run under mypy with the rest, and
under pyright here.

Lines that must not pass have a `type: ignore`, which fails where it is not needed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, assert_type

import pytest

from redrepl import AsyncCoordinator, Coordinator, JsonCodec, ReplicatedCache, WriteReceipt
from redrepl.plans.client.reads import FoundRecord

Counts = dict[str, int]


def plain() -> None:
    """Without codecs: keys are texts or bytes, values bytes."""
    with Coordinator.from_config("redrepl.toml") as store:
        assert_type(store, Coordinator[str, bytes])
        assert_type(store.set("user:1", b"ada", ttl=3600), WriteReceipt)
        assert_type(store.get("user:1"), bytes | None)
        assert_type(store.get_record(b"user:1"), FoundRecord[bytes] | None)
        assert_type(store.keys("user:"), Iterator[bytes])
        store.set("user:1", 5)  # type: ignore[arg-type]
        name: int = store.get("user:1") or 0  # type: ignore[assignment]
        assert_type(name, int)
    assert_type(
        Coordinator.connect(["redis://a"], "shop", tick_seconds=2.0), Coordinator[str, bytes]
    )
    assert_type(ReplicatedCache(store).get("k"), Any)


def with_a_codec() -> None:
    """The codec gives the type of the values."""
    store = Coordinator.from_config(value_codec=JsonCodec[Counts]())
    assert_type(store, Coordinator[str, Counts])
    assert_type(store.get("k"), Counts | None)
    store.set("k", {"a": 1})
    store.set("k", {"a": "1"})  # type: ignore[dict-item]
    keyed = Coordinator.connect(
        ["redis://a"], "shop", key_codec=JsonCodec[tuple[int, int]](sorts_keys=True)
    )
    assert_type(keyed, Coordinator[tuple[int, int], bytes])
    assert_type(keyed.get((1, 2)), bytes | None)


async def with_asyncio() -> None:
    """The same with await."""
    async with AsyncCoordinator.from_config("redrepl.toml") as store:
        assert_type(store, AsyncCoordinator[str, bytes])
        assert_type(await store.set("user:1", b"ada"), WriteReceipt)
        assert_type(await store.get("user:1"), bytes | None)
        assert_type(store.keys("user:"), AsyncIterator[bytes])
        await store.set("user:1", 5)  # type: ignore[arg-type]


@pytest.mark.soak
def test_pyright_finds_the_same_mistakes_and_no_others() -> None:
    checker = shutil.which("pyright") or shutil.which("basedpyright")
    if checker is None:
        pytest.skip("no pyright is installed")
    command = [checker, "--outputjson", "--pythonpath", sys.executable, __file__]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    found = [
        each for each in json.loads(run.stdout)["generalDiagnostics"] if each["severity"] == "error"
    ]
    wrong = [
        number
        for number, line in enumerate(Path(__file__).read_text().splitlines())
        if "# type: ignore[" in line
    ]
    places = {each["range"]["start"]["line"] for each in found}
    assert places in (set(), set(wrong)), found  # pyright itself leaves these out
