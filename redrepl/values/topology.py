"""Which nodes form a cluster, in which roles, in which epoch.

Immutable; a change makes a new epoch.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from redrepl.values import limits
from redrepl.values.errors import ConfigError
from redrepl.values.node_url import UNREADABLE, public_url
from redrepl.values.stamp import restamp_writer
from redrepl.values.validation import check_name

_URL = re.compile(r"(rediss?|valkeys?|unix)://[!-~]{1,2000}").fullmatch
"""Where a member can be. That a driver can make something of it shows when it is reached."""

_IDENTITY = re.compile(r"[!-~]*").fullmatch
"""It stands in names of fields, between spaces."""


class Mode(Enum):
    """One primary that decides, or several that merge."""

    PRIMARY_REPLICA = "primary-replica"
    MULTI_PRIMARY = "multi-primary"


class NodeRole(Enum):
    """PRIMARY takes writes for clients; REPLICA follows."""

    PRIMARY = "primary"
    REPLICA = "replica"


class NodeState(Enum):
    """ACTIVE serves and counts.

    SYNCING is being brought up and does neither. INACTIVE cannot be used.
    """

    ACTIVE = "active"
    INACTIVE = "inactive"
    SYNCING = "syncing"


@dataclass(frozen=True, slots=True)
class Member:
    """A node as the topology names it.

    ``url`` carries no password.

    identity: drawn at random when the server was enrolled, '' in clusters made before there were
    any. The member is the server with this identity, and no other one of its name.
    """

    id: str
    url: str
    role: NodeRole
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it was last seen.

    lag: changes it has not confirmed yet, in log entries. last_sync: seconds since 1970 of the last
    confirmation, None if there was none.
    """

    id: str
    url: str
    role: NodeRole
    state: NodeState
    lag: int
    last_sync: float | None


