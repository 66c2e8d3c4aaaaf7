"""Reading `redrepl.toml` and the environment."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from redrepl.edges.endpoint import Endpoint, split_url, with_connect_url
from redrepl.edges.files import FileUnreadable, read_text
from redrepl.edges.tls import TlsSettings, read_tls_table, with_tls_of
from redrepl.values import limits
from redrepl.values.errors import ConfigError, RequestError
from redrepl.values.jobs import default_queue
from redrepl.values.level import Level, parse_level
from redrepl.values.reading import shown
from redrepl.values.topology import Member, Mode, NodeRole, Topology, check_members
from redrepl.values.validation import check_name, check_timeout

BY_URLS = "urls"
"""The origin of a configuration that has urls of some nodes and knows nothing of the others."""

AUTOMATIC = "automatic"
MANUAL = "manual"
REPAIR, REPORT, OFF = "repair", "report", "off"
"""What a sweep does about differences."""

DEFAULT_FILE = "redrepl.toml"
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}").fullmatch
_DECIMAL = re.compile(
    r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?"
).fullmatch
_NO_OPTIONS = ("endpoints", "roles", "origin", "routes", "tls")
_NODE_KEYS = ("id", "url", "role", "connect_url", "username", "password_env", "password_file")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of one cluster.

    Durations are in seconds.

    level: default level of writes. timeout_seconds: one operation. queue_url: the Redis of the RQ
    queue; None: no wake-ups, the workers' tick alone. queue: its name there, by default
    `redrepl-<cluster>`. queue_key: jobs are signed with it, and workers refuse others;
    queue_key_file: where it is read from.
    required_readers: condition of correctness "read capacity": copies that must be
    able to serve reads. failover: "automatic" (workers and monitors give the role of a primary that
    is away to another node) or "manual". anti_entropy: what a sweep over all keys does about
    differences: "repair" them, only "report" them, or "off" for no sweeps. routes: members that are
    not among the nodes, with their ``connect_url``. tls: for addresses with TLS, the queue's too;
    `redrepl.edges.tls`.
    sync_keys_per_second: the rate at which a node is filled; 0: as fast as clients allow.
    probe_seconds and the failover_after_*, log_*, sweep_* and tombstone_* settings: see
    `redrepl.values.limits`.
    """

    cluster: str
    endpoints: tuple[Endpoint, ...]
    roles: tuple[NodeRole, ...]
    mode: Mode = Mode.PRIMARY_REPLICA
    level: Level = "quorum"
    timeout_seconds: float = limits.DEFAULT_TIMEOUT_SECONDS
    queue_url: str | None = field(default=None, repr=False)
    queue: str = ""
    queue_key: str = field(default="", repr=False)
    queue_key_file: str = ""
    home: str | None = None
    tick_seconds: float = limits.TICK_SECONDS
    failover: str = AUTOMATIC
    probe_seconds: float = limits.PROBE_SECONDS
    failover_after_crash_seconds: float = limits.FAILOVER_AFTER_CRASH_SECONDS
    failover_after_silence_seconds: float = limits.FAILOVER_AFTER_SILENCE_SECONDS
    healthy_within_seconds: float = limits.HEALTHY_WITHIN_SECONDS
    required_readers: int = 1
    max_age_seconds: float = limits.DEFAULT_MAX_AGE_SECONDS
    max_skew_seconds: float = limits.DEFAULT_MAX_SKEW_SECONDS
    log_retention_seconds: float = limits.LOG_RETENTION_SECONDS
    log_retention_entries: int = limits.LOG_RETENTION_ENTRIES
    log_cap_entries: int = limits.LOG_CAP_ENTRIES
    log_cap_bytes: int = limits.LOG_CAP_BYTES
    sync_keys_per_second: int = 0
    anti_entropy: str = REPAIR
    sweep_every_seconds: float = limits.SWEEP_EVERY_SECONDS
    sweep_keys_per_second: int = limits.SWEEP_KEYS_PER_SECOND
    tombstone_retention_seconds: float = limits.TOMBSTONE_RETENTION_SECONDS
    origin: str = "arguments"
    routes: tuple[Endpoint, ...] = ()
    tls: TlsSettings = field(default_factory=TlsSettings)

    def __post_init__(self) -> None:
        if self.queue_url is not None:
            object.__setattr__(self, "queue_url", with_tls_of(self.tls, self.queue_url))
        if not self.queue:
            object.__setattr__(self, "queue", default_queue(self.cluster))
        if self.queue_key_file and not self.queue_key:
            object.__setattr__(
                self, "queue_key", _read_secret("queue_key_file", self.queue_key_file)
            )
        _check(self)

    def topology(self) -> Topology:
        """The topology of epoch 1 that `init` writes."""
        return Topology(self.cluster, 1, self.mode, self.members)

    @property
    def members(self) -> tuple[Member, ...]:
        """The configured nodes."""
        pairs = zip(self.endpoints, self.roles, strict=True)
        return tuple(Member(endpoint.node, endpoint.url, role) for endpoint, role in pairs)


