"""What is kept of anti-entropy on the node that copies are compared with: the sweep under way, and the last one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

UNDER_WAY = "under_way"
LAST = "last"
"""Fields of the sweep hash, each with one JSON text."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one sweep found and did, as counts.

    keys: of the reference. waiting: tombstones old enough to be purged that are not known to be confirmed everywhere.
    missed: members that were not compared.
    """

    keys: int = 0
    differences: int = 0
    repaired: int = 0
    purged: int = 0
    waiting: int = 0
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep under way: where to go on, and what it may purge.

    node, run_id, cursor: whose keys are being walked, in which run of its server, and the SCAN cursor to go on from; a
    cursor means nothing to another run. left: nodes whose turn comes after it.
    purge_before: microseconds; tombstones with earlier stamps had been decided when the sweep began. Every member has
    confirmed them once the reference's log is confirmed up to ``confirmed_entries``, and each other log is checked up
    to its ``checked_entries``.
    began_millis, at_millis: the reference's clock at the beginning, and at the end of the last part.
    """

    epoch: int
    node: str
    run_id: str
    left: tuple[str, ...]
    purge_before: int
    confirmed_entries: int
    checked_entries: Mapping[str, int]
    began_millis: int
    at_millis: int
    cursor: str = "0"
    findings: Findings = field(default_factory=Findings)

    def encode(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """Read what `encode` wrote. Raises ValueError on anything else."""
        fields = _object(text)
        try:
            fields["findings"] = _findings(fields["findings"])
            fields["left"] = tuple(fields["left"])
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a sweep: {text!r}") from error


@dataclass(frozen=True, slots=True)
class SweepReport:
    """A sweep that ended, times in milliseconds of the reference's clock."""

    began_millis: int
    ended_millis: int
    findings: Findings

    def encode(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, text: str) -> SweepReport:
        """Read what `encode` wrote. Raises ValueError on anything else."""
        fields = _object(text)
        try:
            return cls(fields["began_millis"], fields["ended_millis"], _findings(fields["findings"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"no report of a sweep: {text!r}") from error


def _object(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"no JSON object: {text!r}")
    return content


def _findings(fields: Mapping[str, Any]) -> Findings:
    return Findings(**{**fields, "missed": tuple(fields["missed"])})


def read_under_way(stored: Mapping[str, str]) -> Sweep | None:
    """The sweep under way, None where there is none, or none that this version understands: then a new one begins."""
    try:
        return Sweep.parse(stored[UNDER_WAY])
    except (KeyError, ValueError):
        return None


def read_last(stored: Mapping[str, str]) -> SweepReport | None:
    """The last sweep that ended, None where there was none."""
    try:
        return SweepReport.parse(stored[LAST])
    except (KeyError, ValueError):
        return None
