"""Starts a server process on a port and makes sure that it is the one that answers there."""

from dataclasses import dataclass

from redrepl.embedded import probe
from redrepl.embedded.binary import ServerBinary
from redrepl.embedded.configuration import LOOPBACK_ADDRESS, Persistence, render_configuration
from redrepl.embedded.errors import ServerStartError
from redrepl.embedded.home import Home
from redrepl.embedded.ports import ReservedPort
from redrepl.embedded.process import ServerProcess

PORT_ATTEMPTS = 5
"""Another program can take a port between its choice and its use; five times in a row it does not
happen.
"""

_PORT_TAKEN_IN_LOG = "Address already in use"
"""The system's text for EADDRINUSE, which servers write before they exit."""


class _PortTaken(ServerStartError):
    """The server could not have its port; another one may do."""


@dataclass(frozen=True)
class LaunchSettings:
    """What stays the same over all starts of one server."""

    name: str
    binary: ServerBinary
    persistence: Persistence
    password: str | None
    extra_arguments: tuple[str, ...]
    start_timeout_seconds: float
    has_movable_clock: bool = False


def reserve_port(name: str, number: int | None) -> ReservedPort:
    """The port `number`, or one of the system's choice; raises `ServerStartError` when it is in
    use.
    """
    try:
        return ReservedPort(number or 0)
    except OSError as error:
        address = f"{LOOPBACK_ADDRESS}:{number or 'any port'}"
        raise ServerStartError(f"server {name} cannot use {address}: {error.strerror}") from error


def launch(settings: LaunchSettings, home: Home, port: int) -> ServerProcess:
    """Start the server on `port` and return it when it answers; raises `ServerStartError` and
    leaves nothing.
    """
    home.write_configuration(
        render_configuration(
            port=port,
            data_directory=home.data,
            persistence=settings.persistence,
            password=settings.password,
        )
    )
    command = [str(settings.binary.path), str(home.configuration_file), *settings.extra_arguments]
    environment = home.movable_clock().environment if settings.has_movable_clock else {}
    process = ServerProcess(command, home.log_file, environment)
    try:
        _await_answer(settings, home, process, port)
    except BaseException:
        process.kill()
        raise
    return process


def launch_on_any_port(settings: LaunchSettings, home: Home) -> tuple[ReservedPort, ServerProcess]:
    """Start the server on a port of the system's choice, on another one if that was taken
    meanwhile.
    """
    for attempts_left in reversed(range(PORT_ATTEMPTS)):
        port = reserve_port(settings.name, None)
        try:
            return port, launch(settings, home, port.number)
        except BaseException as error:
            port.release()
            if not isinstance(error, _PortTaken) or not attempts_left:
                raise
    raise AssertionError("the last attempt returns or raises")


def _await_answer(settings: LaunchSettings, home: Home, process: ServerProcess, port: int) -> None:
    problem = probe.wait_until_ready(
        port,
        settings.password,
        process_id=process.pid,
        timeout_seconds=settings.start_timeout_seconds,
        has_exited=lambda: not process.running,
    )
    if problem is None:
        return
    tail = home.log_tail()
    kind = _PortTaken if problem.port_taken or _PORT_TAKEN_IN_LOG in tail else ServerStartError
    raise kind(
        f"server {settings.name} ({settings.binary}) did not start on port {port}: "
        f"{problem.reason}",
        tail,
    )