@dataclass(frozen=True, slots=True)
class Topology:
    """The members of a cluster in one epoch.

    merged_epoch: the last epoch that began with records of replicas being merged into the primary.
    A write that the primary refused may have got into the store there.
    """

    cluster: str
    epoch: int
    mode: Mode
    members: tuple[Member, ...]
    merged_epoch: int = 1

    def __post_init__(self) -> None:
        check_name("cluster", self.cluster)
        if not 0 < self.epoch <= limits.MAX_EPOCH:
            raise ConfigError(f"epoch must lie in 1..{limits.MAX_EPOCH}, not {self.epoch}")
        check_members(self.mode, self.members)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all members, in order."""
        return tuple(member.id for member in self.members)

    @property
    def primaries(self) -> tuple[str, ...]:
        """Ids of the nodes that take writes for clients: one, or all with several primaries."""
        return tuple(member.id for member in self.members if member.role is NodeRole.PRIMARY)

    @property
    def decider(self) -> str | None:
        """The one node that decides the order of writes, None with several primaries."""
        return self.primaries[0] if self.mode is Mode.PRIMARY_REPLICA else None

    def member(self, node: str) -> Member:
        """The member with this id. Raises KeyError."""
        for member in self.members:
            if member.id == node:
                return member
        raise KeyError(node)

    @property
    def identities(self) -> dict[str, str]:
        """The identity of each member, by its id.

        Topologies in which these are equal count by the same servers.
        """
        return {member.id: member.identity for member in self.members}

    def is_related_to(self, other: Topology) -> bool:
        """Whether both can be of one cluster: some server is a member in both.

        Two clusters may have the same name.
        """
        if not any((*self.identities.values(), *other.identities.values())):
            return True
        common = self.identities.items() & other.identities.items()
        return any(identity for _, identity in common) or (
            self.ids == other.ids and "" in other.identities.values()
        )

    def position_field(self, node: str) -> str:
        """The hash field of a member's cursor or mark: what was noted for one server never counts
        for another.
        """
        identity = self.member(node).identity
        return f"{node}@{identity}" if identity else node

    def others(self, node: str) -> tuple[str, ...]:
        """Ids of all members but this one."""
        return tuple(other for other in self.ids if other != node)

    def sources_of(self, target: str) -> tuple[str, ...]:
        """Whose logs are read for ``target``: the primary's for a replica; everybody's for a
        primary.
        """
        if self.decider is None or target == self.decider:
            return self.others(target)
        return (self.decider,)

    def restamp_writer(self, node: str) -> int:
        """The writer id with which ``node`` restamps in this epoch."""
        return restamp_writer(self.epoch, self.ids.index(node))

    def with_member(self, member: Member) -> Topology:
        """The next epoch, with one more member."""
        return replace(self, epoch=self.epoch + 1, members=(*self.members, member))

    def without_member(self, node: str) -> Topology:
        """The next epoch, without this member."""
        kept = tuple(member for member in self.members if member.id != node)
        return replace(self, epoch=self.epoch + 1, members=kept)

    def with_replaced(self, member: Member) -> Topology:
        """The next epoch, with this member in the place of the one with its id."""
        members = tuple(member if member.id == other.id else other for other in self.members)
        return replace(self, epoch=self.epoch + 1, members=members)

    def with_identities(self, identities: Mapping[str, str]) -> Topology:
        """The same members with these identities."""
        return replace(
            self,
            members=tuple(replace(each, identity=identities[each.id]) for each in self.members),
        )

    def with_primary(self, node: str, epoch: int) -> Topology:
        """The topology of a later epoch, in which this member is the one primary."""
        members = tuple(
            replace(member, role=NodeRole.PRIMARY if member.id == node else NodeRole.REPLICA)
            for member in self.members
        )
        return replace(self, epoch=epoch, members=members, merged_epoch=epoch)

    def encode(self) -> str:
        """JSON, as it is stored on the nodes."""
        members = [
            {"id": m.id, "url": m.url, "role": m.role.value, "identity": m.identity}
            for m in self.members
        ]
        content = {
            "cluster": self.cluster,
            "epoch": self.epoch,
            "mode": self.mode.value,
            "members": members,
        }
        content["merged_epoch"] = self.merged_epoch
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | bytes) -> Topology:
        """Read the text that `encode` wrote.

        Raises ConfigError on anything else.

        Earlier versions stored options with urls, which name files of one program, and secrets:
        they are left out.
        """
        try:
            if len(text) > limits.MAX_TOPOLOGY_BYTES:
                raise ValueError(f"it has {len(text)} bytes")
            return _parse(text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(f"stored topology cannot be read: {error!s:.200}") from error


@functools.lru_cache(maxsize=16)
def _parse(text: str | bytes) -> Topology:
    """Each look at a cluster reads the same text once a member, most of them the text of the look
    before.
    """
    content = json.loads(text)
    members = tuple(
        Member(
            _text(m["id"]),
            public_url(_url(m["url"])),
            NodeRole(m["role"]),
            _identity(m.get("identity", "")),
        )
        for m in content["members"]
    )
    epoch, merged = content["epoch"], content.get("merged_epoch", content["epoch"])
    if type(epoch) is not int or type(merged) is not int or not 0 < merged <= epoch:
        raise ValueError(f"epochs are {epoch!r:.80} and {merged!r:.80}")
    return Topology(_text(content["cluster"]), epoch, Mode(content["mode"]), members, merged)


def _text(value: object) -> str:
    if type(value) is not str or len(value) > 2 * limits.MAX_NAME_CHARACTERS:
        raise ValueError(f"not a name: {value!r:.80}")
    return value


def _identity(value: object) -> str:
    if not _IDENTITY(_text(value)):
        raise ValueError(f"not an identity: {value!r:.80}")
    return str(value)


def _url(value: object) -> str:
    if type(value) is not str or not _URL(value):
        raise ValueError("a member has no address")
    return value


def check_members(mode: Mode, members: Iterable[Member]) -> None:
    """Raise ConfigError unless these members can form a cluster in this mode."""
    members = tuple(members)
    if not 0 < len(members) <= limits.MAX_NODES:
        raise ConfigError(f"a cluster has 1 to {limits.MAX_NODES} nodes, not {len(members)}")
    _check_unique(members)
    primaries = [member.id for member in members if member.role is NodeRole.PRIMARY]
    if not primaries:
        raise ConfigError(
            'no node has role = "primary"; exactly one needs it, or all of them in multi-primary '
            "mode"
        )
    if mode is Mode.PRIMARY_REPLICA and len(primaries) > 1:
        raise ConfigError(
            f"primary-replica mode takes one primary, not {len(primaries)}: {', '.join(primaries)}"
        )
    if mode is Mode.MULTI_PRIMARY and len(primaries) < len(members):
        replicas = ", ".join(member.id for member in members if member.role is NodeRole.REPLICA)
        raise ConfigError(
            f'in multi-primary mode every node has role = "primary"; replicas given: {replicas}'
        )


def _check_unique(members: tuple[Member, ...]) -> None:
    seen_ids: set[str] = set()
    seen_urls: dict[str, str] = {}
    for member in members:
        check_name("node id", member.id)
        if member.id in seen_ids:
            raise ConfigError(f"node id {member.id!r} is given twice")
        if member.url in seen_urls and member.url != UNREADABLE:
            raise ConfigError(
                f"nodes {seen_urls[member.url]!r} and {member.id!r} have the same url {member.url}"
            )
        seen_ids.add(member.id)
        seen_urls[member.url] = member.id
