"""A configuration without its passwords."""

from __future__ import annotations

import json
from dataclasses import fields
from enum import Enum
from typing import Any

from redrepl import Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.tls import TLS_KEYS
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.text import shown_url

NOT_SETTINGS = ("endpoints", "roles", "origin", "routes", "queue_key", "tls")


def configuration_json(configuration: Configuration) -> dict[str, Any]:
    """The settings as JSON gives them; of a password only whether there is one."""
    return {
        "schema_version": SCHEMA_VERSION,
        "file": configuration.origin,
        **settings(configuration),
        "queue_key_set": bool(configuration.queue_key),
        "tls": _tls(configuration),
        "nodes": [
            {**_node(endpoint, role.value), "password_set": _has_password(endpoint)}
            for endpoint, role in zip(configuration.endpoints, configuration.roles, strict=True)
        ],
    }


def settings(configuration: Configuration) -> dict[str, Any]:
    """The options by name, in plain values."""
    found: dict[str, Any] = {}
    for option in fields(configuration):
        value = getattr(configuration, option.name)
        if option.name in NOT_SETTINGS:
            continue
        if option.name == "queue_url" and value is not None:
            value = shown_url(value)
        found[option.name] = value.value if isinstance(value, Enum) else value
    return found


def configuration_toml(configuration: Configuration) -> str:
    """The settings as a file would hold them."""
    lines = [f"# in effect, from {configuration.origin} and the environment"]
    for name, value in settings(configuration).items():
        lines.append(f"# {name} is not set" if value is None else f"{name} = {_toml(value)}")
    if configuration.queue_key:
        lines.append("# queue_key is set; it is not shown")
    lines += ["", "[tls]"]
    lines += [
        f"{name} = {_toml(value)}"
        for name, value in _tls(configuration).items()
        if value is not None
    ]
    for endpoint, role in zip(configuration.endpoints, configuration.roles, strict=True):
        lines += ["", "[[nodes]]"]
        lines += [
            f"{name} = {_toml(value)}"
            for name, value in _node(endpoint, role.value).items()
            if value is not None
        ]
        lines += ["# a password is set; it is not shown"] if _has_password(endpoint) else []
    return "\n".join(lines)


def _tls(configuration: Configuration) -> dict[str, Any]:
    """The table of the file; what urls say besides is not shown."""
    return {name: getattr(configuration.tls, name) for name in TLS_KEYS}


def _has_password(endpoint: Endpoint) -> bool:
    return endpoint.password is not None or endpoint.password_file is not None


def _node(endpoint: Endpoint, role: str) -> dict[str, str | None]:
    node = {
        "id": endpoint.node,
        "url": shown_url(endpoint.url),
        "role": role,
        "username": endpoint.username,
    }
    return (
        node
        if endpoint.connect_url is None
        else {**node, "connect_url": shown_url(endpoint.connect_url)}
    )


def _toml(value: object) -> str:
    """Strings and numbers are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)
