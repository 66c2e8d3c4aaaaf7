"""Facts go from where they happen to an observer, whatever the observer does, and harm nothing on
the way.
"""

from __future__ import annotations

import gc
import inspect
import logging
import os
import threading
import weakref
from typing import Any

import pytest

from redrepl import LoggingObserver, Observer, RequestError
from redrepl.edges import reporter as reporters
from redrepl.edges.reporter import Dispatcher, Reporter
from redrepl.edges.threads import check_threads
from redrepl.observe import Part, Source
from redrepl.values import limits
from redrepl.values.reasons import shown_reason
from tests.support.recorder import FACTS, Recorder
from tests.support.waiting import wait_until
from tests.unit.support.by_hand import topology


def lose(reporter: Reporter, node: str) -> None:
    """Note a fact."""
    reporter.note(Observer.connection_lost, node=node, why="reset")


def test_facts_are_told_in_order_by_another_thread() -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)
    for number in range(500):
        lose(reporter, str(number))
    reporter.finish()
    assert [fact.named["node"] for fact in recorder.facts] == [str(number) for number in range(500)]
    assert {fact.thread for fact in recorder.facts} == {"redrepl-observer"}
    assert {fact.source for fact in recorder.facts} == {Source("shop", 0, Part.CLIENT)}
    wait_until(lambda: reporter._dispatcher._thread is None, message="no thread is left")


def test_a_silent_observer_costs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: pytest.fail(f"{thread.name} was begun"),
    )
    reporter = Reporter(Dispatcher(Observer()), "shop", Part.CLIENT)
    lose(reporter, "a")
    assert not reporter._dispatcher._facts


def test_what_logging_would_not_show_costs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: pytest.fail(f"{thread.name} was begun"),
    )
    reporter = Reporter(Dispatcher(None), "shop", Part.CLIENT)
    logging.getLogger("redrepl.connection").setLevel(logging.INFO)
    try:
        lose(reporter, "a")
    finally:
        logging.getLogger("redrepl.connection").setLevel(logging.NOTSET)
    assert not reporter._dispatcher._facts


class Bad(Recorder):
    """Raises what it is to raise."""

    error: BaseException = ValueError("no such metric")

    def take(self, name: str, source: Source, named: dict[str, Any]) -> None:
        super().take(name, source, named)
        raise self.error


def test_an_observer_that_raises_is_logged_once_for_each_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = Bad()
    reporter = Reporter(Dispatcher(bad), "shop", Part.CLIENT)
    for error in (ValueError("1"), ValueError("2"), KeyError("3")):
        bad.error = error
        lose(reporter, "a")
        reporter.finish()
    reporter.note(Observer.read_repaired, node="a", records=1)
    reporter.finish()
    assert len(bad.facts) == 4
    said = [record for record in caplog.records if record.name == "redrepl.observer"]
    assert [record.getMessage().split()[0] for record in said] == [
        "connection_lost",
        "connection_lost",
        "read_repaired",
    ]
    assert all(record.exc_info for record in said)


def test_a_handler_that_raises_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(reporters._log, "warning", broken)
    bad = Bad()
    reporter = Reporter(Dispatcher(bad), "shop", Part.CLIENT)
    lose(reporter, "a")
    lose(reporter, "b")
    reporter.finish()
    assert len(bad.facts) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_is_no_error_passes_through_and_the_next_fact_is_told(error: BaseException) -> None:
    bad = Bad()
    bad.error = error
    reporter = Reporter(Dispatcher(bad), "shop", Part.CLIENT)
    lose(reporter, "a")
    reporter.finish()
    wait_until(
        lambda: reporter._dispatcher._thread is None or not reporter._dispatcher._thread.is_alive(),
    )
    lose(reporter, "b")
    reporter.finish()
    assert [fact.named["node"] for fact in bad.facts] == ["a", "b"]


