"""Parsers of `redrepl.edges`, of the commands and of the embedded servers' probe."""

from __future__ import annotations

import io
import json
import socket
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import hiredis

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.configuration import configuration_of, load_configuration
from redrepl.edges.connection import NodeConnection
from redrepl.edges.endpoint import (
    address,
    connection_options,
    place_of,
    split_url,
    with_connect_url,
)
from redrepl.edges.files import FileUnreadable
from redrepl.edges.introduction import NodeUnusable, introduce
from redrepl.edges.job_queue import JobQueue
from redrepl.edges.scripts import all_scripts
from redrepl.edges.tls import (
    TLS_KEYS,
    TlsFileError,
    TlsSettings,
    read_secret,
    read_tls_table,
    with_tls_of,
)
from redrepl.embedded.probe import ProbeError, _read_reply
from redrepl.values.errors import ConfigError, RequestError
from redrepl.values.jobs import BRING_UP, JobRefused
from redrepl.values.keys import KeyLayout
from redrepl_cli.chaos.command import FaultsType
from redrepl_cli.commands.discarded import _moment
from redrepl_cli.output import _columns_of
from redrepl_cli.parameters import LEVEL, PROBABILITY, FiniteRange
from redrepl_cli.text import argument_bytes, argument_key, decoded, printable, shown_url
from tests.property.parsers.parser import Parser, text
from tests.support.answering import decode_answer, encode_answer

_SCRATCH = tempfile.TemporaryDirectory(prefix="redrepl-parsers-")
FOLDER = Path(_SCRATCH.name)
"""With one small file at a time."""

FILE = b"""
cluster = "shop"
level = "quorum"
timeout_seconds = 0.5
tick_seconds = 2
log_cap_entries = 1000
max_age_seconds = 20.0
queue_url = "redis://queue:6379/1"
queue_key = "a key of the cluster"
[tls]
check_names = true
minimum_version = "1.3"
server_name = "db.example"
[[nodes]]
id = "a"
url = "redis://:secret@a:6379/0"
role = "primary"
[[nodes]]
id = "b"
url = "rediss://b"
role = "replica"
connect_url = "redis://tunnel:7000"
username = "ada"
"""
VARIABLES = (
    b"REDREPL_TICK_SECONDS=0.5\nREDREPL_LEVEL=one\nREDREPL_LOG_CAP_ENTRIES=7\nREDREPL_PASSWORD=x"
)
SETTINGS = json.dumps(
    {
        "timeout_seconds": 0.5,
        "tls": {"check_names": True},
        "connect_urls": {"b": "redis://t:1"},
        "queue": "q",
        "level": 1,
    }
).encode()
TABLE = (
    b'server_name = "db.example"\nminimum_version = "1.2"\ncheck_names = true\nca = "missing.pem"'
)
_CONFIGURATION_ERRORS: tuple[type[Exception], ...] = (ConfigError,)


def _saved(data: bytes) -> Path:
    file = FOLDER / "file"
    file.write_bytes(data)
    return file


def _usable(configuration: Any) -> None:
    """What is configured can be used: sent, stored, told, counted with."""
    topology = configuration.topology()
    assert topology.parse(topology.encode()) == topology
    for endpoint in (*configuration.endpoints, *configuration.routes):
        for part in (endpoint.username, endpoint.password, endpoint.client_name):
            assert part is None or part.encode() is not None
        connection_options(endpoint)
    assert 0 < int(configuration.max_age_seconds * 1e6) <= 10**13
    assert int(configuration.tombstone_retention_seconds * 1_000_000) < 1 << 63
    assert configuration.queue_key.encode() is not None


def _file(data: bytes) -> None:
    _usable(load_configuration(_saved(data), environment={}))


_BASE = _saved(FILE).rename(FOLDER / "base.toml")


def _environment(data: bytes) -> None:
    pairs = (line.partition("=") for line in text(data).split("\n"))
    _usable(load_configuration(_BASE, environment={name: value for name, _, value in pairs}))


