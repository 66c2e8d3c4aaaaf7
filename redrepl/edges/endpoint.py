"""Where a node is and how to log in. Passwords never enter the topology, messages or `repr`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url

from redrepl.values.errors import ConfigError

_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis": "redis", "rediss": "rediss", "unix": "unix"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A node's address and login. ``url`` and ``connect_url`` are free of secrets.

    connect_url: where this program reaches the node in place of ``url`` (NAT, a tunnel, a proxy). identity: of the
    member that must be found there; None: whichever server is. configured_at: the url at which the configuration has
    this member, where that is another one than the cluster's and no ``connect_url`` says which of them is the way.
    """

    node: str
    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    connect_url: str | None = None
    identity: str | None = None
    configured_at: str | None = field(default=None, compare=False)

    @property
    def reached_at(self) -> str:
        """The url that connections are opened to."""
        return self.connect_url or self.url


_LOGIN = re.compile(r"(?P<start>^|//)(?P<user>[^:@/?#]*):[^/?#]*@")
_SECRET_OPTIONS = ("username", "password")


def redact(url: str) -> str:
    """The url without its password, also where it cannot be read as a url."""
    hidden = _LOGIN.sub(lambda found: found["start"] + (f"{found['user']}@" if found["user"] else ""), url)
    return re.sub(r"([?&])password=[^&#]*", r"\1password=***", hidden)


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    options = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in _SECRET_OPTIONS]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(options)))


def split_url(node: str, url: str) -> Endpoint:
    """An endpoint from a url that may carry a login. Raises ConfigError for a url that is none of Redis or Valkey."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ConfigError(
            f"node {node!r}: url must start with redis://, rediss://, valkey:// or unix://, not {redact(url)!r}"
        )
    try:
        options = _parse(scheme, rest)
    except ValueError as error:
        raise ConfigError(f"node {node!r}: url {redact(url)!r} cannot be read: {error}") from error
    return Endpoint(node, _without_login(url), options.get("username"), options.get("password"))


def with_connect_url(endpoint: Endpoint, url: str) -> Endpoint:
    """The endpoint reached at another url, whose login counts where it has one. Raises ConfigError as `split_url`."""
    other = split_url(endpoint.node, url)
    if other.username is None and other.password is None:
        return replace(endpoint, connect_url=other.url)
    return replace(endpoint, connect_url=other.url, username=other.username, password=other.password)


def _parse(scheme: str, rest: str) -> dict[str, Any]:
    parsed: dict[str, Any] = dict(parse_url(f"{_SCHEMES[scheme]}://{rest}"))  # type: ignore[no-untyped-call]
    return parsed


def connection_options(endpoint: Endpoint) -> tuple[type[Any], dict[str, Any]]:
    """The class and arguments of redis-py's connection for this endpoint."""
    scheme, _, rest = endpoint.reached_at.partition("://")
    options = _parse(scheme, rest)
    options.pop("connection_class", None)
    options["username"], options["password"] = endpoint.username, endpoint.password
    classes: dict[str, type[Any]] = {
        "redis": Connection,
        "rediss": SSLConnection,
        "unix": UnixDomainSocketConnection,
    }
    return classes[_SCHEMES[scheme]], options


def place_of(url: str) -> tuple[object, object]:
    """The server and database that a url leads to, however it is written."""
    scheme, _, rest = url.partition("://")
    options = _parse(scheme, rest)
    return options.get("path") or (options.get("host", "localhost"), options.get("port", 6379)), options.get("db", 0)


def address(endpoint: Endpoint) -> str:
    """Host and port, or the socket path, for messages."""
    parts = urlsplit(endpoint.reached_at)
    return parts.netloc or parts.path