class Slow(Recorder):
    """Takes nothing before it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def take(self, name: str, source: Source, named: dict[str, Any]) -> None:
        self.may_go_on.wait(60)
        super().take(name, source, named)


def test_an_observer_that_blocks_holds_nothing_up_and_learns_how_much_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_FACTS", 10)
    slow = Slow()
    reporter = Reporter(Dispatcher(slow), "shop", Part.CLIENT)
    lose(reporter, "first")
    wait_until(lambda: not reporter._dispatcher._facts, message="the thread has taken it")
    for number in range(25):
        lose(reporter, str(number))
    reporter.finish(0.0)
    assert slow.facts == []
    slow.may_go_on.set()
    reporter.finish(60)
    assert slow.names() == ["connection_lost", "facts_dropped", *["connection_lost"] * 10]
    assert slow.facts[1].named == {"count": 15}


def test_an_observer_may_use_what_it_observes() -> None:
    class Recursive(Recorder):
        def take(self, name: str, source: Source, named: dict[str, Any]) -> None:
            super().take(name, source, named)
            if named["node"] != "z":
                lose(reporter, "z")
                reporter.finish()

    recorder = Recursive()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)
    lose(reporter, "a")
    reporter.finish()
    assert [fact.named["node"] for fact in recorder.facts] == ["a", "z"]


def test_no_lock_is_held_and_nothing_is_amid_while_an_observer_is_called() -> None:
    """Else an observer that blocks would hold up every thread that notes a fact."""
    slow = Slow()
    reporter = Reporter(Dispatcher(slow), "shop", Part.CLIENT)
    lose(reporter, "a")
    wait_until(lambda: not reporter._dispatcher._facts)
    others = [threading.Thread(target=lose, args=(reporter, "b"), daemon=True) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join(10)
    assert not any(other.is_alive() for other in others)
    slow.may_go_on.set()
    reporter.finish(60)


def test_where_no_thread_is_to_be_had_the_next_fact_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        lose(reporter, "a")
    assert recorder.facts == []
    lose(reporter, "b")
    reporter.finish()
    assert [fact.named["node"] for fact in recorder.facts] == ["a", "b"]


def test_an_interruption_while_a_fact_is_noted_loses_no_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)

    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lose(reporter, "a")
    lose(reporter, "b")
    reporter.finish()
    assert [fact.named["node"] for fact in recorder.facts] == ["a", "b"]


def test_a_handler_that_notes_a_fact_while_one_is_noted_loses_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)

    def handler() -> None:
        monkeypatch.setattr(reporters, "check_threads", check_threads)
        lose(reporter, "within")

    monkeypatch.setattr(reporters, "check_threads", handler)
    lose(reporter, "around")
    wait_until(lambda: len(recorder.facts) == 2)
    assert [fact.named["node"] for fact in recorder.facts] == ["around", "within"]


def test_a_forked_child_tells_its_own_facts_and_none_of_its_parents() -> None:
    slow = Slow()
    reporter = Reporter(Dispatcher(slow), "shop", Part.CLIENT)
    lose(reporter, "first")
    wait_until(lambda: not reporter._dispatcher._facts)
    lose(reporter, "parents")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            slow.may_go_on = threading.Event()
            slow.may_go_on.set()
            lose(reporter, "childs")
            reporter.finish(60)
            code = 0 if [fact.named["node"] for fact in slow.facts] == ["childs"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    slow.may_go_on.set()
    reporter.finish(60)
    assert [fact.named["node"] for fact in slow.facts] == ["first", "parents"]


def test_nothing_is_told_once_the_interpreter_ends() -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)
    lose(reporter, "a")
    reporter._dispatcher.end(60)
    lose(reporter, "b")
    assert [fact.named["node"] for fact in recorder.facts] == ["a"]
    assert reporter._dispatcher._thread is None or not reporter._dispatcher._thread.is_alive()


def test_parts_that_belong_together_share_a_queue_and_a_thread() -> None:
    """Else an observer that blocks would hold a thread for every look at the cluster's health."""
    slow = Slow()
    reporter = Reporter(Dispatcher(slow), "shop", Part.CLIENT)
    reporter.epoch_is(topology(3, epoch=3))
    before = threading.active_count()
    for _ in range(20):
        other = reporter.beside(Part.ADMINISTRATION)
        other.epoch_is(topology(3, epoch=3))
        lose(other, "a")
    assert threading.active_count() == before
    slow.may_go_on.set()
    reporter.finish(60)
    assert slow.names() == ["epoch_changed", *["epoch_changed", "connection_lost"] * 20]
    assert {fact.source.part for fact in slow.facts[1:]} == {Part.ADMINISTRATION}


