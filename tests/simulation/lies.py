"""What one bad node may tell: its bookkeeping, log and records changed, and answers that no node of
ours gives.

Most lies reach nobody, whatever happens to the other nodes. One ``of_its_records`` says that it
holds what it does not, or shows what it holds as something else. Nobody can tell, so that the role
of the primary must not move to it, nor anything be merged from it (SECURITY.md, "Not defended").
After some an operator has to empty it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

import hiredis

from redrepl.values import limits
from redrepl.values.answers import is_ours
from redrepl.values.effects import Command, PlainCommand, ScriptCall
from redrepl.values.keys import KeyLayout
from redrepl.values.topology import Member, Mode, NodeRole, Topology

NOWHERE = "nowhere"
"""The host in an address at which no node of the cluster is, and the member that a liar invents
there.
"""

ELSEWHERE = b"other-app:session"
"""A key of another program, on each server."""

LATER_STAMP = b"%014x%08x"
IMPOSSIBLE_STAMPS = (b"ff" * 11, b"1f" + b"0" * 20, b"zz" * 11, b"5", b"")
GARBAGE = (
    b"x",
    b"",
    b"-1",
    b"9" * 30,
    b"\xff\xfe",
    b"1e3",
    b"nan",
    b"0x10",
    b"[]",
    b" 1",
    b"1" * 300,
)


@dataclass(slots=True)
class Lair:
    """The server that lies, and what it may say. topology: the one in which it is a member."""

    node: str
    ask: Callable[[Command], Any]
    layout: KeyLayout
    topology: Topology
    random: Random

    def do(self, *arguments: bytes | int) -> Any:
        """Have a plain command carried out there."""
        return self.ask(PlainCommand(arguments))

    def member(self, **fields: object) -> None:
        """Change fields of its member hash."""
        for name, value in fields.items():
            self.do(
                b"HSET",
                self.layout.member,
                name.encode(),
                value if type(value) is bytes else str(value).encode(),
            )

    def field(self, name: bytes) -> bytes:
        """A field of its member hash, b'' for none."""
        found = self.do(b"HGET", self.layout.member, name)
        return found if type(found) is bytes else b""

    def pairs(self, name: bytes) -> dict[bytes, bytes]:
        """A hash, empty where something else stands there."""
        found = self.do(b"HGETALL", name)
        return dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else {}

    @property
    def epoch(self) -> int:
        """The epoch that it should be in."""
        return self.topology.epoch

    def tell(self, topology: Topology, text: bytes | None = None) -> None:
        """Tell this topology, working in its epoch."""
        self.do(
            b"HSET",
            self.layout.topology,
            b"topology",
            topology.encode().encode() if text is None else text,
        )
        self.work_in(topology.epoch)

    def work_in(self, epoch: int) -> None:
        """Say that it works in this epoch; its lineage stays what it is, as far as that can be."""
        lineage, era = self.field(b"lineage"), self.field(b"era")
        if lineage.isdigit() and int(lineage) > epoch:
            self.member(lineage=epoch, era=min(epoch, int(era) if era.isdigit() else 0))
        self.member(epoch=epoch)
        self.do(b"SET", self.layout.guard, b"%d active" % epoch)


Lie = Callable[[Lair], None]


class Told(NamedTuple):
    """A lie by its name. of_its_records, needs_operator: see above. goes_back: it says that it
    works in an earlier epoch than it does.
    """

    name: str
    tell: Lie
    of_its_records: bool = False
    needs_operator: bool = False
    goes_back: bool = False


# Topologies and epochs ----------------------------------------------------------------------------


def _it_is_primary(lair: Lair) -> None:
    lair.tell(
        lair.topology.with_primary(
            lair.node, lair.epoch + lair.random.choice((0, 1, 1, 2, 9, 40, 100))
        )
    )


def _it_alone(lair: Lair) -> None:
    epoch = max(1, lair.epoch + lair.random.choice((1, 1, 100, -1, 0)))
    member = replace(lair.topology.member(lair.node), role=NodeRole.PRIMARY)
    lair.tell(replace(lair.topology, epoch=epoch, merged_epoch=epoch, members=(member,)))


def _other_addresses(lair: Lair) -> None:
    others = lair.random.sample(lair.topology.others(lair.node), lair.random.choice((1, 1, 2)))
    urls = {node: f"redis://{NOWHERE}:{6379 + index}/0" for index, node in enumerate(others)}
    moved = [replace(each, url=urls.get(each.id, each.url)) for each in _members(lair)]
    lair.tell(
        replace(lair.topology, epoch=lair.epoch + lair.random.choice((0, 1)), members=tuple(moved))
    )


def _one_more_member(lair: Lair) -> None:
    more = Member(NOWHERE, f"redis://{NOWHERE}:6389/0", NodeRole.REPLICA, "id-nowhere")
    lair.tell(
        replace(
            lair.topology,
            epoch=lair.epoch + lair.random.choice((0, 1)),
            members=(*_members(lair), more),
        )
    )


def _several_primaries(lair: Lair) -> None:
    members = tuple(replace(each, role=NodeRole.PRIMARY) for each in _members(lair))
    epoch = max(1, lair.epoch + lair.random.choice((1, 1, -1, 0)))
    merged = min(epoch, lair.topology.merged_epoch)
    lair.tell(
        replace(
            lair.topology,
            epoch=epoch,
            merged_epoch=merged,
            members=members,
            mode=Mode.MULTI_PRIMARY,
        )
    )


def _an_older_topology(lair: Lair) -> None:
    epoch = max(1, lair.epoch - lair.random.choice((1, 2)))
    older = replace(
        lair.topology.with_primary(lair.node, epoch),
        merged_epoch=min(epoch, lair.topology.merged_epoch),
    )
    lair.tell(older)


def _a_damaged_topology(lair: Lair) -> None:
    whole = lair.topology.encode().encode()
    texts = (whole[: len(whole) // 2], b"[" * 3000, b"{}", b"null", b"\xff", b'{"epoch":"x"}', b"")
    later = whole.replace(b'"epoch":%d' % lair.epoch, b'"epoch":%d' % (lair.epoch + 10**8))
    lair.do(b"HSET", lair.layout.topology, b"topology", lair.random.choice((*texts, later)))


def _a_later_epoch(lair: Lair) -> None:
    lair.work_in(lair.epoch + lair.random.choice((1, 1, 2, 10)))


def _a_far_epoch(lair: Lair) -> None:
    lair.work_in(lair.random.choice((lair.epoch + 11, lair.epoch + 1000, limits.MAX_EPOCH)))


def _an_earlier_epoch(lair: Lair) -> None:
    lair.work_in(max(1, lair.epoch - lair.random.choice((1, 2))))


def _members(lair: Lair) -> tuple[Member, ...]:
    return lair.topology.members


# The member hash ----------------------------------------------------------------------------------

_FIELDS = (
    *(
        "epoch",
        "lineage",
        "era",
        "state",
        "rule",
        "run_id",
        "max_age_micros",
        "max_skew_micros",
        "voided",
        "settled",
    ),
    *(
        "log_floor",
        "previous_end",
        "purged_before",
        "clock_latest",
        "clock_checked",
        "clock_off",
        "joined",
        "pending",
    ),
    *("incarnation", "previous_incarnation", "log_gap", "restamp_writer", "walk a", "hold a"),
)


def _damaged_fields(lair: Lair) -> None:
    for name in lair.random.sample(_FIELDS, lair.random.choice((1, 2, 4))):
        lair.member(**{name: lair.random.choice(GARBAGE)})


def _fields_gone(lair: Lair) -> None:
    for name in lair.random.sample(
        ("epoch", "state", "run_id", "node", "cluster", "lineage", "incarnation"), 2
    ):
        lair.do(b"HDEL", lair.layout.member, name.encode())


def _another_state(lair: Lair) -> None:
    state = lair.random.choice((b"syncing", b"fenced", b"idle", b"\xff\xfe"))
    lair.member(state=state)
    if lair.random.random() < 0.5:
        lair.do(b"SET", lair.layout.guard, b"%d %b" % (lair.epoch, state))


def _another_run(lair: Lair) -> None:
    lair.member(run_id=lair.random.choice((b"run-x-1", b"forgot", b"")))


def _others_are_replaced(lair: Lair) -> None:
    node = lair.random.choice(lair.topology.others(lair.node))
    identity = lair.topology.identities[node]
    lair.member(voided=f"{lair.epoch + lair.random.choice((1, 5, 10**6))} {node} {identity}")


def _it_settled_more(lair: Lair) -> None:
    lair.member(settled=lair.epoch + lair.random.choice((1, 1000)))


def _another_type(lair: Lair) -> None:
    layout = lair.layout
    names = (
        layout.member,
        layout.log,
        layout.cursors,
        layout.marks,
        layout.topology,
        layout.checkpoints,
        layout.sweep,
    )
    name = lair.random.choice((*names, layout.guard))
    lair.do(b"DEL", name)
    if lair.random.random() < 0.5:
        lair.do(b"SET", name, b"what?")
    else:
        lair.do(b"LPUSH", name, b"what?")


def _its_guard(lair: Lair) -> None:
    texts = (
        b"%d active" % (lair.epoch + 1),
        b"%d active" % limits.MAX_EPOCH,
        b"what?",
        b"\xff",
        b"0 fenced",
        b"%d \xff" % lair.epoch,
    )
    lair.do(b"SET", lair.layout.guard, lair.random.choice(texts))


def _another_identity(lair: Lair) -> None:
    other = lair.random.choice(lair.topology.others(lair.node))
    name, value = lair.random.choice(
        (("node", other), ("identity", lair.topology.identities[other]), ("cluster", "x"))
    )
    lair.member(**{name: value})


# Positions and the log ----------------------------------------------------------------------------


def _damaged_positions(lair: Lair) -> None:
    layout = lair.layout
    for name in lair.random.sample((layout.cursors, layout.marks, layout.sweep), 2):
        for field in (*lair.pairs(name), b"x@y"):
            lair.do(
                b"HSET",
                name,
                field,
                lair.random.choice((*GARBAGE, b"0-0 0", b"inc 1-1 99", b"1-1 99 1 1")),
            )


def _positions_gone(lair: Lair) -> None:
    layout = lair.layout
    for name in lair.random.sample(
        (layout.cursors, layout.marks, layout.checkpoints, layout.sweep), 2
    ):
        lair.do(b"DEL", name)


def _damaged_checkpoints(lair: Lair) -> None:
    lair.do(
        b"LPUSH",
        lair.layout.checkpoints,
        lair.random.choice((*GARBAGE, b"inc 1-1 1 a inc 1-1 1 1")),
    )


def _a_sweep(lair: Lair) -> None:
    for field in (b"phase", b"cursor", b"epoch", b"began", b"findings", b"sweep"):
        lair.do(b"HSET", lair.layout.sweep, field, lair.random.choice(GARBAGE))


def _confirmed_more_than_there_is(lair: Lair) -> None:
    """Its cursors count more entries than its log has: as if that had been lost."""
    for other in lair.topology.others(lair.node):
        field = lair.topology.position_field(other).encode()
        lair.do(b"HSET", lair.layout.cursors, field, b"9999999999999-0 99999999 1")


def _a_cut_log(lair: Lair) -> None:
    lair.member(log_floor=lair.random.choice((b"9999999999999-0", b"1800000000000-1", b"5-5")))


def _names_of_others(lair: Lair) -> None:
    """Its log names bookkeeping and keys of other programs, and something stands there to be
    copied.
    """
    stamp = _a_stamp(lair)
    for name in lair.random.sample(foreign_names(lair.layout), 3):
        lair.do(
            b"XADD", lair.layout.log, b"*", name, lair.random.choice((stamp, *IMPOSSIBLE_STAMPS))
        )
    lair.do(b"SET", ELSEWHERE, stamp + b"v0000000000000000|planted")


def _impossible_stamps(lair: Lair) -> None:
    for stamp in lair.random.sample(IMPOSSIBLE_STAMPS, 2):
        lair.do(
            b"XADD",
            lair.layout.log,
            b"*",
            lair.layout.data(lair.random.choice((b"x", b"n"))),
            stamp,
        )


def foreign_names(layout: KeyLayout) -> tuple[bytes, ...]:
    """Names that no log of ours has."""
    own = (
        layout.member,
        layout.log,
        layout.marks,
        layout.sweep,
        layout.guard,
        layout.data_prefix[:-1],
    )
    return (*own, ELSEWHERE, b"redrepl:clusters", b"", b"\xff")


def _a_stamp(lair: Lair) -> bytes:
    seconds, _ = lair.do(b"TIME")
    return LATER_STAMP % (int(seconds) * 10**6, 77)


# Of its records -----------------------------------------------------------------------------------


def _damaged_records(lair: Lair) -> None:
    names = [
        name
        for name in lair.do(b"KEYS", lair.layout.data_pattern)
        if lair.do(b"TYPE", name) == b"string"
    ]
    for name in sorted(names)[: lair.random.choice((1, 3))]:
        record = lair.do(b"GET", name) or b""
        impossible = lair.random.choice(IMPOSSIBLE_STAMPS[:2]) + record[22:]
        lair.do(
            b"SET",
            name,
            lair.random.choice((b"garbage", record[:30], b"", impossible, b"\xff" * 60)),
        )


def _forged_lineage(lair: Lair) -> None:
    lair.work_in(lair.epoch + lair.random.choice((1, 1, 10, 11)))
    lair.member(
        lineage=lair.field(b"epoch"), era=lair.field(b"epoch"), state="active", rule="decide"
    )


def _forged_marks(lair: Lair) -> None:
    """It has read all that there will be for a while."""
    for field, mark in lair.pairs(lair.layout.marks).items():
        if found := re.fullmatch(rb"(\S+) (\d{1,15})-\d+ (\d{1,15})", mark):
            text = b"%b %d-0 %d" % (found[1], int(found[2]) + 1, int(found[3]) + 1)
            lair.do(b"HSET", lair.layout.marks, field, text)


def _all_is_settled(lair: Lair) -> None:
    """What its log names has been looked at already, by all."""
    for other in lair.topology.others(lair.node):
        field = lair.topology.position_field(other).encode()
        log = lair.do(b"XREVRANGE", lair.layout.log, b"+", b"-", b"COUNT", 1)
        if isinstance(log, list) and log:
            lair.do(
                b"HSET",
                lair.layout.cursors,
                field,
                b"%b %d 1" % (log[0][0], lair.do(b"XLEN", lair.layout.log)),
            )


def _another_age(lair: Lair) -> None:
    lair.member(
        max_age_micros=lair.random.choice((1, 10**12)),
        max_skew_micros=lair.random.choice((0, 10**12)),
    )


def _its_rule(lair: Lair) -> None:
    lair.member(rule=lair.random.choice(("decide", "merge")))


LIES = (
    Told("it is the primary", _it_is_primary),
    Told("it is the only member", _it_alone, goes_back=True),
    Told("others are elsewhere", _other_addresses),
    Told("there is one more member", _one_more_member),
    Told("all are primaries", _several_primaries, goes_back=True),
    Told("an older topology", _an_older_topology, goes_back=True),
    Told("a damaged topology", _a_damaged_topology),
    Told("a later epoch", _a_later_epoch),
    Told("a far epoch", _a_far_epoch),
    Told("an earlier epoch", _an_earlier_epoch, goes_back=True),
    Told("damaged fields", _damaged_fields),
    Told("fields gone", _fields_gone),
    Told("another state", _another_state),
    Told("another run", _another_run),
    Told("others are replaced", _others_are_replaced),
    Told("it settled more", _it_settled_more),
    Told("another type", _another_type),
    Told("its guard", _its_guard),
    Told("another identity", _another_identity, needs_operator=True),
    Told("damaged positions", _damaged_positions),
    Told("positions gone", _positions_gone),
    Told("damaged checkpoints", _damaged_checkpoints),
    Told("a sweep", _a_sweep),
    Told("confirmed more than there is", _confirmed_more_than_there_is),
    Told("a cut log", _a_cut_log),
    Told("names of others", _names_of_others),
    Told("impossible stamps", _impossible_stamps),
    Told("damaged records", _damaged_records, of_its_records=True),
    Told("a forged lineage", _forged_lineage, of_its_records=True),
    Told("forged marks", _forged_marks, of_its_records=True),
    Told("all is settled", _all_is_settled, of_its_records=True),
    Told("another age", _another_age, of_its_records=True),
    Told("its rule", _its_rule, of_its_records=True),
)

# Answers ------------------------------------------------------------------------------------------

RUBBISH: tuple[Any, ...] = (
    *(
        7,
        -1,
        (1 << 63) - 1,
        None,
        b"abc",
        b"\xff\xfe\x00\x01",
        b"OK",
        b"",
        [],
        [None, None, None],
        [b"ok"],
        [b"ok", 5],
    ),
    *(
        [b"ok", b"z" * 22],
        [b"has"],
        [b"refused"],
        [b"refused", b"x", b"y"],
        [b"some", 99, b"ok", b"x"],
    ),
    *(
        [b"conflict", 99, b"x"],
        [[[[[[[1]]]]]]],
        [b"0", [ELSEWHERE]],
        [[b"1-1", [b"x"]]],
        [b"cut", b"x"],
    ),
    *(
        [b"ok", [[b"1-1", [ELSEWHERE, b"f"]]]],
        [b"changed"],
        [b"done", b"ok"],
        [1, [], []],
        [b"expired", b"x"],
    ),
)
"""Answers that no node gives to most of what it is asked."""

ERRORS = (
    *(
        "ERR rubbish",
        "NOSCRIPT No matching script. Please use EVAL.",
        "OOM command not allowed",
        "WRONGTYPE x",
        "",
    ),
    *(
        "READONLY You can't write",
        "LOADING",
        "BUSY",
        "NOAUTH Authentication required.",
        "MISCONF",
        "\ufffd",
    ),
)


def rubbish(random: Random, command: Command, honest: Any) -> Any:
    """Anything in place of the answer that promises nothing: what could be an answer of ours stays
    the honest one.
    """
    if random.random() < 0.3:
        return hiredis.ReplyError(random.choice(ERRORS))
    if random.random() < 0.3:
        return another_run(command, honest, b"run_id:run-x-%d\r\n" % random.randrange(9))
    found = damaged(random, honest) if random.random() < 0.3 else random.choice(RUBBISH)
    return honest if _promises(command, found) else found


def _promises(command: Command, content: Any) -> bool:
    """Whether this may be taken for an answer of ours that says that something was done, or what is
    stored.
    """
    is_refusal = isinstance(content, list) and content[:1] == [b"refused"]
    return (
        type(command) is ScriptCall
        and command.script != "inspect"
        and not is_refusal
        and is_ours(command, content)
    )


def another_run(command: Command, honest: Any, line: bytes) -> Any:
    """The server says that it is another run of itself."""
    is_information = type(command) is PlainCommand and command.arguments[:1] == (b"INFO",)
    return b"# Server\r\n" + line if is_information else honest


def damaged(random: Random, content: Any) -> Any:
    """The honest answer, with one part of it changed."""
    if isinstance(content, list) and content:
        place = random.randrange(len(content))
        return [
            damaged(random, each) if index == place else each for index, each in enumerate(content)
        ]
    if type(content) is bytes:
        return random.choice(
            (content[: len(content) // 2], b"\xff" + content, content + content, 5, None, [content])
        )
    return random.choice((None, b"x", -1, 1 << 62, [content]))


DROPPED: dict[str, Any] = {
    **dict.fromkeys(
        ("write", "write_oom", "write_many", "write_many_oom", "change_member", "confirm"), 1
    ),
    **dict.fromkeys(("checkpoint", "enrol", "replace", "note_walk", "note_sweep"), 1),
    **{name: [b"ok", 1] for name in ("absorb", "absorb_oom", "purge", "mend", "trim")},
}
"""Of its records: what it says to have done, and does not do."""
