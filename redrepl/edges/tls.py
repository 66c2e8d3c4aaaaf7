"""TLS: whom to trust, who we are, and the connection that redis-py makes with it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError

from redrepl.edges.files import FileUnreadable, read_text, reason_of
from redrepl.values.errors import ConfigError
from redrepl.values.node_url import TLS_SCHEMES, UnreadableUrl, parse_node_url

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_OLDEST_VERSION: Final = "1.2"
_FALSE: Final = ("0", "f", "false", "n", "no")


class TlsFileError(RedisConnectionError):
    """A certificate or a key that cannot be read or does not fit; the text names the setting and
    the file.
    """


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a server proves who it is, and how this program does.

    All files are read anew for every connection.

    ca: file with the certificates of the authorities that are trusted, and no others; None: those
    of the system.
    certificate, key: files that this program shows to servers that ask for it; None for the key: it
    is in the same file. key_password_file: file with the password of the key. check_names: whether
    a certificate must bear the host of the url, or ``server_name`` where that is given.
    minimum_version: "1.2" or "1.3".

    The others are known from urls alone: key_password, ca_folder, ca_text, ciphers, is_verified,
    and names of flags of `ssl.VerifyFlags` to add or to take away.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password_file: str | None = None
    check_names: bool = True
    server_name: str | None = None
    minimum_version: str = _OLDEST_VERSION
    key_password: str | None = field(default=None, repr=False)
    ca_folder: str | None = None
    ca_text: str | None = field(default=None, repr=False)
    ciphers: str | None = None
    is_verified: bool = True
    added_flags: tuple[str, ...] = ()
    removed_flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.minimum_version not in _VERSIONS:
            raise ConfigError(
                f"tls.minimum_version must be one of {', '.join(map(repr, _VERSIONS))}"
            )
        if self.key is not None and self.certificate is None:
            raise ConfigError("tls.key needs tls.certificate, the certificate that it belongs to")
        if self.server_name is not None and not _is_name(self.server_name):
            raise ConfigError(
                "tls.server_name must be the name or the IP address that stands in the certificate"
            )
        if (
            not self.check_names
            and self.is_verified
            and not (self.ca or self.ca_folder or self.ca_text)
        ):
            text = "tls.check_names = false needs tls.ca"
            raise ConfigError(
                f"{text}: else a certificate that any authority gave to anyone would do"
            )

    def context(self) -> ssl.SSLContext:
        """What a connection is made with, as the files are now. Raises TlsFileError."""
        named = (self.ca, self.ca_folder, self.certificate, self.key, self.key_password_file)
        system = os.environ.get("SSL_CERT_FILE")  # replaces the system's authorities
        return _context_of(
            self, (system, *(_version_of_file(name) for name in named if name is not None))
        )

    def make_context(self) -> ssl.SSLContext:
        """As `context`, always a new one."""
        context = self._trusting()
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.check_hostname = self.check_names and self.is_verified
        context.verify_mode = ssl.CERT_REQUIRED if self.is_verified else ssl.CERT_NONE
        context.minimum_version = _VERSIONS[self.minimum_version]
        if self.ca or self.ca_folder or self.ca_text:
            # From Python 3.13 on, certificates of authorities without a key usage are refused
            # otherwise, as many a private one is, that of Redis' own utils/gen-test-certs.sh among
            # them.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        for name in self.added_flags:
            context.verify_flags |= ssl.VerifyFlags[name]
        for name in self.removed_flags:
            context.verify_flags &= ~ssl.VerifyFlags[name]
        if self.certificate is not None:
            self._identify(context, self.certificate)
        if self.ciphers is not None:
            try:
                context.set_ciphers(self.ciphers)
            except (ssl.SSLError, ValueError) as error:
                raise TlsFileError("ssl_ciphers names no cipher that is known here") from error
        return context

    def check_files(self) -> None:
        """Raise ConfigError where a file cannot be read."""
        for name in _FILES:
            file = getattr(self, name)
            try:
                if file is not None:
                    Path(file).open("rb").close()
            except (OSError, ValueError) as error:
                raise ConfigError(f"tls.{name} {file}: {reason_of(error)}") from error

    @property
    def url_options(self) -> dict[str, str]:
        """What `with_url_options` makes these settings of, as far as they are others than the
        default ones.
        """
        options = {
            name: getattr(self, field)
            for name, field in _NAMES.items()
            if getattr(self, field) is not None
        }
        if not self.check_names:
            options["ssl_check_hostname"] = "false"
        if self.minimum_version != _OLDEST_VERSION:
            options["ssl_min_version"] = self.minimum_version
        return options

    def _trusting(self) -> ssl.SSLContext:
        """A context with these authorities alone: redis-py's own trusts the system's besides."""
        try:
            return ssl.create_default_context(
                cafile=self.ca, capath=self.ca_folder, cadata=self.ca_text
            )
        except (
            OSError,
            ValueError,
            TypeError,
        ) as error:  # TypeError: a text with other letters than ASCII
            raise TlsFileError(
                f"tls.ca {self.ca or self.ca_folder or ''}: {_what(error)}"
            ) from error

    def _identify(self, context: ssl.SSLContext, certificate: str) -> None:
        password = self.key_password
        if self.key_password_file is not None:
            password = read_secret("tls.key_password_file", self.key_password_file)
        try:
            self.check_files()
        except ConfigError as error:
            raise TlsFileError(error.message) from error
        try:
            # Without a function OpenSSL would ask at the terminal for the password of a key that
            # has one.
            context.load_cert_chain(certificate, self.key, lambda: password or "")
        except (OSError, ValueError) as error:
            files = f"tls.certificate {certificate}, key {self.key or certificate}"
            raise TlsFileError(f"{files}: {_what(error)}") from error


def _is_name(text: str) -> bool:
    """Whether TLS takes this as the name of a server."""
    try:
        return bool(
            parse_node_url(f"redis://[{text}]" if ":" in text else f"redis://{text}").host == text
        )
    except UnreadableUrl:
        return False


@lru_cache(maxsize=16)
def _context_of(settings: TlsSettings, versions: tuple[object, ...]) -> ssl.SSLContext:
    """One context for as long as no file changes: reading the system's authorities takes some 40
    ms.
    """
    del versions
    return settings.make_context()


def _version_of_file(name: str) -> object:
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        return None  # making the context says what is wrong
    return found.st_mtime_ns, found.st_size, found.st_ino


def _what(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (
            (error.reason or "no PEM, or the password of the key is wrong")
            .lower()
            .replace("_", " ")
        )
        return f"cannot be used: {reason}"
    return getattr(error, "strerror", None) or "holds no certificate"


def read_secret(what: str, file: str) -> str:
    """A password from its file, read anew each time: it may have been changed.

    Raises TlsFileError.
    """
    try:
        return read_text(file).strip()
    except FileUnreadable as error:
        raise TlsFileError(f"{what} {file}: {error}") from error


_FILES: Final = ("ca", "certificate", "key", "key_password_file")
TLS_KEYS: Final = (*_FILES, "check_names", "server_name", "minimum_version")


def read_tls_table(table: object, environment: Mapping[str, str]) -> TlsSettings:
    """The settings of a `[tls]` table, with REDREPL_TLS_<KEY> over them.

    Raises ConfigError naming the key.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"tls must be a table, [tls], with the keys {', '.join(TLS_KEYS)}")
    if unknown := sorted(set(table) - set(TLS_KEYS), key=str):
        raise ConfigError(f"[tls]: unknown key {unknown[0]!r}; known are {', '.join(TLS_KEYS)}")
    values: dict[str, Any] = dict(table)
    for key in TLS_KEYS:
        if (text := environment.get(f"REDREPL_TLS_{key.upper()}")) is not None:
            values[key] = text.lower() not in _FALSE if key == "check_names" else text
    for key, value in values.items():
        if type(value) is not (bool if key == "check_names" else str):
            raise ConfigError(
                f"tls.{key} must be {'true or false' if key == 'check_names' else 'a string'}"
            )
        if key in _FILES:
            values[key] = str(
                Path(str(value)).absolute()
            )  # the program may go to another folder before it reconnects
    settings = TlsSettings(**values)
    settings.check_files()
    return settings


