"""What each kind of login needs on the nodes: the one table of it, and the ACL rules that follow.

Rules are written as `ACL SETUSER` and a users.acl file take them, for Redis 7.0, Valkey and later.
What scripts call is checked by the server command by command, as if the login had sent it.

EVALSHA asks for the right to read and to write each key that it is told, whatever the script does
there. So a selector gives EVALSHA, alone, more keys than any command has that stores something:
what a script may do there is decided by the other rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from redrepl.values.keys import CLUSTERS_KEY, literal


class Role(Enum):
    """What a login is for."""

    APPLICATION = "application"
    WORKER = "worker"
    OPERATOR = "operator"
    READ_ONLY = "read-only"


class Grant(NamedTuple):
    """Commands, and the patterns of keys that they may be used on.

    A login may do what one of its grants allows.
    """

    keys: tuple[str, ...]
    commands: tuple[str, ...]

    @property
    def rules(self) -> list[str]:
        """As rules of an ACL."""
        return [*self.keys, *(f"+{command}" for command in self.commands)]


SCRIPT_COMMANDS: Final[Mapping[str, str]] = {
    "absorb": "del exists getrange hget hmget hset info mget mset set strlen time xadd xdel xrange",
    "change_member": "del hdel hget hkeys hmget hset set",
    "checkpoint": "del hmget lpush lrange ltrim",
    "confirm": "del exists hget hmget hset time xinfo",
    "digest": "get",
    "disown": "hdel hmget set unlink",
    "enrol": "del exists hget hkeys hmget hset hsetnx set",
    "headers": "exists getrange hmget strlen",
    "hold": "exists hdel hget hmget hset time xinfo",
    "inspect": "exists hget hgetall lrange mget time xinfo xrange",
    "leave": "hdel hmget unlink",
    "log_page": "exists hget xinfo xrange",
    "mend": "del exists getrange hget hmget hset set strlen time xadd xdel xinfo xrevrange",
    "note_sweep": "del hdel hget hmget hset",
    "note_walk": "hdel hmget hset",
    "probe_write": "del exists hget hmget hset set time xadd xlen",
    "purge": "del exists getrange hmget hset strlen time",
    "read_many": "exists hget hmget hset mget strlen time",
    "replace": "del exists get getrange hmget set strlen xadd xdel xlen",
    "transact": "exists get getrange hget hmget hset info set strlen time xadd xdel",
    "trim": "exists hget hmget hset xinfo xlen xrange xrevrange xtrim",
    "update": "get hget hmget hset info set strlen time xadd xdel",
    "vouch": "del exists get getrange hget hmget strlen time xinfo xrevrange",
    "write": "exists getrange hget hmget hset info set strlen time xadd xdel",
    "write_many": "exists getrange hget hmget hset info mget mset set strlen time xadd xdel",
}
"""What each script calls, the second one of its text for full memory too."""

CONNECTING: Final = "client|id evalsha hmget info ping script|exists script|load"
"""What is sent on every connection."""

_READING = ("headers", "inspect", "read_many", "vouch")
_WRITING = ("mend", "probe_write", "transact", "update", "write", "write_many")
_UPKEEP = (
    *(
        "absorb",
        "change_member",
        "checkpoint",
        "confirm",
        "digest",
        "disown",
        "enrol",
        "headers",
        "hold",
        "inspect",
    ),
    *(
        "leave",
        "log_page",
        "note_sweep",
        "note_walk",
        "probe_write",
        "purge",
        "read_many",
        "replace",
        "trim",
    ),
)

_CLIENTS = ("read_many", "transact", "update", "write", "write_many")
_SPARED: Final = frozenset(("info", "strlen"))
"""Commands that scripts do without where they get no answer."""

CLIENTS_COMMANDS: Final = " ".join(
    sorted({each for name in _CLIENTS for each in SCRIPT_COMMANDS[name].split()} - _SPARED)
)
"""Without one of these a node does not serve the programs of a login."""

FENCE_COMMANDS: Final = SCRIPT_COMMANDS["change_member"]
"""Without one of these a login cannot move a member to another epoch."""

ROLE_SCRIPTS: Final[Mapping[Role, frozenset[str]]] = {
    Role.APPLICATION: frozenset({*_READING, *_WRITING}),
    Role.WORKER: frozenset(_UPKEEP),
    Role.OPERATOR: frozenset(SCRIPT_COMMANDS),
    Role.READ_ONLY: frozenset(_READING),
}
"""What each role runs on the nodes."""

_READS = "dbsize get hget mget scan time xrange"

ROLE_COMMANDS: Final[Mapping[Role, str]] = {
    Role.APPLICATION: f"{_READS} client|kill",
    Role.WORKER: "dbsize exists get hget scan time xrange xrevrange",
    Role.OPERATOR: f"{_READS} client|kill exists xrevrange",
    Role.READ_ONLY: _READS,
}
"""What each role sends besides, outside of scripts: status and `keys` walk over names."""

STORING: Final = frozenset(
    (
        "del",
        "hdel",
        "hset",
        "hsetnx",
        "lpush",
        "ltrim",
        "mset",
        "set",
        "unlink",
        "xadd",
        "xdel",
        "xtrim",
    )
)
"""Commands that change something.

