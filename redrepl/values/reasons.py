"""Why a node gave no usable answer: words that something is concluded from, and what an operator
can do about each.

Reasons travel as text, beside what servers say in their own words. The phrases here are those that
are recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

REFUSES: Final = "refuses connections"
"""Nothing listens at the address: the server is not running."""

LOST: Final = "connection lost"
"""It was there a moment ago; whether it still is shows when a connection is opened anew."""

NO_LOGIN: Final = "refused the login"
NO_PERMISSION: Final = "does not permit this login what it needs"
NO_NAME: Final = "no address is found for its name"
NO_HANDSHAKE: Final = "did not complete the TLS handshake"
NOT_TRUSTED: Final = "has a TLS certificate that is not accepted"
WRONG_NAME: Final = "has a TLS certificate of another name"
NEEDS_CERTIFICATE: Final = "wants a certificate of its clients"
NOT_ACCEPTED: Final = "does not accept the certificate of this program"
WRONG_FILE: Final = "cannot be connected to"
"""A file that is needed for it, a certificate or a password, is missing or does not fit."""

CLOSES_TLS: Final = "closes the connection over TLS at once"
CLOSES: Final = "closes the connection at once"
NOT_REDIS: Final = "does not speak the protocol of Redis"
NO_DATABASE: Final = "has no database"
LOADING: Final = "is loading its data"
TOO_MANY_CLIENTS: Final = "takes no more clients"
SILENT: Final = "did not answer within"
NO_DATA_SERVER: Final = "is a Sentinel, or another service that keeps no data"
CLUSTER_MODE: Final = "runs in Redis Cluster mode, which moves keys between servers"
OTHER_CLUSTER: Final = "belongs to cluster"
OTHER_NODE: Final = "the server at this address is node"
NOT_OURS: Final = "answers what no node of ours would"
NO_MEMBERSHIP: Final = "holds no membership"

_LACKS_A_RIGHT: Final = "NOPERM "
_RIGHTS: Final = (
    "give the login of {names} the permissions that `redrepl acl --role ROLE` prints "
    "for what it is used for"
)

_ADVICE: Final = (
    (REFUSES, "start the server of {names}, or correct its address"),
    (
        NO_LOGIN,
        "give {names} the right username with password_env or password_file, or set "
        "REDREPL_PASSWORD",
    ),
    (NO_PERMISSION, _RIGHTS),
    (_LACKS_A_RIGHT, _RIGHTS),
    (NO_NAME, "correct the host of {names}, or its entry in DNS"),
    (
        NO_HANDSHAKE,
        "{names}: rediss:// is for servers that speak TLS, redis:// for others; a server that "
        "does not accept the "
        "certificate of this program may end it in the same way: `certificate` and `key` in [tls]",
    ),
    (
        NOT_TRUSTED,
        "{names}: name the file of the authority in the configuration, [tls] ca, or in the url, "
        "?ssl_ca_certs=FILE",
    ),
    (
        WRONG_NAME,
        "{names}: write the host as the certificate does, or set server_name or check_names in "
        "[tls]",
    ),
    (NEEDS_CERTIFICATE, "{names}: name yours in the configuration, [tls] certificate and key"),
    (NOT_ACCEPTED, "{names}: give a certificate in [tls] of an authority that the servers trust"),
    (WRONG_FILE, "correct the file that is named, or what it holds"),
    (
        CLOSES_TLS,
        "see whether {names} want a certificate, [tls] certificate and key; look at their log",
    ),
    (CLOSES, "{names}: a server that speaks TLS needs rediss://; else look at its log"),
    (NOT_REDIS, "correct the port of {names}: another service listens there"),
    (NO_DATABASE, "correct the database number at the end of the url of {names}"),
    (
        NO_DATA_SERVER,
        "give the address of the data server itself for {names}: redrepl needs no Sentinel",
    ),
    (CLUSTER_MODE, "give plain servers for {names}: set cluster-enabled no, or use others"),
    (LOADING, "wait until {names} has loaded its data"),
    (TOO_MANY_CLIENTS, "raise maxclients of {names}, or close some of its clients"),
    (OTHER_CLUSTER, "correct the cluster's name in the configuration, or the address of {names}"),
    (OTHER_NODE, "correct the address of {names}: another node of the cluster answers there"),
    (
        NO_MEMBERSHIP,
        "see whether host, port and database of {names} are right; `redrepl init` makes a new "
        "cluster",
    ),
    (
        SILENT,
        "see whether the machine of {names} can be reached from here, and whether its server is "
        "frozen or busy",
    ),
)
"""What to do about a reason, by a phrase in it. The first that fits counts."""


_SILENCE: Final = (
    SILENT,
    "no answer in time",
    "has not answered",
    "no connection within the time-out",
)


_DENIALS: Final = (
    _LACKS_A_RIGHT,
    "ERR The user executing the script can't ",
    "ERR ACL failure in script: ",
)
"""How the errors begin with which a server says that the login lacks a right: in scripts, and
outside of them.
"""

_REFUSALS: Final = (
    "OOM ",
    "MISCONF ",
    "READONLY ",
    "NOREPLICAS ",
    "NOAUTH ",
    "LOADING ",
    "MASTERDOWN ",
    "CLUSTERDOWN ",
    "BUSY ",
    *_DENIALS,
)
"""How the errors begin with which a server turns a script down before its first write."""


def lost_connection(error: object, client_id: int | None) -> str:
    """The reason for what was sent on a connection that is lost; ``client_id``: what the server
    calls that.
    """
    return (
        f"{LOST}: {error}"
        if client_id is None
        else f"{LOST}: {error} (client {client_id} of the server)"
    )


def client_in(reason: str) -> int | None:
    """What the server calls the connection that was lost, from a reason that `lost_connection`
    gave.
    """
    found = re.search(rf"{LOST}: .* \(client ([0-9]{{1,19}}) of the server\)$", reason)
    return int(found[1]) if found else None


def having_served(reason: str, lineage: str | None) -> str:
    """Why a member is not used, and in which epoch it served last, if it ever did: that tells who
    reads elsewhere.
    """
    is_known = (
        lineage is not None and re.fullmatch(r"[1-9][0-9]{0,8}", lineage, re.ASCII) is not None
    )
    return f"{reason} (served last in epoch {lineage})" if is_known else reason


def epoch_served(reason: str) -> int:
    """The epoch in which a member served last, from a reason that `having_served` gave; else 0."""
    found = re.search(r" \(served last in epoch ([0-9]{1,9})\)$", reason)
    return int(found[1]) if found else 0


def is_refusal(reason: str) -> bool:
    """Whether a server said, in these words, that it carries out no write: it certainly did
    nothing.
    """
    return reason.startswith(_REFUSALS)


def is_denial(reason: str) -> bool:
    """Whether a server said, in these words, that the login lacks a right."""
    return reason.startswith(_DENIALS)


def lacking_rights(reason: str) -> frozenset[str]:
    """The commands that a login may not run, as far as a denial names them."""
    return frozenset(re.findall(r"[+]([a-z|]+)", reason))


def is_error_reply(reason: str) -> bool:
    """Whether these are the words of a server, which begin with a code, and not those of a
    connection.
    """
    return reason.partition(" ")[0].isupper()


def is_crash(reason: str) -> bool:
    """Whether a node that gave no answer for this reason is down for certain, and not merely slow
    or busy.
    """
    return REFUSES in reason or LOST in reason


_REFUSES_US: Final = (
    NO_LOGIN,
    NO_PERMISSION,
    NO_HANDSHAKE + ":",
    NOT_TRUSTED,
    NEEDS_CERTIFICATE,
    TOO_MANY_CLIENTS,
    "NOAUTH ",
    _LACKS_A_RIGHT,
    "WRONGPASS ",
)


def refuses_us(reason: str) -> bool:
    """Whether a node that gave no answer for this reason is there and turned this program away: its
    login, its rights, its certificate, or one client more.

    Whether it serves others is not known by that.
    """
    return any(phrase in reason for phrase in _REFUSES_US)


def is_out_of_memory(reason: str) -> bool:
    """Whether a server refused a write because its memory is used up."""
    return reason.startswith("OOM")


def advice_on(reasons: Mapping[str, str]) -> str | None:
    """What to do about nodes that gave no usable answer for these reasons; None where no reason is
    a known one.
    """
    names_by_advice: dict[str, list[str]] = {}
    for node, reason in reasons.items():
        if (advice := _advice_on(reason)) is not None:
            names_by_advice.setdefault(advice, []).append(node)
    found = [advice.format(names=_listed(names)) for advice, names in names_by_advice.items()]
    return "; ".join(found) or None


def kind_of(reason: str) -> str:
    """What stays the same while the same thing is wrong with a node, whatever words it comes in."""
    if LOST in reason:
        return REFUSES  # which shows when a connection is opened anew
    if any(phrase in reason for phrase in _SILENCE):
        return SILENT
    known = (phrase for phrase, _ in _ADVICE if phrase in reason)
    return next(known, re.sub(r"\d+", "#", reason))


def _advice_on(reason: str) -> str | None:
    kind = kind_of(reason)
    return next((advice for phrase, advice in _ADVICE if phrase == kind), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_CONTENT_FOLLOWS = (
    NOT_OURS,
    "unexpected answer",
    "with args beginning with",
    "that redrepl did not write under",
)
"""What follows these in a reason came from a server, and may be a value, a key, or what the server
was asked.
"""


def shown_reason(why: str) -> str:
    """A reason without what a server answered where that may hold a value or a password."""
    for phrase in _CONTENT_FOLLOWS:
        before, found, _ = why.partition(phrase)
        if found:
            why = before + found
    return why
