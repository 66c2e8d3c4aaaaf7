"""What a handler or a finalizer may do in the middle of a call, and what helpers may not do to whom they help."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from redrepl.edges import threads, wake_ups
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.channel import Channel, _Bell
from redrepl.edges.clock import StampClock, SystemClock
from redrepl.edges.driver import BlockingDriver
from redrepl.edges.switchboard import encode
from redrepl.edges.wake_ups import QueueWakeUps
from redrepl.values.effects import PlainCommand, ScriptCall
from redrepl.values.keys import KeyLayout
from redrepl.values.stamp import Stamp
from tests.support.waiting import wait_until

WRITER = 9


class _HandlerWrites(SystemClock):
    """While it is read, a handler comes in and is given a stamp of the same clock, once."""

    clock: StampClock | None = None
    given: Stamp | None = None

    def micros(self) -> int:
        clock, self.clock = self.clock, None
        if clock is not None:
            self.given = clock.next()
            clock.observe(self.given.micros)
        return 1_000_000


def test_a_handler_that_writes_gets_a_stamp_of_another_writer_and_waits_for_nobody() -> None:
    physical = _HandlerWrites()
    clock = StampClock(physical, WRITER)
    before = clock.next()
    physical.clock = clock
    stamps: list[Stamp] = []
    caller = threading.Thread(target=lambda: stamps.append(clock.next()), daemon=True)
    caller.start()
    caller.join(10)
    assert not caller.is_alive(), "it waits for itself"
    assert physical.given is not None
    assert physical.given.writer != WRITER
    assert physical.given > before
    assert stamps[0].writer == WRITER
    assert clock.next() > max(*stamps, physical.given)


class _OtherThreadHoldsTheLock:
    """The clock's lock, that another thread has just taken."""

    def __init__(self, clock: StampClock) -> None:
        self._clock, self._lock = clock, clock._lock
        self.waited = False

    def locked(self) -> bool:
        return True

    def __enter__(self) -> None:
        self.waited = True
        self._clock._lock = self._lock

    def __exit__(self, *_: object) -> None:
        return


def test_whoever_finds_the_clock_in_use_by_another_thread_waits_and_stays_the_same_writer() -> None:
    clock = StampClock(SystemClock(), WRITER)
    for use in (clock.next, lambda: clock.observe(clock.next().micros + 1)):
        use()
        busy = _OtherThreadHoldsTheLock(clock)
        clock._lock = busy  # type: ignore[assignment]
        assert clock.next().writer == WRITER
        assert busy.waited


def _driver() -> BlockingDriver:
    return BlockingDriver([], Admission(KeyLayout("shop"), Purpose.SERVE))


def test_a_channel_that_an_interruption_lost_is_not_counted_and_keeps_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[int] = []

    def close(fileno: int) -> None:
        os.close(fileno)
        closed.append(fileno)

    monkeypatch.setattr(_Bell, "_close_file", staticmethod(close))
    driver, opened = _driver(), []
    for _ in range(5):
        bell = driver._borrow()._bell
        opened += [bell.fileno, bell._write]
    del bell
    gc.collect()
    assert len(driver._channels) == 0
    assert sorted(closed) == sorted(opened)


def test_a_channel_that_was_left_amid_an_exchange_is_not_used_again() -> None:
    driver = _driver()
    channel = driver._borrow()
    driver._give_back(channel)
    assert driver._borrow() is channel
    channel._is_amid = True
    driver._give_back(channel)
    assert driver._borrow() is not channel
    assert channel._closed


def test_a_ring_that_comes_after_the_end_reaches_no_other_file() -> None:
    channel = Channel(dict, 1.0)
    ring = channel._ring
    channel.close()
    read, write = os.pipe()  # gets the numbers that were let go
    os.set_blocking(read, False)
    ring()
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("command", [ScriptCall("write", (b"k",), (1, b"x", -5)), PlainCommand((b"GET", b"k"))])
def test_bytes_alone_go_to_the_packer(command: ScriptCall | PlainCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[tuple[object, ...]] = []
    monkeypatch.setattr("hiredis.pack_command", packed.append)
    encode(command)
    assert {type(part) for part in packed[0]} == {bytes}


_start = threading.Thread.start
HINTS = "redrepl-wake-ups"


def _no_thread(thread: threading.Thread) -> None:
    if thread.name == HINTS:  # others may be at work in this process
        raise RuntimeError("can't start new thread")
    _start(thread)


def test_a_hint_for_which_no_thread_is_to_be_had_reaches_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(wake_ups, "open_queue", lambda *_: None)
    monkeypatch.setattr(wake_ups, "enqueue_bring_up", lambda _queue, _cluster, node, _key: sent.append(node))
    hints = QueueWakeUps("shop", "redis://queue.example", "redrepl-shop")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        hints.request(["a"])
    hints.request(["b"])
    wait_until(lambda: sent == ["a", "b"])
    hints.close()


def test_no_thread_is_begun_when_the_interpreter_is_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(threads, "is_finalizing", lambda: True)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: begun.append(thread.name))
    hints = QueueWakeUps("shop", "redis://queue.example", "redrepl-shop")
    hints.request(["a"])
    assert HINTS not in begun