_OPTIONS = {f.name: f for f in fields(Configuration) if f.name not in _NO_OPTIONS}


def load_configuration(
    path: str | os.PathLike[str] | None = None, environment: Mapping[str, str] | None = None
) -> Configuration:
    """Read the file given, or the one REDREPL_CONFIG names, or ./redrepl.toml; then
    REDREPL_<OPTION> over it.

    environment: in place of the process's. Raises ConfigError naming the file and the line or
    field.
    """
    environment = os.environ if environment is None else environment
    file = Path(path or environment.get("REDREPL_CONFIG") or DEFAULT_FILE)
    content = _read(file)
    nodes, table = content.pop("nodes", None), content.pop("tls", {})
    unknown = sorted(set(content) - set(_OPTIONS))
    if unknown:
        known = f"{', '.join(_OPTIONS)}, [tls] and [[nodes]]"
        raise ConfigError(f"{file}: unknown option {unknown[0]!r}; known are {known}")
    variables = {
        name: f"REDREPL_{name.upper()}"
        for name in _OPTIONS
        if f"REDREPL_{name.upper()}" in environment
    }
    for name, variable in variables.items():
        content[name] = environment[variable]
        try:
            _convert(name, content[name])
        except ConfigError as error:
            raise ConfigError(f"environment variable {variable}: {error.message}") from None
    try:
        return _build(content, nodes, read_tls_table(table, environment), environment, str(file))
    except (ConfigError, RequestError) as error:
        # Each message begins with the option that it is about.
        named = variables.get(error.message.split(maxsplit=1)[0])
        where = str(file) if named is None else f"environment variable {named}"
        raise ConfigError(f"{where}: {error.message}", error.evidence) from error


def configuration_of(urls: object, cluster: str, settings: Mapping[str, Any]) -> Configuration:
    """The configuration that urls and settings of a program's own name.

    Raises RequestError or ConfigError.
    """
    known = (*_OPTIONS, "tls", "connect_urls")
    if unknown := sorted(set(settings) - set(known)):
        raise RequestError(f"unknown setting {unknown[0]!r}; known are {', '.join(known)}")
    tls = settings.get("tls") or TlsSettings()
    if not isinstance(tls, TlsSettings):
        tls = read_tls_table(tls, {})
    endpoints = tuple(
        split_url(f"seed-{number}", url, tls) for number, url in enumerate(_checked_urls(urls))
    )
    roles = (NodeRole.PRIMARY, *([NodeRole.REPLICA] * (len(endpoints) - 1)))
    options = {name: _given(name, value) for name, value in settings.items() if name in _OPTIONS}
    connect_urls = _checked_routes(settings.get("connect_urls") or {})
    login = Endpoint("", "").with_login_of(endpoints[0])
    routes = tuple(
        with_connect_url(replace(login, node=node), url) for node, url in connect_urls.items()
    )
    return Configuration(
        cluster, endpoints, roles, routes=routes, origin=BY_URLS, tls=tls, **options
    )


def _checked_routes(connect_urls: object) -> Mapping[str, str]:
    is_fit = isinstance(connect_urls, Mapping) and all(
        isinstance(each, str) for pair in connect_urls.items() for each in pair
    )
    if not is_fit:
        raise RequestError("connect_urls must be a mapping of node ids to urls")
    return connect_urls  # type: ignore[return-value]  # as was looked at


def _checked_urls(urls: object) -> list[str]:
    if isinstance(urls, (str, bytes)) or not isinstance(urls, Iterable):
        raise RequestError(f"urls must be a list of urls, not {type(urls).__name__}")
    found = list(urls)
    if not found:
        raise RequestError(
            "urls must hold at least one url; it is empty (a variable that is not set?)"
        )
    for url in found:
        if not isinstance(url, str):
            raise RequestError(f"urls must hold texts, not {type(url).__name__}")
    return found


