"""What the scripts do at full memory, and where the login lacks a right: on real servers, which
alone know both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError, ResponseError

from redrepl.values.record import Record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, LAYOUT, Node, deleted, value

LARGE = b"x" * 5000


@contextmanager
def full_memory(node: Node) -> Iterator[None]:
    """Inside, the server has used up its memory."""
    node.client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        node.client.config_set("maxmemory", 0)


@contextmanager
def without(node: Node, *commands: str) -> Iterator[None]:
    """Inside, the login may not give these commands."""
    node.client.execute_command(
        "ACL", "SETUSER", "default", *(f"-{command}" for command in commands)
    )
    try:
        yield
    finally:
        node.client.execute_command("ACL", "SETUSER", "default", "+@all")


def delete(node: Node, key: bytes, record: Record) -> Any:
    return node.call("write_oom", [key], EPOCH, record.encode())


def delete_many(node: Node, records: dict[bytes, Record]) -> Any:
    return node.call(
        "write_many_oom", list(records), EPOCH, *(record.encode() for record in records.values())
    )


def test_an_ordinary_write_is_refused_and_does_nothing(real_node: Node) -> None:
    with full_memory(real_node), pytest.raises(OutOfMemoryError):
        real_node.write(b"key", value(real_node.stamp()))
    assert (real_node.stored(b"key"), real_node.log()) == (None, [])


def test_a_delete_takes_the_place_of_a_value(real_node: Node) -> None:
    real_node.put(b"key", value(real_node.stamp(-1), LARGE))
    with full_memory(real_node):
        assert delete(real_node, b"key", deleted(stamp := real_node.stamp())) == 1
    assert real_node.record(b"key") == deleted(stamp)
    assert real_node.log() == [{b"key": stamp.encode()}]


def test_a_delete_that_would_take_memory_is_refused(real_node: Node) -> None:
    """Else deletes of keys that were never there would let the server grow without an end."""
    with full_memory(real_node), pytest.raises(OutOfMemoryError):
        delete(real_node, b"key", deleted(real_node.stamp()))
    assert (real_node.stored(b"key"), real_node.log()) == (None, [])
    assert delete(real_node, b"key", deleted(real_node.stamp())) == 1, (
        "with room it is an ordinary write"
    )


def test_a_record_that_became_smaller_is_taken_and_one_that_became_larger_is_not(
    real_node: Node,
) -> None:
    real_node.put(b"key", value(real_node.stamp(-1), b"12345"))
    with full_memory(real_node):
        assert delete(real_node, b"key", value(real_node.stamp(), b"54321")) == 1
        with pytest.raises(OutOfMemoryError):
            delete(real_node, b"key", value(real_node.stamp(), b"123456"))
    assert real_node.record(b"key").payload == b"54321"


def test_many_deletes_count_together(real_node: Node) -> None:
    real_node.put(b"there", value(real_node.stamp(-1), LARGE))
    graves = {key: deleted(real_node.stamp()) for key in (b"there", b"absent")}
    with full_memory(real_node):
        assert delete_many(real_node, graves) == 1
        with pytest.raises(OutOfMemoryError):
            delete_many(real_node, {b"nowhere": deleted(real_node.stamp())})
    assert {real_node.record(key).kind for key in graves} == {b"d"}
    assert (real_node.stored(b"nowhere"), len(real_node.log())) == (None, 1)


def test_another_deadline_passes(real_node: Node) -> None:
    real_node.put(b"key", value(real_node.stamp(-1), LARGE))
    deadline = real_node.millis(0.5)
    arguments = (EPOCH, b"expire", real_node.stamp().encode(), b"%012x" % deadline, b"")
    with full_memory(real_node):
        assert real_node.call("update_oom", [b"key"], *arguments)[0] == b"ok"
        larger = (EPOCH, b"compare", real_node.stamp().encode(), b"0" * 12)
        operand = real_node.record(b"key").stamp.encode() + LARGE * 2
        with pytest.raises(OutOfMemoryError):
            real_node.call("update_oom", [b"key"], *larger, operand)
    assert real_node.record(b"key").deadline_millis == deadline


def test_a_transaction_of_deletes_passes(real_node: Node) -> None:
    real_node.put(b"one", value(real_node.stamp(-1), LARGE))
    real_node.put(b"two", value(real_node.stamp(-1), LARGE))
    stamp, none = real_node.stamp().encode(), b"0" * 12
    operations = (0, b"delete", stamp, none, b"", 1, b"delete", stamp, none, b"")
    with full_memory(real_node):
        assert (
            real_node.call("transact_oom", [b"one", b"two"], EPOCH, b"unit", 1000, 0, *operations)[
                0
            ]
            == b"done"
        )
        with pytest.raises(OutOfMemoryError):
            real_node.call(
                "transact_oom", [b"new"], EPOCH, b"unit", 1000, 0, 0, b"set", stamp, none, LARGE
            )
    assert (real_node.record(b"one").kind, real_node.record(b"two").kind, len(real_node.log())) == (
        b"d",
        b"d",
        1,
    )


def test_copied_records_wait_and_those_of_a_change_of_epoch_do_not(real_node: Node) -> None:
    record, mark = value(real_node.stamp(-1), LARGE), (b"inc", b"5-0", 5)
    call = (EPOCH, b"b", *mark, 0, b"", record.encode())
    with full_memory(real_node):
        with pytest.raises(OutOfMemoryError):
            real_node.call("absorb", [b"key"], *call)
        assert (real_node.stored(b"key"), real_node.client.hget(LAYOUT.marks, "b")) == (None, None)
        assert real_node.call("absorb_oom", [b"key"], *call)[:2] == [b"ok", 1]
    assert real_node.client.hget(LAYOUT.marks, "b") == b"inc 5-0 5"


def test_bookkeeping_passes(real_node: Node) -> None:
    real_node.put(b"old", grave := deleted(real_node.stamp(-100)))
    real_node.write(b"key", record := value(real_node.stamp(), LARGE))
    with full_memory(real_node):
        assert real_node.call("confirm", [], EPOCH, b"b", b"1-0", 1, b"1", b"") == 1
        assert real_node.call("checkpoint", [], EPOCH, b"inc 1-0 1 b inc 1-0 1 7", 4) == 1
        assert real_node.call("note_sweep", [], EPOCH, b"last", b"{}", b"under_way") == 1
        assert real_node.call("trim", [], EPOCH, b"1-0", 1000, b"", 0, b"")[0] == b"ok"
        assert real_node.purge({b"old": grave.stamp}, real_node.stamp(-50).micros) == [b"ok", 1]
        other = value(real_node.stamp(), LARGE).encode()
        assert (
            real_node.call(
                "replace", [b"key"], EPOCH, record.stamp.encode(), other, b"undecided", 10, 10_000
            )
            == 1
        )
        assert (
            real_node.call("change_member", [], EPOCH, b"active", b"run-1", b"", b"epoch", b"8")
            == 1
        )
        assert real_node.call("leave", [], b"shop", b"a", b"") == 1
        assert real_node.call("enrol", [], b"shop", b"a", b"9", b"{}", b"state", b"syncing") == 1
        assert real_node.call("inspect", [])[0][:2] == [b"cluster", b"shop"]


STORING: dict[str, Callable[[Node, Stamp], Any]] = {
    "write": lambda node, _: node.write(b"key", value(node.stamp())),
    "write with a deadline": lambda node, _: node.write(
        b"key", value(node.stamp(), deadline_millis=node.millis(60))
    ),
    "write_many": lambda node, _: node.write_many({b"key": value(node.stamp())}),
    "write_many with a deadline": lambda node, _: node.write_many(
        {b"key": value(node.stamp(), deadline_millis=node.millis(60))}
    ),
    "update": lambda node, _: node.update(b"key", b"increment", node.stamp(), b"1"),
    "transact": lambda node, stamp: node.call(
        "transact", [b"key"], EPOCH, b"unit", 1000, 0, 0, b"set", stamp.encode(), b"0" * 12, b"v"
    ),
    "absorb": lambda node, _: node.absorb({b"key": value(node.stamp())}, (b"inc", b"5-0", 5)),
}


@pytest.mark.parametrize("script", list(STORING))
def test_a_login_that_may_append_but_not_store_leaves_nothing_in_the_log(
    real_node: Node, script: str
) -> None:
    """A log that names what was never stored has the other copies take it for deleted, under the
    stamp of a value.
    """
    with (
        without(real_node, "set", "mset"),
        pytest.raises(ResponseError, match=r"permission|can't run this command"),
    ):
        STORING[script](real_node, real_node.stamp())
    assert (real_node.stored(b"key"), real_node.log()) == (None, [])


def test_a_log_entry_that_cannot_be_taken_back_is_no_refusal(real_node: Node) -> None:
    with (
        without(real_node, "set", "xdel"),
        pytest.raises(ResponseError, match=r"^named in the change log"),
    ):
        real_node.write(b"key", value(real_node.stamp()))


def test_records_that_are_stored_stay_in_the_log(real_node: Node) -> None:
    """The login may SET, as those with deadlines are stored, and not MSET."""
    records = {
        b"expiring": value(real_node.stamp(), deadline_millis=real_node.millis(60)),
        b"plain": value(real_node.stamp()),
    }
    with (
        without(real_node, "mset"),
        pytest.raises(ResponseError, match=r"^named in the change log"),
    ):
        real_node.write_many(records)
    assert (real_node.stored(b"plain"), len(real_node.log())) == (None, 1)