def _file_name(data: bytes) -> None:
    """No device, and no file of anybody's: names below a folder that does not exist."""
    for name in (f"{FOLDER}/none/{text(data)}", f"{FOLDER}/none\x00{text(data)}"):
        for read in (
            lambda each: load_configuration(each, environment={}),
            lambda each: read_secret("password_file", each),
        ):
            try:
                read(name)
            except (ConfigError, TlsFileError, FileUnreadable):
                continue
            raise AssertionError("there is no such file")


def _settings(data: bytes) -> None:
    try:
        found = json.loads(data)
        settings = dict(found)
    except (ValueError, TypeError, RecursionError):
        settings = {
            "queue": text(data),
            "level": text(data),
            "tick_seconds": text(data),
            "connect_urls": text(data),
        }
    settings = {str(name): value for name, value in settings.items()}
    _usable(configuration_of(["redis://a", "redis://b"], "shop", settings))


def _table(data: bytes) -> None:
    try:
        table: object = tomllib.loads(text(data))
    except (ValueError, RecursionError):
        table = dict.fromkeys(TLS_KEYS, text(data))
    settings = read_tls_table(table, {"REDREPL_TLS_CHECK_NAMES": text(data)})
    assert with_tls_of(settings, "redis://a") == "redis://a"
    assert with_tls_of(settings, "rediss://a").startswith("rediss://a")
    assert settings.make_context()


def _certificates(data: bytes) -> None:
    for settings in (TlsSettings(ca_text=text(data)), TlsSettings(ciphers=text(data))):
        with suppress(TlsFileError):
            assert settings.make_context()


def _login(data: bytes) -> None:
    place_of(text(data))
    shown_url(text(data))
    endpoint = split_url("a", text(data))
    address(endpoint)
    connection_options(endpoint)
    with_connect_url(endpoint, text(data))
    assert endpoint.tls.make_context()


def _secret(data: bytes) -> None:
    assert isinstance(read_secret("password_file", str(_saved(data))), str)


