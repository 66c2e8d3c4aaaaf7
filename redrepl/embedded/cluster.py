"""Several embedded servers that start and stop together."""

import os
import string
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from redrepl.embedded.binary import ServerBinary, find_server_binary
from redrepl.embedded.configuration import Persistence
from redrepl.embedded.server import EmbeddedServer

DEFAULT_COUNT = 3
"""The smallest number of servers whose majority survives the loss of one."""


def _names(count: int | None, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        count = DEFAULT_COUNT if count is None else count
        letters = string.ascii_lowercase
        names = (
            letters[:count]
            if count <= len(letters)
            else [f"n{number}" for number in range(1, count + 1)]
        )
    if not names or len(set(names)) != len(names) or count not in (None, len(names)):
        raise ValueError(
            f"a cluster needs one or more different names, as many as its count {count}: "
            f"{tuple(names)}"
        )
    return tuple(names)


class EmbeddedCluster:
    """Independent servers, named 'a', 'b', 'c' unless `names` says otherwise; they do not know of
    each other.

    `directory` receives one folder per server, which stays; the other arguments are those of
    `EmbeddedServer`.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        names: Sequence[str] | None = None,
        binary: ServerBinary | str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        persistence: Persistence = "none",
        password: str | None = None,
        extra_arguments: Sequence[str] = (),
        movable_clocks: bool = False,
    ) -> None:
        found = binary if isinstance(binary, ServerBinary) else find_server_binary(binary)
        self.servers: Mapping[str, EmbeddedServer] = MappingProxyType(
            {
                name: EmbeddedServer(
                    name,
                    found,
                    None if directory is None else Path(directory) / name,
                    persistence=persistence,
                    password=password,
                    extra_arguments=extra_arguments,
                    movable_clock=movable_clocks,
                )
                for name in _names(count, names)
            }
        )

    @property
    def urls(self) -> dict[str, str]:
        """The address of every server by name; raises `EmbeddedError` before `start()`."""
        return {name: server.url for name, server in self.servers.items()}

    def __getitem__(self, name: str) -> EmbeddedServer:
        return self.servers[name]

    def start(self) -> Self:
        """Start all servers at once; if one fails, stop all and raise its `ServerStartError`."""
        try:
            self._on_all(EmbeddedServer.start)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all servers; the first error is raised when all have been tried."""
        self._on_all(EmbeddedServer.stop)

    def _on_all(self, action: Callable[[EmbeddedServer], object]) -> None:
        # Leaving the executor waits for every server, also after an error or Ctrl-C.
        with ThreadPoolExecutor(
            max_workers=len(self.servers), thread_name_prefix="redrepl-embedded"
        ) as executor:
            results = [executor.submit(action, server) for server in self.servers.values()]
        for result in results:
            result.result()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
