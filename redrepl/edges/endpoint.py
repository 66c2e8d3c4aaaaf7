"""Where a node is and how to log in. Passwords never enter the topology, messages or `repr`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from redis.connection import Connection, UnixDomainSocketConnection
from redis.credentials import CredentialProvider

from redrepl.edges.tls import TlsConnection, TlsSettings, read_secret, with_url_options
from redrepl.values.errors import ConfigError
from redrepl.values.node_url import TLS_SCHEMES, NodeUrl, UnreadableUrl, parse_node_url


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A node's address and login.

    ``url`` and ``connect_url`` are free of secrets.

    connect_url: where this program reaches the node in place of ``url`` (NAT, a tunnel, a proxy).
    identity: of the member that must be found there; None: whichever server is. configured_at: the
    url at which the configuration has this member, where that is another one than the cluster's and
    no ``connect_url`` says which of them is the way.
    password_file: read anew for every connection. tls: for urls with TLS. tls_only: whether the
    configuration has this node with TLS, so that nothing is sent to it without.
    withheld: why nothing may be sent there; None where it may.
    """

    node: str
    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    connect_url: str | None = None
    identity: str | None = None
    configured_at: str | None = field(default=None, compare=False)
    password_file: str | None = None
    client_name: str | None = None
    tls: TlsSettings = field(default_factory=TlsSettings, repr=False)
    tls_only: bool = False
    withheld: str | None = None

    def __post_init__(self) -> None:
        for name in ("username", "password", "client_name"):
            if not _is_utf8(getattr(self, name) or ""):
                raise ConfigError(f"node {self.node!r}: {name} is no UTF-8 text")

    @property
    def reached_at(self) -> str:
        """The url that connections are opened to."""
        return self.connect_url or self.url

    @property
    def has_login(self) -> bool:
        """Whether anything is known to log in with."""
        return (
            self.username is not None or self.password is not None or self.password_file is not None
        )

    def with_login_of(self, other: Endpoint) -> Endpoint:
        """This address, with the login and the certificates of another node."""
        return replace(
            self,
            username=other.username,
            password=other.password,
            password_file=other.password_file,
            client_name=other.client_name,
            tls=other.tls,
        )

    def current_password(self) -> str | None:
        """The password as it is now in its file, if it comes from one. Raises TlsFileError."""
        if self.password_file is None:
            return self.password
        return read_secret("password_file", self.password_file) or None


def _is_utf8(text: str) -> bool:
    """Whether it can be sent: a variable of the environment may hold other bytes."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def split_url(node: str, url: str, tls: TlsSettings | None = None, what: str = "url") -> Endpoint:
    """An endpoint from a url that may carry a login and options, which go over ``tls``.

    Raises ConfigError for a url that is none of Redis or Valkey; ``what``: how the message names
    it. The url itself is never in the message: it may hold a password, and where it cannot be read
    nothing tells which part that is.
    """
    try:
        parsed = parse_node_url(url)
        settings = with_url_options(tls or TlsSettings(), dict(parsed.options))
    except UnreadableUrl as error:
        raise ConfigError(f"node {node!r}: {what} cannot be used: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"node {node!r}: {what}: {error.message}") from None
    return Endpoint(
        node,
        parsed.public,
        parsed.username,
        parsed.password,
        password_file=parsed.password_file,
        client_name=parsed.client_name,
        tls=settings,
        tls_only=parsed.is_tls,
    )


def with_connect_url(endpoint: Endpoint, url: str) -> Endpoint:
    """The endpoint reached at another url, whose login counts where it has one.

    Raises ConfigError as `split_url`.
    """
    other = split_url(endpoint.node, url, endpoint.tls, "connect_url")
    if not other.has_login:
        other = replace(other.with_login_of(endpoint), tls=other.tls)
    return replace(endpoint.with_login_of(other), connect_url=other.url, tls_only=other.tls_only)


def connection_options(endpoint: Endpoint) -> tuple[type[Any], dict[str, Any]]:
    """The class and arguments of redis-py's connection for this endpoint.

    Raises ConfigError, TlsFileError.
    """
    parsed = _parse(endpoint)
    options: dict[str, Any] = {"db": parsed.database, "client_name": endpoint.client_name}
    if endpoint.password_file is None:
        options |= {"username": endpoint.username, "password": endpoint.password}
    else:
        options["credential_provider"] = _FileCredentials(endpoint)
    if parsed.path:
        return UnixDomainSocketConnection, options | {"path": parsed.path}
    options |= {"host": parsed.host, "port": parsed.port}
    return (
        (TlsConnection, options | {"tls": endpoint.tls}) if parsed.is_tls else (Connection, options)
    )


def _parse(endpoint: Endpoint) -> NodeUrl:
    try:
        parsed = parse_node_url(endpoint.reached_at)
    except UnreadableUrl as error:
        raise ConfigError(f"node {endpoint.node!r}: its url cannot be used: {error}") from None
    if endpoint.tls_only and not parsed.is_tls:
        text = (
            f"node {endpoint.node!r}: the cluster has it at {parsed.public}, without TLS, the "
            "configuration with TLS"
        )
        raise ConfigError(f"{text}: nothing is sent there; correct its url")
    return parsed


class _FileCredentials(CredentialProvider):
    """A login whose password is read anew for every connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """User name, where there is one, and password."""
        password = self._endpoint.current_password() or ""
        return (
            (password,) if self._endpoint.username is None else (self._endpoint.username, password)
        )


def place_of(url: str) -> tuple[object, int]:
    """The server and database that a url leads to, however it is written."""
    try:
        return parse_node_url(url).place
    except UnreadableUrl:
        return url, 0


def is_over_tls(endpoint: Endpoint) -> bool:
    """Whether connections to it use TLS."""
    return endpoint.reached_at.startswith(tuple(f"{scheme}://" for scheme in TLS_SCHEMES))


def address(endpoint: Endpoint) -> str:
    """Host and port, or the socket path, for messages."""
    try:
        return parse_node_url(endpoint.reached_at).address
    except UnreadableUrl:
        return endpoint.node