def _received(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(data[:60_000])
        connection = NodeConnection("a", ours, "run-1")
        try:
            while connection.receive():
                pass
        finally:
            connection.close()


class _Talker:
    """A socket on which these bytes come, and then the end."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def settimeout(self, seconds: float) -> None:
        """Nothing waits here."""

    def gettimeout(self) -> float:
        """For each answer."""
        return 1.0

    def sendall(self, data: bytes) -> None:
        """Whatever is asked."""

    def recv(self, size: int) -> bytes:
        """What comes next."""
        return self._stream.read(size)


_ADMISSION = Admission(KeyLayout("shop"), Purpose.SERVE)
_SCRIPTS = b"*%d\r\n" % len(all_scripts()) + b":1\r\n" * len(all_scripts())
_WELCOME = (
    b":7\r\n*6\r\n$4\r\nshop\r\n$1\r\na\r\n$6\r\nactive\r\n$5\r\nrun-1\r\n$-1\r\n$1\r\n1\r\n$14\r\nrun_id:run-1\r\n\r\n"
    + _SCRIPTS
)


def _introduced(data: bytes) -> None:
    talker: Any = _Talker(data)
    introduce(
        talker,
        split_url("a", "redis://a"),
        SimpleNamespace(client_name=None, db=0),
        _ADMISSION,
        1.0,
    )


class _Queue:
    """A client of the queue's server, to which that answers one thing always."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def register_script(self, _: str) -> Callable[..., Any]:
        """Of every script too."""
        return lambda **_: self._answer

    def xrevrange(self, *_: Any, **__: Any) -> Any:
        """And of what is asked otherwise."""
        return self._answer


def _queue_answer(data: bytes) -> None:
    answer = decode_answer(data)
    queue = JobQueue(_Queue(answer), "redrepl-shop", "a key of the cluster")
    queue.jobs("shop", "queued")
    queue.failure("redrepl-4-shop-b-0")
    queue.take(b"redrepl-4-shop-b-0", "shop")


def _failure(data: bytes) -> None:
    found = JobQueue(_Queue([[b"1-1", {b"exc_string": data}]]), "redrepl-shop").failure(
        "redrepl-4-shop-b-0"
    )
    assert found is None or len(found) <= 1 << 16


def _probe(data: bytes) -> None:
    _read_reply(io.BytesIO(data))


def _options(data: bytes) -> None:
    """Command lines: each kind of argument takes it or refuses it as usage."""
    given = text(data)
    kinds: tuple[click.ParamType[Any], ...] = (LEVEL, PROBABILITY, FaultsType(), click.IntRange(1))
    for kind in (*kinds, FiniteRange(0), FiniteRange(0, min_open=True, max=25)):
        with suppress(click.UsageError):
            kind.convert(given, None, None)


def _shown(data: bytes) -> None:
    """What is printed: nothing in it commands a terminal, and nothing of it fails."""
    assert argument_bytes(text(data)) == data
    assert argument_key(text(data)) in (data, text(data))
    assert printable(data).isprintable()
    assert decoded(data)[0].encode() is not None
    assert _moment(int.from_bytes(data[:12], "big") / 1000)


def _columns(data: bytes) -> None:
    assert 0 < _columns_of(io.StringIO(), text(data)) < 10_000


_JOB = json.dumps([BRING_UP, None, ["shop", "b"], {}]).encode()
_SOUND_QUEUE = (
    encode_answer([b"data", None, b"2026-01-01"]),
    encode_answer([b"redrepl-4-shop-b-0", b"redrepl-4-shop-b-1:x"]),
    encode_answer(b"it is too large"),
    b"_\n",
)
_RESP = (
    b"+OK\r\n:7\r\n$5\r\nhello\r\n*2\r\n$1\r\na\r\n$-1\r\n-ERR x\r\n",
    b"*2\r\n$2\r\nok\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nk\r\n$1\r\ns\r\n",
    b"%1\r\n*0\r\n+a\r\n",
    b"~1\r\n%1\r\n+a\r\n#t\r\n,1.5\r\n(77\r\n_\r\n",
)
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SLOW = 15
"""Inputs for parsers that make contexts of TLS: some 40 ms each."""

_NODE_ERRORS: tuple[type[Exception], ...] = (NodeUnusable, OSError, hiredis.ProtocolError)

PARSERS = (
    Parser("configuration file", _file, _CONFIGURATION_ERRORS, (FILE, b"\xef\xbb\xbf" + FILE)),
    Parser("environment", _environment, _CONFIGURATION_ERRORS, (VARIABLES,)),
    Parser("name of a file", _file_name, (), (b"redrepl.toml",)),
    Parser("settings of a program", _settings, (ConfigError, RequestError), (SETTINGS,)),
    Parser(
        "table of TLS", _table, (ConfigError,), (TABLE, TABLE.rpartition(b"\n")[0]), examples=SLOW
    ),
    Parser("certificates", _certificates, (), (_CERTIFICATE,), examples=SLOW),
    Parser(
        "url with a login",
        _login,
        (ConfigError, TlsFileError),
        (
            b"redis://ada:secret@host:6379/3",
            b"rediss://h?ssl_min_version=1.2&ssl_cert_reqs=none&ssl_check_hostname=no&ssl_ciphers=ALL&ssl_server_name=x",
            b"rediss://h?ssl_include_verify_flags=X509_STRICT,CRL_CHECK_LEAF&password_file=%00",
        ),
        examples=SLOW,
    ),
    Parser("password file", _secret, (TlsFileError,), (b"secret\n",)),
    Parser("stream of a node", _received, _NODE_ERRORS, _RESP),
    Parser("introduction", _introduced, _NODE_ERRORS, (_WELCOME, *_RESP)),
    Parser("answer of the queue", _queue_answer, (JobRefused,), _SOUND_QUEUE),
    Parser("text of a failed job", _failure, (), (b"eJwLycgsVgCiRIWS1OISAB1fBG0=",)),
    Parser(
        "probe of a server",
        _probe,
        (ProbeError,),
        (b"+PONG\r\n", b"$5\r\nhello\r\n", b"-ERR x\r\n"),
    ),
    Parser("options", _options, (), (b"quorum", b"99.9%", b"0.5", b"kill,freeze:primary", b"7")),
    Parser("what is printed", _shown, (), (b"key", b"\x1b[2Jkey\xff", b"\x7f" * 12)),
    Parser("COLUMNS", _columns, (), (b"80", b"0", b"200")),
)