A read-only login has none of them, so that where a script would it gets an error.
"""

_CLUSTERS: Final = CLUSTERS_KEY.decode()


def node_grants(
    role: Role, cluster: str, selects: bool = False, names_itself: bool = False
) -> list[Grant]:
    """What a login of this role needs on the nodes, and no more.

    selects: the nodes' databases are others than 0. names_itself: their urls give connections a
    name (`client_name`).
    """
    own = f"{literal(cluster)}:*"
    commands = {*CONNECTING.split(), *ROLE_COMMANDS[role].split(), *_of_scripts(ROLE_SCRIPTS[role])}
    commands -= {"hsetnx"}  # for the list of clusters alone
    if role is Role.READ_ONLY:
        commands -= STORING
    commands |= _of_connection(selects, names_itself)
    keys = f"%R~{own}" if role is Role.READ_ONLY else f"~{own}"
    return [
        Grant((keys,), tuple(sorted(commands))),
        Grant((f"~{own}", f"~{_CLUSTERS}"), ("evalsha",)),
        _on_clusters(role),
    ]


def _of_connection(selects: bool, names_itself: bool) -> set[str]:
    return ({"select"} if selects else set()) | ({"client|setname"} if names_itself else set())


def _of_scripts(names: Iterable[str]) -> set[str]:
    return {command for name in names for command in SCRIPT_COMMANDS[name].split()}


def _on_clusters(role: Role) -> Grant:
    """What a login may do with the list of clusters, which all clusters of a database share.

    Nobody's may change or remove an entry: it may be another cluster's. Only an operator's adds
    one.
    """
    if role is Role.OPERATOR:
        return Grant((f"~{_CLUSTERS}",), ("hgetall", "hkeys", "hsetnx"))
    return Grant(
        (f"%R~{_CLUSTERS}",), ("hgetall", "hkeys") if role is Role.WORKER else ("hgetall",)
    )


READ_ONLY_COMMANDS: Final = frozenset(node_grants(Role.READ_ONLY, "any")[0].commands)
"""What a login that reads alone may do with the keys of its cluster."""


def rules_of(grants: Iterable[Grant]) -> list[str]:
    """The rules of a login with these grants, without its password.

    Those after the first become selectors.
    """
    first, *others = grants
    return [
        *first.keys,
        "-@all",
        *first.rules[len(first.keys) :],
        *(f"({' '.join(each.rules)})" for each in others),
    ]


def node_rules(
    role: Role, cluster: str, selects: bool = False, names_itself: bool = False
) -> list[str]:
    """The ACL rules of `node_grants`."""
    return rules_of(node_grants(role, cluster, selects, names_itself))


def needed_by(script: str) -> str:
    """The rights that a script needs, for messages; '' for one that is not known."""
    return " ".join(
        f"+{command}" for command in SCRIPT_COMMANDS.get(script.removesuffix("_oom"), "").split()
    )


class QueueNames(NamedTuple):
    """The queues that workers of the cluster listen to, and how RQ's keys begin."""

    queues: tuple[str, ...]
    prefix: str = "rq"


