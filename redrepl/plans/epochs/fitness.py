"""Which servers can be nodes at all: plain ones that follow nobody, keep what they have, and are
one copy each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Exchange,
    PlainCommand,
    Plan,
    Reply,
    Request,
    Wait,
)
from redrepl.values.errors import RequestError

Facts = Mapping[str, str]
"""The fields of INFO."""

_INFORMATION = PlainCommand((b"INFO",))


def look_at_servers(nodes: Iterable[str], until: float) -> Plan[dict[str, Facts]]:
    """What INFO says of each server that answers."""
    nodes = tuple(nodes)
    effect: Exchange = Ask(tuple(Request(node, _INFORMATION) for node in nodes), until)
    found: dict[str, Facts] = {}
    for _ in nodes:
        event = yield effect
        effect = Wait(until)
        if isinstance(event, DeadlinePassed):
            break
        if isinstance(event, Reply):
            found[event.node] = _fields(event.content)
    return {node: found[node] for node in nodes if node in found}


def unfit_servers(found: Mapping[str, Facts]) -> dict[str, str]:
    """Why servers cannot be nodes, or not all of them, in words."""
    unfit = {node: why for node, facts in found.items() if (why := _why_unfit(facts)) is not None}
    seen: dict[str, str] = {}
    for node, facts in found.items():
        other = seen.setdefault(facts.get("run_id", node), node)
        if other != node:
            unfit[node] = (
                f"is the same server as node {other!r} (they have the same run id): one server "
                "under two names, or two "
                "of its databases, are one copy and fail together; give each node a server of its "
                "own"
            )
    return unfit


def check_fit(found: Mapping[str, Facts], newcomer: str | None = None) -> None:
    """Raise RequestError where a server cannot be a node; with ``newcomer``, the last one, where
    that cannot.
    """
    unfit = {node: why for node, why in unfit_servers(found).items() if newcomer in (None, node)}
    if unfit:
        raise RequestError("servers that cannot be nodes as they are", unfit)


def _why_unfit(facts: Facts) -> str | None:
    if facts.get("cluster_enabled") == "1" or facts.get("redis_mode") == "cluster":
        return (
            "runs in Redis Cluster mode, which moves keys between servers: set cluster-enabled no"
        )
    if facts.get("redis_mode") == "sentinel":
        return "is a Sentinel and holds no data: give the address of a server"
    if facts.get("role", "master") != "master":
        host = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        return f"is a native replica of {host}, which overwrites it: REPLICAOF NO ONE ends that"
    if (attached := facts.get("connected_slaves", "0")) != "0":
        return (
            f"has {attached} native replicas attached: a node copies to no other server by "
            "itself, so detach them"
        )
    if (policy := facts.get("maxmemory_policy", "")).startswith("allkeys"):
        return (
            f"evicts keys when memory is full (maxmemory-policy {policy}), acknowledged records "
            "and its membership "
            "among them: set maxmemory-policy noeviction"
        )
    return None


def _fields(content: bytes) -> Facts:
    lines = content.decode("utf-8", "replace").splitlines()
    return {
        name: value.strip()
        for name, separator, value in (line.partition(":") for line in lines)
        if separator
    }
