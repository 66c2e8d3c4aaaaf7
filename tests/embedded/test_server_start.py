"""Ports, passwords, arguments, and what a failed start says and leaves."""

import os
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redrepl.embedded import EmbeddedServer, ServerBinary, ServerStartError, launch, probe
from redrepl.embedded.ports import ReservedPort
from tests.support.clients import connect
from tests.support.processes import process_is_gone

pytestmark = pytest.mark.servers

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at /proc or at Linux's way with ports"
)


@pytest.fixture
def own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers of this test put their temporary directories, so that leftovers show."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_fixed_port_in_use_is_an_error(server: EmbeddedServer, own_temporary_files: Path) -> None:
    second = EmbeddedServer("second", server.binary, port=server.port)
    with pytest.raises(ServerStartError, match=rf"second.*{server.port}.*in use"):
        second.start()
    assert not second.running
    assert connect(server).info("server")["process_id"] == server.pid
    assert list(own_temporary_files.iterdir()) == []


def test_a_fixed_port_is_used(server_binary: ServerBinary) -> None:
    with ReservedPort() as port:
        number = port.number
    with EmbeddedServer(binary=server_binary, port=number) as server:
        assert server.port == number
        assert connect(server).ping()


def test_another_process_on_the_port_is_recognised(server: EmbeddedServer) -> None:
    problem = probe.wait_until_ready(
        server.port, None, process_id=os.getpid(), timeout_seconds=5, has_exited=lambda: False
    )
    assert problem is not None
    assert problem.port_taken
    assert f"process {server.pid} answers there" in problem.reason


def hand_out(numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next ports "of the system's choice" be `numbers`, as if somebody took them right
    after.
    """

    class LostPort(ReservedPort):
        def __init__(self, port: int = 0) -> None:
            super().__init__(port)
            self.number = numbers.pop(0) if numbers else self.number

    monkeypatch.setattr(launch, "ReservedPort", LostPort)


def test_a_port_lost_to_another_server_is_replaced(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [server.port, server.port]
    hand_out(lost, monkeypatch)
    with EmbeddedServer("second", server.binary) as second:
        assert lost == []
        assert second.port != server.port
        assert connect(second).info("server")["process_id"] == second.pid


def test_a_port_lost_to_another_program_is_replaced(
    server_binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        lost = [other.getsockname()[1]]
        hand_out(lost, monkeypatch)
        with EmbeddedServer(binary=server_binary) as server:
            assert lost == []
            assert connect(server).ping()


def test_ports_lost_again_and_again_are_an_error(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [server.port] * (launch.PORT_ATTEMPTS + 1)
    hand_out(lost, monkeypatch)
    with pytest.raises(ServerStartError, match=f"did not start on port {server.port}"):
        EmbeddedServer("second", server.binary).start()
    assert len(lost) == 1


@linux_only
def test_the_port_stays_reserved_while_the_server_is_dead(server: EmbeddedServer) -> None:
    server.kill()
    with socket.socket() as greedy, pytest.raises(OSError, match="in use"):
        greedy.bind(("127.0.0.1", server.port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
    server.start()
    assert connect(server).ping()


def test_a_wrong_argument_fails_with_the_log(
    server_binary: ServerBinary, own_temporary_files: Path
) -> None:
    server = EmbeddedServer("broken", server_binary, extra_arguments=("--no-such-setting", "1"))
    with pytest.raises(
        ServerStartError, match=r"(?s)broken.*exited during its start.*no-such-setting"
    ) as caught:
        server.start()
    assert "no-such-setting" in caught.value.log_tail
    assert "no-such-setting" in server.log_tail()
    assert list(own_temporary_files.iterdir()) == []


def test_extra_arguments_reach_the_server(server_binary: ServerBinary) -> None:
    with EmbeddedServer(
        binary=server_binary, extra_arguments=("--maxmemory", "50mb", "--hz", "17")
    ) as server:
        settings = connect(server).config_get("maxmemory", "hz")
        assert settings == {"maxmemory": str(50 * 1024 * 1024), "hz": "17"}


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, own_temporary_files: Path) -> None:
    program, pid_file = tmp_path / "mute-server", tmp_path / "pid"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v=7.0.0" && exit\necho $$ > '
        f"{pid_file}\n"
        "echo I will not talk\nexec sleep 60\n"
    )
    program.chmod(0o755)
    server = EmbeddedServer(binary=program, start_timeout_seconds=0.5)
    with pytest.raises(ServerStartError, match=r"(?s)not ready after 0.5 s.*I will not talk"):
        server.start()
    assert process_is_gone(int(pid_file.read_text()))
    assert list(own_temporary_files.iterdir()) == []


def test_an_unusable_directory_is_an_error(
    server_binary: ServerBinary, own_temporary_files: Path
) -> None:
    file = own_temporary_files.parent / "file"
    file.touch()
    with pytest.raises(ServerStartError, match="no usable directory"):
        EmbeddedServer(binary=server_binary, directory=file).start()
    assert list(own_temporary_files.iterdir()) == []


def test_a_wrong_persistence_is_refused(server_binary: ServerBinary) -> None:
    with pytest.raises(ValueError, match="none, aof, rdb"):
        EmbeddedServer(binary=server_binary, persistence="disk")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "password", ["plain", 'quote " backslash \\ space # ü', "a@b:c/d?e%20", "'single'"]
)
def test_a_password_is_required(server_binary: ServerBinary, password: str) -> None:
    with EmbeddedServer(binary=server_binary, password=password) as server:
        assert connect(server).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)).ping()
        server.restart()
        assert connect(server).ping()


@linux_only
def test_a_password_is_on_no_command_line(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, password="open-sesame") as server:
        assert b"open-sesame" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert b"open-sesame" not in Path(f"/proc/{server.pid}/environ").read_bytes()
        holding = [
            path for path in server.directory.parent.rglob("*") if _holds(path, b"open-sesame")
        ]
        assert [stat.S_IMODE(path.stat().st_mode) for path in holding] == [0o600]
        assert stat.S_IMODE(holding[0].parent.stat().st_mode) == 0o700


def _holds(path: Path, text: bytes) -> bool:
    return path.is_file() and text in path.read_bytes()
