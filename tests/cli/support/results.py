"""What a command wrote."""

from __future__ import annotations

import json
from typing import Any

from click.testing import Result


def json_of(result: Result) -> Any:
    """Standard output as JSON, with the version that all of it carries."""
    content = json.loads(result.stdout_bytes.decode())
    assert content["schema_version"] == 1
    return content
