"""The check every connection passes when it is opened, before a script is loaded on the node.

A restarted server has an empty script cache, so whoever would load the scripts again comes past
here and notices the new run id: the node may have lost data and is not used until the workers have
brought it up.
See docs/protocol.md, section 6.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.reasons import NO_MEMBERSHIP, having_served

MEMBER_FIELDS = (b"cluster", b"node", b"state", b"run_id", b"identity", b"lineage")


class Membership(NamedTuple):
    """What a node says of itself when a connection is opened."""

    cluster: str | None
    node: str | None
    state: str | None
    run_id: str | None
    identity: str | None
    lineage: str | None
    actual_run_id: str


class Purpose(Enum):
    """What a connection is for: the data of an active member, the upkeep of any node, or finding
    out who is there.
    """

    SERVE = "serve"
    MAINTAIN = "maintain"
    DISCOVER = "discover"


class Admission(NamedTuple):
    """Which nodes may be used, for what purpose."""

    layout: KeyLayout
    purpose: Purpose

    def refusal(self, node: str, found: Membership, identity: str | None = None) -> str | None:
        """Why the node is not admitted, None if it is.

        identity: the one that the topology gives this member; another server of its name serves
        nobody. None: any.
        """
        if self.purpose is Purpose.DISCOVER:
            return None
        if found.cluster is None:
            return self._refusal_of_stranger() if self.purpose is Purpose.SERVE else None
        is_other = found.cluster != self.layout.cluster
        if is_other or (found.node != node and self.purpose is Purpose.SERVE):
            return (
                f"the server at this address is node {found.node!r} of cluster "
                f"{found.cluster!r}, not {node!r}"
            )
        if self.purpose is not Purpose.SERVE:
            return None
        if identity is not None and (found.identity or "") != identity:
            return (
                f"this server is not the member {node!r} of the cluster: another server has that "
                "place (`redrepl "
                "status` says which; `redrepl nodes replace` gives it to another one)"
            )
        if found.run_id != found.actual_run_id:
            why = (
                "restarted since it was admitted and may have lost data; the workers check it "
                "and bring it up"
            )
            return having_served(why, found.lineage)
        if not MemberState.parse(found.state).serves:
            return having_served(f"is {found.state}: the workers are bringing it up", found.lineage)
        return None

    def _refusal_of_stranger(self) -> str:
        cluster = self.layout.cluster
        return (
            f"{NO_MEMBERSHIP} of cluster {cluster!r}: it came back empty, was emptied (FLUSHALL), "
            "taken out or never "
            "initialised, or another server or database answers (`redrepl status` says which); a "
            "replica is filled "
            "again by the workers, a primary is never (it would empty its replicas)"
        )
