"""Fixtures of the command's tests, for the tests of `redrepl chaos`."""

from __future__ import annotations

import os
import sys

import pytest

from tests.cli.conftest import any_binary, invoke, no_settings

__all__ = ["any_binary", "invoke", "no_settings"]


@pytest.fixture(autouse=True)
def same_code_in_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients and workers import what this process does, also where that is not installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
