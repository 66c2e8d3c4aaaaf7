"""Facts about the machine and the programs that the figures were taken with."""

from __future__ import annotations

import asyncio
import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple

from redrepl import Coordinator
from redrepl_cli.bench.clients import client_of, primary_endpoint
from redrepl_cli.bench.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


class Engine(NamedTuple):
    """A server program.

    ``where``: embedded or configured; name and version None: it is not known.
    """

    where: str
    name: str | None
    version: str | None

    def __str__(self) -> str:
        return f"{self.where} {self.name or 'servers'} {self.version or ''}".rstrip()


def machine_facts(engine: Engine) -> dict[str, Any]:
    """What a reader needs to compare with another machine's figures."""
    return {
        "cores": _cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "engine": engine.name,
        "engine_version": engine.version,
        "redrepl": _version("redrepl"),
        "redis_py": _version("redis"),
        "hiredis": _version("hiredis"),
        "uvloop": _uses_uvloop(),
    }


def find_engine(settings: Settings) -> Engine:
    """The servers' program; configured servers are asked for it.

    Raises Unavailable where they do not answer.
    """
    if settings.own is None:
        binary = settings.binary
        return Engine(
            "embedded", binary.engine if binary else None, binary.version_text if binary else None
        )
    from redis import RedisError

    with (
        Coordinator[str, bytes](settings.own) as coordinator,
        client_of(primary_endpoint(coordinator)) as client,
    ):
        found: Mapping[str, Any] = {}
        with suppress(RedisError):  # whoever may not ask for INFO can measure all the same
            found = client.info("server")
    if "valkey_version" in found:
        return Engine("configured", "valkey", str(found["valkey_version"]))
    return Engine("configured", "redis" if found else None, found.get("redis_version"))


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _uses_uvloop() -> bool:
    with asyncio.Runner() as runner:
        return type(runner.get_loop()).__module__.startswith("uvloop")
