"""Changes of members that die before the server that is to become a member came in."""

from __future__ import annotations

import contextlib

from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.membership import Tolerances
from redrepl.values.topology import Member, NodeRole, Topology
from tests.unit.support.in_memory import FRESH, Nodes
from tests.unit.support.interruptions import Died, die


def change_and_die(nodes: Nodes, changed: Topology, script: str) -> None:
    """Begin to change the members; whoever does it dies right before a server runs this script."""
    nodes.meanwhile[script] = die
    with contextlib.suppress(Died):
        nodes.run(
            change_topology(nodes.view().topology, changed, Tolerances(), "inc-new", nodes.at)
        )
    assert script not in nodes.meanwhile
    nodes.first = changed


def add_and_die(nodes: Nodes, node: str, script: str) -> None:
    """Begin to add a member, whose server is there; see `change_and_die`."""
    member = Member(node, f"redis://{node}", NodeRole.REPLICA, FRESH[node])
    change_and_die(nodes, nodes.view().topology.with_member(member), script)


def with_former_member() -> Nodes:
    """d was taken out while it was away, and is to come in again; it still holds what it was."""
    nodes = Nodes(4)
    for node in "bd":  # so that they have identities
        nodes.lose_everything(node)
        while not nodes.bring_up(node).activated:
            pass
    nodes.write("abcd", b"key", nodes.value(b"v"))
    nodes.down = {"d"}
    nodes.remove("d")
    nodes.down = set()
    add_and_die(nodes, "d", "leave")
    assert nodes.report("d").epoch < nodes.view().topology.epoch
    return nodes
