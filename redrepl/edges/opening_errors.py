"""Why a connection could not be opened, in words: each kind of error has its own, which `advice_on`
knows again.
"""

from __future__ import annotations

import socket
import ssl

import hiredis

from redrepl.edges.endpoint import Endpoint, address, is_over_tls
from redrepl.edges.tls import TlsFileError
from redrepl.values.reasons import (
    CLOSES,
    CLOSES_TLS,
    CLUSTER_MODE,
    LOADING,
    NEEDS_CERTIFICATE,
    NO_DATA_SERVER,
    NO_DATABASE,
    NO_HANDSHAKE,
    NO_LOGIN,
    NO_NAME,
    NO_PERMISSION,
    NOT_ACCEPTED,
    NOT_REDIS,
    NOT_TRUSTED,
    REFUSES,
    SILENT,
    TOO_MANY_CLIENTS,
    WRONG_FILE,
    WRONG_NAME,
)

_REPLIES = (
    (("WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH"), NO_LOGIN),
    (("NOPERM",), NO_PERMISSION),
    (("LOADING",), LOADING),
    (("ERR unknown command 'HMGET'", "ERR unknown command `HMGET`"), NO_DATA_SERVER),
    (("CLUSTERDOWN", "MOVED ", "ASK ", "CROSSSLOT"), CLUSTER_MODE),
    (("ERR max number of clients",), TOO_MANY_CLIENTS),
    (("ERR DB index", "ERR invalid DB"), f"{NO_DATABASE} of this number"),
)
"""How errors that a server answers begin, and what they stand for."""


def describe_reply(endpoint: Endpoint, text: str) -> str:
    """An error that the server answered, with its own words."""
    kinds = (kind for beginnings, kind in _REPLIES if text.startswith(beginnings))
    kind = next(kinds, None)
    return f"{address(endpoint)}: {text}" if kind is None else f"{address(endpoint)} {kind}: {text}"


def describe_error(endpoint: Endpoint, error: Exception, waited_seconds: float) -> str:
    """A connection that failed before the server answered what it was asked."""
    what = _failure_of(endpoint, error, waited_seconds)
    if endpoint.configured_at is None:
        return what
    return (
        f"{what}; the cluster has it there, and from here it was found at "
        f"{endpoint.configured_at}: {_WAY_FROM_HERE}"
    )


_WAY_FROM_HERE = "set connect_url where another address is the way"


def _failure_of(endpoint: Endpoint, error: Exception, waited_seconds: float) -> str:
    where, text = address(endpoint), str(error) or type(error).__name__
    if isinstance(error, TlsFileError):
        return f"{where} {WRONG_FILE}: {text}"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(error, hiredis.ProtocolError):
        return f"{where} {NOT_REDIS}: {text}"
    if "Timeout" in type(error).__name__ or isinstance(error, TimeoutError):
        if "handshake" in f"{text} {cause}":
            return (
                f"{where} {NO_HANDSHAKE} within {waited_seconds:.3g} s: it is frozen, or "
                "speaks no TLS"
            )
        return f"{where} {SILENT} {waited_seconds:.3g} s"
    if isinstance(cause, (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)):
        # Over TLS it may be the answer to a certificate: the alert that says so can be lost with
        # the connection.
        return (
            f"{where} {CLOSES_TLS if is_over_tls(endpoint) else CLOSES}: {cause.strerror or cause}"
        )
    if (kind := _kind_of(cause)) is not None:
        return f"{where} {kind}"
    return text if where in text else f"{where}: {text}"


def _kind_of(cause: BaseException) -> str | None:
    """What an error of the network or of TLS stands for."""
    if isinstance(cause, ConnectionRefusedError):
        return f"{REFUSES}: no server runs there"
    if isinstance(cause, FileNotFoundError):
        return f"{REFUSES}: there is no such socket"
    if isinstance(cause, socket.gaierror):
        return f"cannot be reached, {NO_NAME}: {cause.strerror}"
    if isinstance(cause, ssl.SSLError):
        return _tls_kind_of(cause)
    return None


_NAME_MISMATCHES = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_ALERTS_ABOUT_OURS = (
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
)
"""In the names of the alerts that a server sends when it turns down the certificate of its
client.
"""


def _tls_kind_of(cause: ssl.SSLError) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        kind = (
            WRONG_NAME if getattr(cause, "verify_code", None) in _NAME_MISMATCHES else NOT_TRUSTED
        )
        return f"{kind}: {getattr(cause, 'verify_message', cause)}"
    if "CERTIFICATE_REQUIRED" in str(cause):
        return NEEDS_CERTIFICATE
    if any(alert in str(cause) for alert in _ALERTS_ABOUT_OURS):
        return f"{NOT_ACCEPTED}: {getattr(cause, 'reason', None) or cause}"
    return f"{NO_HANDSHAKE}: {getattr(cause, 'reason', None) or cause}"
