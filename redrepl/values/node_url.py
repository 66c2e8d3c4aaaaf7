"""Urls of nodes and of the queue: read strictly, and shown without anything that may be secret.

A password that holds `/`, `?`, `#` or `@` unencoded turns a url into another one that also looks
like a url. So what is not exactly of the form below is refused, and the text that was refused is
never part of a message:

    redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?OPTIONS]     also rediss, valkey, valkeys
    unix://[[USER]:PASSWORD@]/PATH/OF/THE/SOCKET[?OPTIONS]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import parse_qsl, unquote

from redrepl.values import limits

DEFAULT_PORT: Final = 6379
UNREADABLE: Final = "unreadable"
"""What is shown in place of a url that cannot be read."""

PLAIN_SCHEMES: Final = ("redis", "valkey")
TLS_SCHEMES: Final = ("rediss", "valkeys")
SOCKET_SCHEME: Final = "unix"

LOGIN_OPTIONS: Final = ("username", "password", "password_file", "client_name")
TLS_OPTIONS: Final = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_ca_data",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_password_file",
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "ssl_include_verify_flags",
    "ssl_exclude_verify_flags",
    "ssl_min_version",
    "ssl_ciphers",
    "ssl_server_name",
)
_WITHOUT_EFFECT: Final = frozenset(
    (
        "socket_timeout",
        "socket_connect_timeout",
        "socket_read_size",
        "socket_keepalive",
        "retry_on_timeout",
        "retry_on_error",
        "max_connections",
        "health_check_interval",
        "timeout",
        "protocol",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "ssl_validate_ocsp",
        "ssl_validate_ocsp_stapled",
    )
)
"""Options that redis-py knows; redrepl has settings of its own for what some of them are about."""

_SCHEME = re.compile(rf"({'|'.join((*TLS_SCHEMES, *PLAIN_SCHEMES, SOCKET_SCHEME))})://")
_HOST = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
_AUTHORITY = re.compile(
    rf"(?P<host>{_HOST}|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]{{1,15}})?\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_DATABASE = re.compile(r"/([0-9]{0,9})/?")
_OTHER_LETTERS = (
    "write other letters of a host in Punycode (xn--...), and of a path as %C3%A9 and the like"
)
_ENCODED = (
    "write / ? # @ and % in a password as %2F %3F %23 %40 and %25, or give it with "
    "password_file or password_env"
)


class UnreadableUrl(ValueError):
    """What is wrong with a url, in words that hold no part of it."""


@dataclass(frozen=True, slots=True)
class NodeUrl:
    """A url in its parts.

    ``public``: the same address without login and options, which may be stored and shown.

    host: '' for a socket. path: of the socket, '' for others. options: those about TLS, secret like
    the login.
    """

    public: str
    is_tls: bool
    host: str
    port: int
    path: str
    database: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    password_file: str | None = field(default=None, repr=False)
    client_name: str | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def place(self) -> tuple[object, int]:
        """The server and the database, the same for every way to write them."""
        return self.path or (self.host.lower(), self.port), self.database

    @property
    def address(self) -> str:
        """Host and port, or the path of the socket, for messages."""
        return self.path or self.public.partition("://")[2].partition("/")[0]


def parse_node_url(url: str) -> NodeUrl:
    """Read a url. Raises UnreadableUrl, whose text holds nothing of it."""
    if len(url) > limits.MAX_URL_CHARACTERS:
        raise UnreadableUrl(f"it has more than {limits.MAX_URL_CHARACTERS} characters")
    found = _SCHEME.match(url)
    if found is None:
        raise UnreadableUrl("a url must start with redis://, rediss://, valkey:// or unix://")
    if not url.isprintable() or " " in url:
        raise UnreadableUrl("it holds a space or a character that cannot be printed")
    rest = url[found.end() :]
    if "#" in rest:
        raise UnreadableUrl(f"it holds a '#': {_ENCODED}")
    place, _, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    login, _, host = authority.rpartition("@")
    if "@" in path or "@" in query:
        raise UnreadableUrl(f"it holds an '@' after the host: {_ENCODED}")
    options = _options(query)
    username, password = _login(login, options)
    scheme = found[1]
    parse = _parse_socket if scheme == SOCKET_SCHEME else _parse_host
    public, host, port, socket, database = parse(
        scheme, host, slash + path, options.pop("db", None)
    )
    if len(public) > limits.MAX_ADDRESS_CHARACTERS or not public.isascii():
        raise UnreadableUrl(
            f"its address is not of {limits.MAX_ADDRESS_CHARACTERS} ASCII characters at most: "
            f"{_OTHER_LETTERS}"
        )
    is_tls = scheme in TLS_SCHEMES
    if not is_tls and any(name in TLS_OPTIONS for name in options):
        raise UnreadableUrl("options about TLS need rediss://")
    return NodeUrl(
        public,
        is_tls,
        host,
        port,
        socket,
        database,
        username,
        password,
        options.pop("password_file", None),
        options.pop("client_name", None),
        tuple(options.items()),
    )


def public_url(url: str) -> str:
    """The url without login and options, `unreadable` where it cannot be read."""
    try:
        return parse_node_url(url).public
    except UnreadableUrl:
        return UNREADABLE


def _options(query: str) -> dict[str, str]:
    """Names and values.

    What a password left here must not be shown, so that only known names are.
    """
    try:
        pairs = parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True)
    except ValueError:
        raise UnreadableUrl(f"after the '?' there are no options: {_ENCODED}") from None
    for name, _ in pairs:
        if name in _WITHOUT_EFFECT:
            raise UnreadableUrl(
                f"option {name} is of no use here: redrepl's own settings, as timeout_seconds, "
                "count"
            )
        if name not in (*LOGIN_OPTIONS, *TLS_OPTIONS, "db"):
            known = ", ".join((*LOGIN_OPTIONS, "db", *TLS_OPTIONS))
            raise UnreadableUrl(f"it has an unknown option; known are {known}")
    if len(dict(pairs)) < len(pairs):
        raise UnreadableUrl("it gives an option twice")
    return {name: value for name, value in pairs if value}


def _login(login: str, options: dict[str, str]) -> tuple[str | None, str | None]:
    username, _, password = login.partition(":")
    others = options.pop("username", None), options.pop("password", None)
    return unquote(username) or others[0], unquote(password) or others[1]


def _parse_host(
    scheme: str, authority: str, path: str, db: str | None
) -> tuple[str, str, int, str, int]:
    if not authority or authority.startswith(":"):
        raise UnreadableUrl(f"it names no host: {_ENCODED}")
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not _is_host(found["host"]):
        why = _ENCODED if authority.isascii() else _OTHER_LETTERS
        raise UnreadableUrl(f"host and port cannot be read: {why}")
    port = DEFAULT_PORT if found["port"] is None else int(found["port"])
    if not 0 < port < 65536:
        raise UnreadableUrl("its port is none: ports are 1 to 65535")
    number = _DATABASE.fullmatch(path or "/")
    if number is None:
        raise UnreadableUrl(f"after the host there is no number of a database: {_ENCODED}")
    database = _database(db) if db is not None else int(number[1] or 0)
    public = f"{scheme}://{authority}{f'/{database}' if db is not None else path}"
    return public, found["host"].strip("[]"), port, "", database


def _is_host(host: str) -> bool:
    """Whether a resolver takes this at all: other texts end in another error than that of an
    unknown name.
    """
    if not host.startswith("["):
        return len(host) <= limits.MAX_HOST_CHARACTERS
    try:
        return bool(IPv6Address(host.strip("[]")))
    except ValueError:
        return False


def _parse_socket(
    scheme: str, authority: str, path: str, db: str | None
) -> tuple[str, str, int, str, int]:
    if authority or len(path) < 2:
        raise UnreadableUrl(
            "after unix:// comes the whole path of a socket, as in unix:///run/redis.sock: "
            f"{_ENCODED}"
        )
    database = 0 if db is None else _database(db)
    return (
        f"{scheme}://{path}{f'?db={database}' if database else ''}",
        "",
        0,
        unquote(path),
        database,
    )


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UnreadableUrl("db must be the number of a database")
    return int(text)