def _given(name: str, value: Any) -> Any:
    """A setting of a program's own: text is no number there, and None is the default."""
    default = _OPTIONS[name].default
    if value is None and default is not None:
        raise RequestError(f"{name} must not be None; leave it out for the default")
    if isinstance(default, (int, float)) and (
        isinstance(value, (str, bool)) or not isinstance(value, (int, float))
    ):
        raise RequestError(f"{name} must be a number, not {_shown(name, value)}")
    return value if value is None else _convert(name, value)


def _read(file: Path) -> dict[str, Any]:
    try:
        # Editors on some systems begin a file with a byte order mark.
        return tomllib.loads(read_text(file, limits.MAX_CONFIGURATION_BYTES, "utf-8-sig"))
    except FileUnreadable as error:
        advice = "; give --config, set REDREPL_CONFIG, or run `redrepl demo` without one"
        reason = f"no such file{advice}" if error.is_missing else f"cannot be read: {error}"
        raise ConfigError(f"{file}: {reason}") from error
    except ValueError as error:  # tomllib's own, and Python's for a number of thousands of digits
        raise ConfigError(f"{file}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: it is nested too deeply") from error


def _build(
    content: dict[str, Any],
    nodes: Any,
    tls: TlsSettings,
    environment: Mapping[str, str],
    origin: str,
) -> Configuration:
    if "cluster" not in content:
        raise ConfigError('cluster = "name" is missing')
    if (
        not isinstance(nodes, list)
        or not nodes
        or not all(isinstance(node, dict) for node in nodes)
    ):
        raise ConfigError("no [[nodes]] are given")
    endpoints, roles = [], []
    for number, node in enumerate(nodes, 1):
        endpoints.append(_endpoint(node, number, tls, environment))
        roles.append(_choice(f"nodes[{number}].role", NodeRole, node.get("role")))
    options = {name: _convert(name, value) for name, value in content.items()}
    if "max_age_seconds" in options:
        # It must be above the skew; who sets it alone need not know that.
        follows = min(
            limits.DEFAULT_MAX_SKEW_SECONDS, limits.MAX_SKEW_SHARE * options["max_age_seconds"]
        )
        options.setdefault("max_skew_seconds", follows)
    return Configuration(
        endpoints=tuple(endpoints), roles=tuple(roles), origin=origin, tls=tls, **options
    )


def _endpoint(
    node: dict[str, Any], number: int, tls: TlsSettings, environment: Mapping[str, str]
) -> Endpoint:
    where = f"nodes[{number}]"
    unknown = sorted(set(node) - set(_NODE_KEYS))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(_NODE_KEYS)}")
    for name in ("id", "url", "role"):
        if name not in node:
            raise ConfigError(f"{where}.{name} is missing")
    for name, value in node.items():
        if not isinstance(value, str):
            raise ConfigError(f"{where}.{name} must be a string, not {_shown(name, value)}")
    endpoint = split_url(check_name(f"{where}.id", node["id"]), node["url"], tls)
    if "connect_url" in node:
        endpoint = with_connect_url(endpoint, node["connect_url"])
    file = None if "password_env" in node else node.get("password_file", endpoint.password_file)
    return replace(
        endpoint,
        username=node.get("username", endpoint.username),
        password=_password(where, node, environment) or endpoint.password,
        password_file=None if file is None else str(Path(file).absolute()),
    )


def _password(where: str, node: dict[str, str], environment: Mapping[str, str]) -> str | None:
    if "password_env" in node:
        if node["password_env"] not in environment:
            raise ConfigError(
                f"{where}.password_env: the environment has no {node['password_env']}"
            )
        return environment[node["password_env"]]
    if "password_file" in node:
        return _read_secret(f"{where}.password_file", node["password_file"])
    return environment.get("REDREPL_PASSWORD")


def _read_secret(option: str, file: str) -> str:
    """What a file holds that an option names. Raises ConfigError, without a word of the content."""
    try:
        return read_text(file).strip()
    except FileUnreadable as error:
        raise ConfigError(f"{option} {file}: {error}") from error


