"""Embedded servers whose clients come over TLS; what starts and ends them uses a port of its own
without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from redrepl.embedded import EmbeddedCluster, EmbeddedServer, ServerBinary
from redrepl.embedded.ports import ReservedPort
from tests.support.certificates import Authority, Certificate

HOSTS = ("DNS:localhost", "IP:127.0.0.1")


@dataclass(frozen=True)
class ServerTls:
    """What servers show, whom they trust, and whether clients need a certificate of that
    authority.
    """

    certificate: Certificate
    authority: Authority
    clients_need_certificates: bool = False

    def arguments(self, port: int) -> tuple[str, ...]:
        """For a server that listens on this port too, with TLS."""
        files = ("--tls-cert-file", self.certificate.file, "--tls-key-file", self.certificate.key)
        wanted = "yes" if self.clients_need_certificates else "no"
        trust = ("--tls-ca-cert-file", self.authority.file, "--tls-auth-clients", wanted)
        return ("--tls-port", str(port), *map(str, (*files, *trust)))


class TlsServer(EmbeddedServer):
    """A server that clients reach over TLS: `port` and `url` say where."""

    def __init__(
        self,
        name: str,
        binary: ServerBinary,
        tls: ServerTls,
        extra_arguments: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        self._tls_port = ReservedPort()
        super().__init__(
            name,
            binary,
            extra_arguments=(*extra_arguments, *tls.arguments(self._tls_port.number)),
            **options,
        )

    @property
    def port(self) -> int:
        """The port with TLS."""
        return self._tls_port.number

    @property
    def url(self) -> str:
        """Where clients with TLS come to."""
        return super().url.replace("redis://", "rediss://", 1)

    @property
    def plain_url(self) -> str:
        """Where the tests themselves come to, without TLS."""
        plain = self._instance.port
        assert plain is not None, "it is started"
        return super().url.replace(f":{self.port}/", f":{plain.number}/")

    def stop(self) -> None:
        """As every server; the port is given back."""
        super().stop()
        self._tls_port.release()


class TlsCluster(EmbeddedCluster):
    """Servers that clients reach over TLS."""

    def __init__(self, count: int, binary: ServerBinary, tls: ServerTls, **options: Any) -> None:
        super().__init__(count, binary=binary)
        movable = options.pop("movable_clocks", False)
        made = {
            name: TlsServer(name, binary, tls, movable_clock=movable, **options)
            for name in self.servers
        }
        self.servers: Mapping[str, EmbeddedServer] = MappingProxyType(made)
