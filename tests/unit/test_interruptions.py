"""What a handler or a finalizer may do in the middle of a call, and what helpers may not do to whom
they help.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import warnings
from types import FrameType
from typing import Any

import pytest

from redrepl.edges import threads, wake_ups
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.channel import Channel, _Bell
from redrepl.edges.clock import StampClock, SystemClock
from redrepl.edges.connection import NodeConnection
from redrepl.edges.driver import BlockingDriver
from redrepl.edges.locks import new_lock
from redrepl.edges.packing import encode
from redrepl.edges.wake_ups import QueueWakeUps
from redrepl.values.effects import PlainCommand, Plan, ScriptCall
from redrepl.values.errors import RequestError
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


def test_stamps_that_are_given_within_are_later_one_by_one() -> None:
    clock = StampClock(_StandsStill(), WRITER)
    given = [clock.next()]
    with clock._lock:
        given += [clock.next() for _ in range(3)]
        clock.observe(given[-1].micros + 5)
        given.append(clock.next())
    assert given == sorted(set(given))
    assert given[-1].micros > given[-2].micros + 5
    assert len({stamp.writer for stamp in given}) == len(given)
    assert clock.next() > max(given)
    assert clock.next().writer == WRITER


class _StandsStill(SystemClock):
    def micros(self) -> int:
        return 1_000_000


def test_a_lock_that_an_interruption_left_locked_is_given_back_where_the_call_ends() -> None:
    driver, lock = _driver(), new_lock()

    def interrupted() -> Plan[None]:
        lock.acquire()
        lock.acquire()
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        driver.run(interrupted())
    taken: list[bool] = []
    other = threading.Thread(target=lambda: taken.append(lock.acquire(timeout=10)), daemon=True)
    other.start()
    other.join(20)
    assert taken == [True]
    driver.close()
    del driver
    gc.collect()


def _driver() -> BlockingDriver:
    return BlockingDriver([], Admission(KeyLayout("shop"), Purpose.SERVE))


def test_a_bell_whose_finalizer_has_run_reads_no_file() -> None:
    """Its weak references are called before somebody's `__del__` that uses the store."""
    bell = _Bell()
    list(_Bell._closing(bell._ends))
    with pytest.raises(RequestError, match="the interpreter is ending"):
        bell.silence()
    assert bell._ends == []
    bell._ends.append(None)  # where its own closing ends


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


@pytest.mark.parametrize("in_a_circle", [False, True])
def test_what_an_interruption_lost_goes_without_a_line_of_python(in_a_circle: bool) -> None:
    """An exception of a signal's handler that comes in such a line is dropped: it is in no one's
    call.
    """
    driver, ran = _driver(), list[str]()
    channel: list[Any] = [driver._borrow()]
    mine, other = socket.socketpair()
    channel[0]._connections["a"] = NodeConnection("a", mine, "run-1", 1)
    del mine
    if in_a_circle:
        channel.append(channel)

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename != __file__:
            ran.append(frame.f_code.co_qualname)

    gc.collect()
    of_others = gc.callbacks[:]
    gc.callbacks.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = sys.getprofile()
        sys.setprofile(note)
        del channel
        gc.collect()
        sys.setprofile(before)
    gc.callbacks.extend(of_others)
    assert ran == []
    assert told == []
    assert len(driver._channels) == 0
    assert other.recv(1) == b"", "the connection is closed"
    other.close()


def test_a_channel_that_was_left_before_it_watched_a_connection_can_be_closed() -> None:
    channel = _driver().own_channel()
    mine, other = socket.socketpair()
    with mine, other:
        connection = NodeConnection("a", mine, "run-1", 1)
        channel._connections["a"] = connection
        channel.close()
        assert connection.is_closed


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


@pytest.mark.parametrize(
    "command", [ScriptCall("write", (b"k",), (1, b"x", -5)), PlainCommand((b"GET", b"k"))]
)
def test_bytes_alone_go_to_the_packer(
    command: ScriptCall | PlainCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_hint_for_which_no_thread_is_to_be_had_reaches_no_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(wake_ups, "open_queue", lambda *_: None)
    monkeypatch.setattr(
        wake_ups, "enqueue_bring_up", lambda _queue, _cluster, node, _key: sent.append(node)
    )
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
