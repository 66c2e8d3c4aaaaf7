"""docker-compose.yml and docker/: what can be said about them without a container engine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from redrepl import Configuration, load_configuration

ROOT = Path(__file__).parents[2]
PINNED_IMAGE = re.compile(r"[a-z0-9./-]+:\d+(\.\d+)+|python:3\.11-slim")
SERVICES = ["node-a", "node-b", "node-c", "queue", "init", "worker"]
RUN_ONCE = "service_completed_successfully"


def _compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    )
    return content


COMPOSE = _compose()


def _service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def _configuration(environment: dict[str, str]) -> Configuration:
    return load_configuration(ROOT / "docker" / "redrepl.toml", environment)


def test_services() -> None:
    assert list(COMPOSE["services"]) == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_or_says_why_not(name: str) -> None:
    service = _service(name)
    if "healthcheck" in service:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
    else:
        assert service["x-no-healthcheck"]
        assert service["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_depends_on_exists_and_can_reach_the_condition(name: str) -> None:
    for target, dependency in _service(name).get("depends_on", {}).items():
        awaited = _service(target)
        if dependency["condition"] == RUN_ONCE:
            assert awaited["restart"] == "no"
        else:
            assert dependency["condition"] == "service_healthy"
            assert "healthcheck" in awaited


def test_init_waits_for_all_nodes_and_the_worker_for_init() -> None:
    assert list(_service("init")["depends_on"]) == [
        name for name in SERVICES if name.startswith("node-")
    ]
    assert _service("worker")["depends_on"]["init"]["condition"] == RUN_ONCE


def test_init_writes_to_nodes_only_once(tmp_path: Path) -> None:
    shell, option, script = _service("init")["command"]
    (tmp_path / "redrepl").write_text("#!/bin/sh\necho called\n", encoding="utf-8")
    (tmp_path / "redrepl").chmod(0o755)
    command = [shell, option, script.replace("/var/lib/redrepl", str(tmp_path))]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [done.stdout for done in said] == ["called\n", ""]


def test_every_volume_is_declared_and_used_by_the_service_of_its_name() -> None:
    mounts = {
        name: [mount.split(":") for mount in _service(name).get("volumes", ())] for name in SERVICES
    }
    named = [
        source for found in mounts.values() for source, *_ in found if not source.startswith("./")
    ]
    assert sorted(named) == sorted(COMPOSE["volumes"])
    assert all(
        [name, "/var/lib/redrepl" if name == "init" else "/data"] in mounts[name] for name in named
    )


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_and_build_files_exist(name: str) -> None:
    service = _service(name)
    files = [
        source
        for source, *_ in (mount.split(":") for mount in service.get("volumes", ()))
        if "/" in source
    ]
    build = service.get("build")
    files += [Path(build["context"], build["dockerfile"])] if build else []
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    assert PINNED_IMAGE.fullmatch(_service(name)["image"])


def test_base_images_are_pinned() -> None:
    bases = re.findall(
        r"^FROM (\S+)", (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert bases
    assert all(PINNED_IMAGE.fullmatch(base) for base in bases)


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    copied = re.findall(
        r"^COPY (.+) \S+$",
        (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    sources = [source for line in copied for source in line.split()]
    ignore = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert sorted(line[1:] for line in ignore if line.startswith("!")) == sorted(sources)
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ("init", "worker")])
def test_servers_keep_their_data_and_never_evict(name: str) -> None:
    command = _service(name)["command"]
    assert command[0] == "valkey-server"
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_the_configuration_names_exactly_the_servers_of_the_compose_file() -> None:
    configuration = _configuration({})
    assert configuration.queue_url is not None
    urls = [*(endpoint.url for endpoint in configuration.endpoints), configuration.queue_url]
    servers = [name for name in SERVICES if name not in ("init", "worker")]
    assert [urlsplit(url).netloc for url in urls] == [f"{name}:6379" for name in servers]
    assert [f"node-{endpoint.node}" for endpoint in configuration.endpoints] == servers[:-1]


@pytest.mark.parametrize(
    ("given", "password"), [({}, None), ({"REDREPL_PASSWORD": "secret"}, "secret")]
)
def test_one_password_from_the_environment_reaches_every_server(
    given: dict[str, str], password: str | None
) -> None:
    environment = {
        name: _filled_in(value, given) for name, value in _service("worker")["environment"].items()
    }
    assert environment.pop("REDREPL_CONFIG") == "/etc/redrepl/redrepl.toml"
    configuration = _configuration(environment)
    assert [endpoint.password for endpoint in configuration.endpoints] == [password] * 3
    assert urlsplit(configuration.queue_url).password == (password or "")
    for name in ("node-a", "queue"):
        assert _filled_in(_service(name)["command"][-1], given) == (password or "")


def _filled_in(text: str, environment: dict[str, str]) -> str:
    """What compose makes of `${NAME:-}`."""
    return re.sub(r"\$\{(\w+):-\}", lambda match: environment.get(match[1], ""), text)
