"""Node reports as `inspect` would give them, with the fields that a test cares about."""

from __future__ import annotations

from collections.abc import Mapping

from redrepl.values.report import Cursor, Log, Mark, NodeReport, Position
from tests.unit.support.by_hand import topology

RUN = "run-1"
INCARNATION = "inc-1"
NOW_MILLIS = 1_000_000_000
NO_LOG = Log(0, "0-0", 0, "")


def report(
    node: str,
    *,
    log: Log = NO_LOG,
    cursors: dict[str, tuple[str, int]] | None = None,
    marks: dict[str, tuple[str, str, int]] | None = None,
    run_id: str = RUN,
    member: Mapping[str, str] | None = None,
    **more: str,
) -> NodeReport:
    """A report of an active member in epoch 7."""
    fields = {
        "cluster": "shop",
        "node": node,
        "epoch": "7",
        "state": "active",
        "incarnation": INCARNATION,
    }
    fields |= {"run_id": RUN, "max_age_micros": "30000000", **(member or {}), **more}
    return NodeReport(
        node=node,
        member=fields,
        run_id=run_id,
        log=log,
        cursors={
            name: Cursor(Position(*place), NOW_MILLIS) for name, place in (cursors or {}).items()
        },
        marks={name: Mark(mark[0], Position(*mark[1:])) for name, mark in (marks or {}).items()},
        topology=topology(3),
        now_millis=NOW_MILLIS,
        clusters={"shop": node},
    )


def stranger(node: str, **clusters: str) -> NodeReport:
    """A report of a server that is no member."""
    return NodeReport(node, {}, RUN, Log(0, "0-0", 0, ""), {}, {}, None, NOW_MILLIS, clusters)