def test_what_is_told_keeps_no_reporter() -> None:
    reporter = Reporter(Dispatcher(Recorder()), "shop", Part.CLIENT)
    lose(reporter, "a")
    reporter.finish()
    gone = weakref.ref(reporter)
    gc.disable()
    try:
        del reporter
        wait_until(lambda: gone() is None, message="no circle of references keeps it")
    finally:
        gc.enable()


def test_an_epoch_is_told_once_and_none_that_is_older() -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.CLIENT)
    for epoch in (3, 3, 5, 4, 5):
        reporter.epoch_is(topology(3, epoch=epoch))
    lose(reporter, "a")
    reporter.finish()
    assert [(fact.named["old"], fact.named["new"]) for fact in recorder.of("epoch_changed")] == [
        (0, 3),
        (3, 5),
    ]
    assert recorder.facts[0].named["primary"] == "a"
    assert recorder.facts[0].named["members"] == ("a", "b", "c")
    assert [fact.source.epoch for fact in recorder.facts] == [3, 5, 5]


def test_a_state_is_told_where_it_changes() -> None:
    recorder = Recorder()
    reporter = Reporter(Dispatcher(recorder), "shop", Part.TICK)
    for state, why in (
        ("active", ""),
        ("active", ""),
        ("silent", "refuses"),
        ("silent", "is slow"),
        ("active", ""),
    ):
        reporter.state_is("a", state, why)
    reporter.finish()
    changes = [(fact.named["old"], fact.named["new"], fact.named["why"]) for fact in recorder.facts]
    assert changes == [
        ("unknown", "active", ""),
        ("active", "silent", "refuses"),
        ("silent", "active", ""),
    ]


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        ("connection lost: reset", "connection lost: reset"),
        ("answers what no node of ours would: b'the value'", "answers what no node of ours would"),
        ("unexpected answer [b'the value']", "unexpected answer"),
        (
            "holds a value that redrepl did not write under b'the key'",
            "holds a value that redrepl did not write under",
        ),
        (
            "ERR unknown command 'AUTH', with args beginning with: 's3cr3t'",
            "ERR unknown command 'AUTH', with args beginning with",
        ),
    ],
)
def test_a_reason_shows_nothing_of_what_a_server_answered(why: str, shown: str) -> None:
    assert shown_reason(why) == shown


@pytest.mark.parametrize("observer", [object(), Recorder, print, {}])
def test_what_is_no_observer_is_refused(observer: Any) -> None:
    with pytest.raises(RequestError, match=r"observer must be a redrepl\.Observer, not "):
        Dispatcher(observer)


def test_no_observer_means_the_log() -> None:
    assert type(Dispatcher(None)._observer) is LoggingObserver


def test_every_fact_takes_a_source_by_position_and_all_else_by_name() -> None:
    for name in FACTS:
        source, *others = list(inspect.signature(getattr(Observer, name)).parameters.values())[1:]
        assert (source.name, source.kind) == ("source", inspect.Parameter.POSITIONAL_ONLY)
        assert {other.kind for other in others} == {inspect.Parameter.KEYWORD_ONLY}
