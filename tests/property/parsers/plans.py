"""Plans, as parsers of what nodes answer them.

What no node of ours answers was sorted out before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from redrepl.plans.copies.anti_entropy import SweepOrder, sweep
from redrepl.plans.copies.catch_up import read_page
from redrepl.plans.copies.discarded import list_discarded
from redrepl.plans.copies.verify import verify
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances, initialise
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.operations.batch import write_chunk
from redrepl.plans.operations.chunk import Item, chunk_of
from redrepl.plans.operations.mending import read_mended
from redrepl.plans.operations.read import read_decider, read_one
from redrepl.plans.operations.read_many import read_many_from
from redrepl.plans.operations.transaction import Expectation, change_each, transact
from redrepl.plans.operations.update import Update, update_one
from redrepl.plans.operations.write import WriteOrder, write_one
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.plans.scan import scan_names
from redrepl.plans.status import Expectations, cluster_status
from redrepl.plans.steps import Steps
from redrepl.plans.topology import discover, read_clocks, read_topology
from redrepl.plans.view import ClusterView, epoch_in_refusal
from redrepl.values.answers.refusals import parse_refusal
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError
from redrepl.values.operation import ADD, EXPIRE, INCREMENT, SET, Operation, OperationKind
from redrepl.values.record import value_record
from redrepl.values.report import Position
from redrepl.values.stamp import NO_STAMP, Stamp
from tests.property.parsers.parser import Parser
from tests.support.answering import NOW_MICROS, STAMP, TOPOLOGY, driven, edits
from tests.unit.support.reports import report

VIEW = ClusterView(TOPOLOGY)
OTHER_VIEW = ClusterView(TOPOLOGY.with_primary("a", 8))
NODES = VIEW.ids
ORDER = WriteOrder("a", 1, True, 100.0, 101.0)
KEY, MINE = b"key", Stamp.parse(STAMP)
RECORDED = value_record(MINE, b"7")
SMALL = b"0 0 1|x|"


def _operation(kind: OperationKind, operand: bytes = b"7") -> Operation:
    return Operation("key", "key", KEY, kind, operand, None, MINE, 0)


_OPERATIONS = [_operation(kind) for kind in (SET, INCREMENT, EXPIRE)]
_ADDS = [_operation(ADD), _operation(INCREMENT)]

_BRING_UP = BringUpOrder("inc-2", "id-2", Tolerances(), 100.0, 1000.0, exactly=True)


def _parsers_of(**plans: Callable[[], Plan[Any]]) -> tuple[Parser, ...]:
    return tuple(
        Parser(
            f"answers to {name}",
            partial(_read, begin),
            (RedreplError,),
            (b"", SMALL, b"1 9 9||0 0 0|[\n|"),
            made=edits(),
        )
        for name, begin in plans.items()
    )


def _read(begin: Callable[[], Plan[Any]], data: bytes) -> object:
    return driven(begin(), data)


def _refusal(data: bytes) -> None:
    """What a node refuses for, in words, and the epoch in these words."""
    for verdict in (b"refused", b"expired", b"skewed", b"foreign", b"other"):
        assert len(parse_refusal([verdict, data, data]).reason) < 2_000
    assert 0 <= epoch_in_refusal(data.decode("utf-8", "replace")) < 1 << 30


PARSERS = (
    Parser("refusal", _refusal, (), (b"refused: epoch 8, active", b"7", b"active")),
    *_parsers_of(
        write=lambda: write_one(VIEW, ORDER, "key", KEY, RECORDED),
        write_many=lambda: write_chunk(
            VIEW, chunk_of([Item("key", KEY, RECORDED), Item("k2", b"k2", RECORDED)], ORDER)
        ),
        increment=lambda: update_one(VIEW, ORDER, "key", KEY, Update(INCREMENT, MINE, b"7")),
        add=lambda: update_one(VIEW, ORDER, "key", KEY, Update(ADD, MINE, b"7")),
        transaction=lambda: transact(VIEW, ORDER, [Expectation("key", KEY, None)], _OPERATIONS),
        operations_of_a_batch=lambda: change_each(VIEW, ORDER, _ADDS),
        read=lambda: read_decider(VIEW, KEY, 100.0, 101.0),
        read_elsewhere=lambda: read_one(VIEW, KEY, NODES, NO_STAMP, 100.0, 101.0),
        read_confirmed=lambda: read_mended(VIEW, "a", [KEY, b"k2"], 2, 101.0, NOW_MICROS),
        read_many=lambda: read_many_from(
            VIEW, [KEY, b"k2"], NODES, [NO_STAMP, MINE], 100.0, 101.0, 2
        ),
        read_in_a_later_epoch=lambda: read_mended(OTHER_VIEW, "a", [KEY], 2, 101.0, NOW_MICROS),
        keys=lambda: scan_names(VIEW, "a", b"", b"0", NOW_MICROS // 1000, Steps(100.0)),
        topology=lambda: read_topology(VIEW, 101.0),
        clocks=lambda: read_clocks(VIEW, 100.0, 101.0),
        discovery=lambda: discover(VIEW.layout, NODES, 101.0, 102.0),
        inspection=lambda: inspect_nodes(
            VIEW.layout, NODES, 101.0, known=TOPOLOGY, probe_as=b"visitor"
        ),
        status=lambda: cluster_status(VIEW.layout, NODES, Expectations("quorum", 30.0, 1), 100.0),
        log=lambda: read_page(VIEW, report("a"), Position("1-1", 1), 10, Steps(100.0)),
        discarded=lambda: list_discarded(VIEW.layout, NODES, 5, 100.0),
        filling=lambda: bring_up(VIEW.layout, NODES, "c", _BRING_UP),
        verification=lambda: verify(VIEW.layout, NODES, 100.0, True, 60.0),
        sweep=lambda: sweep(VIEW.layout, NODES, SweepOrder(100.0, 1000.0, True, 100.0)),
        failover=lambda: fail_over(VIEW.layout, NODES, FailoverOrder(100.0, "b")),
        initialisation=lambda: initialise(
            TOPOLOGY, dict.fromkeys(NODES, "inc"), Tolerances(), 100.0
        ),
        removal=lambda: change_topology(
            TOPOLOGY, TOPOLOGY.without_member("c"), Tolerances(), "inc", 100.0
        ),
    ),
)