def _choice(what: str, kind: Any, value: object) -> Any:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(repr(member.value) for member in kind)
        raise ConfigError(f"{what} must be one of {allowed}, not {shown(value)}") from None


def _convert(name: str, value: Any) -> Any:
    """An option's value in its type; environment variables come as text."""
    given = value
    if name == "mode":
        return _choice("mode", Mode, value)
    if name == "level":
        return value
    wanted = type(_OPTIONS[name].default)
    if wanted in (int, float) and isinstance(value, str):
        value = _number(value, wanted)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= limits.EXACT_UP_TO else None
    if wanted in (int, float) and type(value) is not wanted:
        raise ConfigError(f"{name} must be a number, not {shown(given)}")
    if wanted not in (int, float) and not isinstance(value, str):
        raise ConfigError(f"{name} must be a string, not {_shown(name, value)}")
    return value


def _number(text: str, wanted: type) -> int | float | str:
    """The number that a text from the environment is, else the text.

    Python takes more forms than people write.
    """
    text = text.strip()
    form = _WHOLE if wanted is int else _DECIMAL
    return wanted(text) if form(text) else text


def _shown(name: str, value: object) -> str:
    """A value in a message; of what may be secret its type alone."""
    return type(value).__name__ if name.endswith("url") or name == "queue_key" else shown(value)


def _most(name: str, default: float) -> float:
    """The most that a number may be: a whole one stays exact in scripts, a time is no mistake in
    units.
    """
    if isinstance(default, int):
        return limits.EXACT_UP_TO
    return (
        limits.MAX_AGE_SECONDS
        if name in ("max_age_seconds", "max_skew_seconds")
        else limits.MAX_TTL_SECONDS
    )


def _check(configuration: Configuration) -> None:
    check_name("cluster", configuration.cluster)
    if configuration.queue != default_queue(configuration.cluster):
        check_name("queue", configuration.queue)
    check_timeout(configuration.timeout_seconds)
    parse_level(configuration.level)
    check_members(configuration.mode, configuration.members)
    if configuration.home is not None and configuration.home not in [
        e.node for e in configuration.endpoints
    ]:
        raise ConfigError(f"home names no node: {configuration.home!r}")
    if configuration.failover not in (AUTOMATIC, MANUAL):
        raise ConfigError(
            f'failover must be "{AUTOMATIC}" or "{MANUAL}", not {configuration.failover!r}'
        )
    if configuration.anti_entropy not in (REPAIR, REPORT, OFF):
        allowed = f'"{REPAIR}", "{REPORT}" or "{OFF}"'
        raise ConfigError(f"anti_entropy must be {allowed}, not {configuration.anti_entropy!r}")
    for name, option in _OPTIONS.items():
        value = getattr(configuration, name)
        if (
            isinstance(option.default, (int, float))
            and not value > 0
            and (option.default or value < 0)
        ):
            raise ConfigError(f"{name} must be more than 0, not {shown(value)}")
        if value == float("inf"):
            raise ConfigError(f"{name} must be finite, not {value!r}")
        if isinstance(option.default, (int, float)) and value > _most(name, option.default):
            raise ConfigError(
                f"{name} must be {_most(name, option.default):.0f} at most, not {shown(value)}"
            )
    if configuration.timeout_seconds >= configuration.max_age_seconds:
        raise ConfigError(
            f"timeout_seconds must be below max_age_seconds ({configuration.max_age_seconds:g})"
        )
    if configuration.max_skew_seconds >= configuration.max_age_seconds:
        text = f"max_skew_seconds must be below max_age_seconds ({configuration.max_age_seconds:g})"
        raise ConfigError(
            f"{text}: else a node whose clock is ahead could drop what others take for present"
        )
    shortest = 2 * (configuration.max_age_seconds + configuration.max_skew_seconds)
    if configuration.tombstone_retention_seconds < shortest:
        text = f"tombstone_retention_seconds must be at least {shortest:g}"
        raise ConfigError(f"{text}, twice the sum of max_age_seconds and max_skew_seconds")
    if configuration.queue_url is not None:
        split_url("queue", configuration.queue_url)
    has_key = bool(configuration.queue_key or configuration.queue_key_file)
    if has_key and len(configuration.queue_key) < limits.MIN_QUEUE_KEY_CHARACTERS:
        raise ConfigError(
            f"queue_key must have at least {limits.MIN_QUEUE_KEY_CHARACTERS} characters"
        )
