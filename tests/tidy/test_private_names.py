"""No file uses what is private to a class in another one, but for two lists that only get
shorter.
"""

from __future__ import annotations

import pytest

from tests.tidy.imports import Source
from tests.tidy.private_names import differences, listed, uses
from tests.tidy.tree import PACKAGES, sources

PRESENT = uses(sources(*PACKAGES.values()))

OF_OTHERS = {
    "redrepl.edges.clock": """
        _is_owned
    """,
    "redrepl.edges.connection": """
        _parser
        _sock
    """,
    "redrepl.edges.locks": """
        _is_owned
    """,
    "redrepl.edges.queue_connection": """
        _connect
    """,
    "redrepl_cli.chaos.client": """
        _store
    """,
}
"""Used of other objects: of the coordinator by its parts, of redis-py, of Python's locks."""

INHERITED = {
    "redrepl.doors.administration": """
        _believed
        _driver
        _endpoints
        _endpoints_of
        _facts
        _forget_entries
        _given
        _inspect
        _known
        _layout
        _look_anew
        _member
        _nobody
        _nodes
        _reach
        _reached_urls
        _run
        _seen_entries
        _tolerances
        _until
    """,
    "redrepl.edges.async_driver": """
        _close_gates
        _gates
        _timeout_seconds
    """,
    "redrepl.edges.channel": """
        _closed
        _connections
        _drop
        _forget_waiting
        _knocks
        _waiting
    """,
    "redrepl.edges.driver": """
        _admission
        _close_gates
        _closed
        _gates
        _timeout_seconds
    """,
    "redrepl.edges.loop_board": """
        _connections
        _drop
        _let_go
        _waiting
    """,
    "redrepl.plans.client.batch_run": """
        _queue
    """,
    "redrepl.plans.client.transaction_run": """
        _operations
        _options
        _store
    """,
}
"""Used by a class of a class that it inherits from."""


def test_nothing_private_of_another_object_is_used() -> None:
    assert differences(PRESENT.of_others, OF_OTHERS) == []


def test_nothing_private_is_inherited_from_another_file() -> None:
    assert differences(PRESENT.inherited, INHERITED) == []


# The rule finds what is planted, and leaves what is allowed. -------------------------------------

HELD = "class Held:\n    def _take(self): ...\n    def take(self): ...\n"


@pytest.mark.parametrize(
    ("text", "of_others", "inherited"),
    [
        ("class User:\n    def f(self, held):\n        held._take()\n", {"_take"}, set()),
        ("def f(held):\n    return held.inner._take\n", {"_take"}, set()),
        ("class User(Held):\n    def f(self):\n        self._take()\n", set(), {"_take"}),
        ("class User(Held):\n    def f(self):\n        super()._take()\n", set(), {"_take"}),
        ("from redrepl.a import _helper\n", {"_helper"}, set()),
        ("import socket\nx = socket.socket()._sock\n", {"_sock"}, set()),
        # A name of this file's own says nothing about another object that has one like it.
        ("class User:\n    def _take(self, held):\n        held._take()\n", {"_take"}, set()),
        ("class User:\n    def f(self, held):\n        held.take()\n", set(), set()),
        ("class User:\n    def _own(self):\n        self._own()\n", set(), set()),
        (
            "class User:\n    def __eq__(self, other):\n        return self._x == other._x\n    "
            "_x = 1\n",
            set(),
            set(),
        ),
        (
            "class User:\n    __slots__ = ('_x',)\n    def f(self):\n        return self._x\n",
            set(),
            set(),
        ),
        (
            "class User:\n    def __init__(self):\n        self._x, self._y = 1, 2\n        "
            "f(self._y)\n",
            set(),
            set(),
        ),
        ("def f(point):\n    return point._replace(x=1), point.__dict__\n", set(), set()),
    ],
)
def test_a_private_name_of_another_file_is_found(
    text: str, of_others: set[str], inherited: set[str]
) -> None:
    found = uses({"redrepl.a": Source(HELD), "redrepl.b": Source(text)})
    assert found.of_others.get("redrepl.b", set()) == of_others
    assert found.inherited.get("redrepl.b", set()) == inherited


def test_names_of_packages_that_are_not_imported_count_for_nothing() -> None:
    own = "class User:\n    def _take(self, other):\n        other._take()\n"
    assert uses({"redrepl_workers.a": Source(HELD), "redrepl.b": Source(own)}).of_others == {}
    assert uses({"redrepl.a": Source(HELD), "redrepl_cli.b": Source(own)}).of_others == {
        "redrepl_cli.b": {"_take"}
    }


def test_what_is_new_and_what_is_gone_is_said() -> None:
    found = {"redrepl.b": {"_new", "_known"}}
    known = {"redrepl.b": "_known\n_gone"}
    assert differences(found, known) == [
        "redrepl.b uses _new, which is private to a class in another file",
        "redrepl.b does not use _gone any more: take it off the list",
    ]
    assert differences(found, {"redrepl.b": "_known _new"}) == []


def test_the_list_is_printed_as_it_is_written() -> None:
    assert "\n".join(listed({"redrepl.b": {"_y", "_x"}})) == (
        '    "redrepl.b": """\n        _x\n        _y\n    """,'
    )