def queue_grants(
    role: Role, cluster: str, names: QueueNames, selects: bool = False, names_itself: bool = False
) -> list[Grant]:
    """What a login of this role needs on the Redis of the queue, and no more.

    The last two are as in `node_grants`.
    """
    keys = _queue_keys(cluster, names)
    first, *others = [
        Grant(_keys(keys, wanted), tuple(commands.split())) for wanted, commands in _QUEUE[role]
    ]
    commands = {*first.commands, *_of_connection(selects, names_itself)}
    return [Grant(first.keys, tuple(sorted(commands))), *others]


def _queue_keys(cluster: str, names: QueueNames) -> dict[str, tuple[str, ...]]:
    """Patterns by what is kept under the keys: what belongs to this cluster, as far as RQ's names
    tell.
    """
    rq, own = f"~{literal(names.prefix)}", literal(cluster)
    jobs = f"redrepl-{len(cluster)}-{own}-*"
    queues = [literal(name) for name in dict.fromkeys(names.queues)]
    return {
        "job": (f"{rq}:job:{jobs}",),
        "lists": tuple(f"{rq}:queue:{name}" for name in queues),
        "states": tuple(f"{rq}:{state}:{name}" for state in ("wip", "failed") for name in queues),
        "results": (f"{rq}:results:{jobs}",),
        "workers": (f"{rq}:workers", *(f"{rq}:workers:{name}" for name in queues)),
        "worker": (f"{rq}:worker:*",),
        "lease": (f"~redrepl:lease:{own}:*",),
        "queues": (f"{rq}:queues",),
        "probe": ("%W~redrepl:probe:*",),
    }


def queue_rules(
    role: Role, cluster: str, names: QueueNames, selects: bool = False, names_itself: bool = False
) -> list[str]:
    """The ACL rules of `queue_grants`."""
    return rules_of(queue_grants(role, cluster, names, selects, names_itself))


def _keys(keys: Mapping[str, tuple[str, ...]], wanted: str) -> tuple[str, ...]:
    return tuple(pattern for kind in wanted.split() for pattern in keys[kind])


_ENQUEUE = (
    ("job lists", "evalsha exec exists expire hset info multi rpush script|load"),
    ("queues", "sadd"),
)
_LOOK = (
    ("job lists states", "evalsha hmget hstrlen llen lrange type zcard zrange"),
    ("results", "xrevrange"),
    ("workers", "srandmember"),
    ("worker", "exists"),
)
_QUEUE: Final[Mapping[Role, tuple[tuple[str, str], ...]]] = {
    Role.APPLICATION: _ENQUEUE,
    Role.WORKER: (
        (
            "job lists states",
            "blpop del evalsha exec exists expire hmget hset hstrlen info lpop multi rpush "
            "script|load type zadd zrem "
            "zremrangebyscore",
        ),
        ("results", "expire xadd"),
        ("workers", "sadd srandmember srem"),
        ("worker", "del exists expire hexists hset"),
        ("lease", "del eval get getrange set"),
        ("queues", "sadd"),
    ),
    Role.OPERATOR: (*_ENQUEUE, *_LOOK, ("probe", "set")),
    Role.READ_ONLY: (
        ("lists states", "exec llen multi zcard"),
        ("workers", "srandmember"),
        ("worker", "exists"),
    ),
}
"""What each role sends to the queue: `status` and `jobs` look, programs enqueue, workers take."""