def with_url_options(settings: TlsSettings, options: Mapping[str, str]) -> TlsSettings:
    """Settings in which what a url says counts for more.

    Raises ConfigError without any of the values.
    """
    changes: dict[str, Any] = {
        _NAMES[name]: value for name, value in options.items() if name in _NAMES
    }
    if "ssl_check_hostname" in options:
        changes["check_names"] = options["ssl_check_hostname"].lower() not in _FALSE
    if "ssl_cert_reqs" in options:
        if options["ssl_cert_reqs"] not in ("none", "optional", "required"):
            raise ConfigError("ssl_cert_reqs must be none, optional or required")
        changes["is_verified"] = options["ssl_cert_reqs"] != "none"
    if "ssl_min_version" in options:
        changes["minimum_version"] = _version_of(options["ssl_min_version"])
    for name, change in (
        ("ssl_include_verify_flags", "added_flags"),
        ("ssl_exclude_verify_flags", "removed_flags"),
    ):
        if name in options:
            changes[change] = _flags_of(name, options[name])
    return replace(settings, **changes)


def with_tls_of(settings: TlsSettings, url: str) -> str:
    """A url with options that say what these settings do, where it needs TLS and says nothing of
    the kind itself.
    """
    if not url.startswith(tuple(f"{scheme}://" for scheme in TLS_SCHEMES)):
        return url
    options = {name: value for name, value in settings.url_options.items() if f"{name}=" not in url}
    if not options:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"


_NAMES: Final = {
    "ssl_ca_certs": "ca",
    "ssl_ca_path": "ca_folder",
    "ssl_ca_data": "ca_text",
    "ssl_certfile": "certificate",
    "ssl_keyfile": "key",
    "ssl_password": "key_password",
    "ssl_password_file": "key_password_file",
    "ssl_ciphers": "ciphers",
    "ssl_server_name": "server_name",
}


def _version_of(text: str) -> str:
    for name, version in _VERSIONS.items():
        if text in (name, str(int(version))):
            return name
    raise ConfigError("ssl_min_version must be 1.2 or 1.3")


def _flags_of(name: str, text: str) -> tuple[str, ...]:
    flags = tuple(flag.strip() for flag in text.strip("[]").split(","))
    if not all(flag in ssl.VerifyFlags.__members__ for flag in flags):
        raise ConfigError(f"{name} must be a list of names of ssl.VerifyFlags")
    return flags


class TlsConnection(Connection):
    """redis-py's connection, with these settings in place of its own options for TLS."""

    def __init__(self, *, tls: TlsSettings, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._tls = tls

    def _connect(self) -> Any:
        context = self._tls.context()
        sock = super()._connect()  # type: ignore[no-untyped-call]
        try:
            return context.wrap_socket(sock, server_hostname=self._tls.server_name or self.host)
        except BaseException:
            sock.close()
            raise
