"""A throw-away authority, and certificates of it for servers and clients, made by the program
`openssl`.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[member]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def is_openssl_there() -> bool:
    """Whether certificates can be made."""
    return shutil.which("openssl") is not None


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files."""

    file: Path
    key: Path


class Authority:
    """Signs certificates; all its files are in one folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._configuration = folder / f"{name}.cnf"
        self._configuration.write_text(_CONFIGURATION)
        self._own = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
        self._make(self._own, name, "-extensions", "authority", "-nodes")

    @property
    def file(self) -> Path:
        """The certificate that makes its certificates trusted."""
        return self._own.file

    def certify(self, name: str, *hosts: str, password: str | None = None) -> Certificate:
        """A certificate for a name and for hosts, given as `DNS:name` or `IP:address`;
        ``password``: of its key.
        """
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        hosts_for = ("-addext", f"subjectAltName={','.join(hosts)}") if hosts else ()
        protection = ("-nodes",) if password is None else ("-passout", f"pass:{password}")
        signer = ("-CA", str(self._own.file), "-CAkey", str(self._own.key))
        self._make(made, name, "-extensions", "member", *hosts_for, *protection, *signer)
        return made

    def _make(self, made: Certificate, name: str, *arguments: str) -> None:
        files = (
            "-config",
            str(self._configuration),
            "-keyout",
            str(made.key),
            "-out",
            str(made.file),
        )
        command = [
            "openssl",
            "req",
            "-x509",
            *_NEW_KEY,
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            *files,
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"openssl failed: {done.stderr}")
