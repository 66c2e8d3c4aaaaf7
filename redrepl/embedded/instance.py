"""What one embedded server owns - files, port, process - and how they come and go together; not
thread-safe.
"""

from pathlib import Path

from redrepl.embedded import probe
from redrepl.embedded.errors import EmbeddedError, ServerStartError
from redrepl.embedded.home import Home
from redrepl.embedded.launch import LaunchSettings, launch, launch_on_any_port, reserve_port
from redrepl.embedded.ports import ReservedPort
from redrepl.embedded.process import ServerProcess

SAVE_TIMEOUT_SECONDS = 60.0
"""For a synchronous SAVE before a snapshot: gigabytes on a slow disk."""


class Instance:
    """The belongings of a server: none before `start()` and after `release()`."""

    def __init__(self, settings: LaunchSettings, directory: Path | None, port: int | None) -> None:
        self.settings = settings
        self.given_directory = None if directory is None else directory.absolute()
        self.given_port = port
        self.home: Home | None = None
        self.port: ReservedPort | None = None
        self.process: ServerProcess | None = None
        self.last_log = ""

    def start(self) -> None:
        """Start the process; a first start that fails leaves nothing, a later one keeps port and
        data.
        """
        is_first = self.home is None
        try:
            self._launch()
        except BaseException:
            if is_first:
                self.release()
            raise

    def _launch(self) -> None:
        if self.home is None:
            self.home = self._new_home()
        if self.port is None and self.given_port is not None:
            self.port = reserve_port(self.settings.name, self.given_port)
        if self.port is None:
            self.port, self.process = launch_on_any_port(self.settings, self.home)
        else:
            self.process = launch(self.settings, self.home, self.port.number)

    def _new_home(self) -> Home:
        try:
            return Home(self.settings.name, self.given_directory)
        except OSError as error:
            raise ServerStartError(
                f"server {self.settings.name} has no usable directory: {error}"
            ) from error

    def end(self, *, graceful: bool) -> None:
        """End the process if there is one: SIGTERM and patience when `graceful`, else SIGKILL."""
        if self.process is not None and graceful:
            self.process.terminate()
        elif self.process is not None:
            self.process.kill()

    def release(self) -> None:
        """Remove the owned files and give the port back; the process must have ended."""
        if self.home is not None:
            self.last_log = self.home.log_tail()
            self.home.remove()
        if self.port is not None:
            self.port.release()
        self.home = self.port = self.process = None

    def running_process(self) -> ServerProcess:
        """The process; raises `EmbeddedError` when it is not running."""
        process = self.process
        if process is None or not process.running:
            raise EmbeddedError(f"server {self.settings.name} is not running")
        return process

    def started_home(self) -> Home:
        """The files; raises `EmbeddedError` before the start."""
        if self.home is None:
            raise EmbeddedError(f"server {self.settings.name} is not started")
        return self.home

    def snapshot(self) -> Path:
        """Copy the stored data as of now, the running process frozen meanwhile."""
        home = self.started_home()
        process = self.process
        if self.settings.persistence == "none":
            raise EmbeddedError(
                f"server {self.settings.name} stores no data: it has persistence 'none'"
            )
        if process is None or not process.running or process.frozen:
            return home.take_snapshot()
        if self.settings.persistence == "rdb":
            self._save()
        process.freeze()
        try:
            return home.take_snapshot()
        finally:
            process.resume()

    def _save(self) -> None:
        assert self.port is not None, "a running process has a port"
        commands = (*probe.authentication(self.settings.password), ("SAVE",))
        try:
            probe.ask(self.port.number, *commands, timeout_seconds=SAVE_TIMEOUT_SECONDS)
        except OSError as error:
            raise EmbeddedError(
                f"server {self.settings.name} did not save its data: {error}"
            ) from error
