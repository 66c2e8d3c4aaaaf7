"""The files of one embedded server: configuration, log, data and snapshots."""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redrepl.embedded.clock import MovableClock
from redrepl.embedded.watchdog import watchdog
from redrepl.embedded.watchdog_child import OWNED_DIRECTORY_PREFIX, remove_directory

LOG_TAIL_BYTES = 8192
"""Enough for the complete start of a server, little enough for an error message."""

DATA_FILE_PATTERNS = ("dump.rdb", "temp-*.rdb", "temp-*.aof", "appendonlydir")
"""What a server itself writes; in a caller's directory nothing else is ever removed."""


def _new_root(name: str) -> Path:
    """A new private directory; it is registered first, so that no crash can leave it behind."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40]
    base = Path(tempfile.gettempdir()).absolute()
    root = base / f"{OWNED_DIRECTORY_PREFIX}{readable}-{secrets.token_hex(8)}"
    watchdog.register_directory(root)
    root.mkdir(mode=0o700)
    return root


class Home:
    """An owned directory with everything of one server; only the data may lie in a directory of the
    caller's.

    `directory` must be absolute; raises `OSError` when it cannot be used.
    """

    def __init__(self, name: str, directory: Path | None) -> None:
        self._given = directory is not None
        if directory is not None:
            # Before the root, so that a wrong directory leaves nothing behind.
            directory.mkdir(parents=True, exist_ok=True)
        self.root = _new_root(name)
        self.data = directory or self.root / "data"
        self.data.mkdir(exist_ok=True)
        self.configuration_file = self.root / "server.conf"
        self.log_file = self.root / "server.log"
        self._snapshots = 0
        self._clock: MovableClock | None = None

    @property
    def keeps_data(self) -> bool:
        """Whether the data stays after `remove()`."""
        return self._given

    def movable_clock(self) -> MovableClock:
        """The server's clock, made at the first call; raises `ClockNotMovable` where that cannot
        be.
        """
        if self._clock is None:
            self._clock = MovableClock(self.root)
        return self._clock

    def write_configuration(self, text: str) -> None:
        """Store the configuration, which may hold a password, readable by this user only."""
        descriptor = os.open(self.configuration_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)

    def log_tail(self) -> str:
        """The last lines the server wrote; empty when it never ran."""
        try:
            with self.log_file.open("rb") as file:
                file.seek(max(0, self.log_file.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _data_files(self) -> Iterator[Path]:
        for pattern in DATA_FILE_PATTERNS if self._given else ("*",):
            yield from self.data.glob(pattern)

    def wipe_data(self) -> None:
        """Remove the server's data; it must not be running."""
        for path in list(self._data_files()):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def take_snapshot(self) -> Path:
        """Copy the data to a new directory that lives as long as this home."""
        self._snapshots += 1
        target = self.root / "snapshots" / str(self._snapshots)
        target.mkdir(parents=True)
        for path in list(self._data_files()):
            if path.is_dir():
                shutil.copytree(path, target / path.name)
            else:
                shutil.copy2(path, target)
        return target

    def restore_snapshot(self, snapshot: Path) -> None:
        """Replace the data by that of `snapshot`; the server must not be running."""
        if not snapshot.is_dir():
            raise FileNotFoundError(f"no snapshot directory {snapshot}")
        self.wipe_data()
        shutil.copytree(snapshot, self.data, dirs_exist_ok=True)

    def remove(self) -> None:
        """Remove everything owned; data in a caller's directory stays."""
        remove_directory(os.fsencode(self.root))
        watchdog.unregister_directory(self.root)
