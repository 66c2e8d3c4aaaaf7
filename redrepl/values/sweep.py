"""What is kept of anti-entropy on the node that copies are compared with: the sweep under way, and
the last one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any

from redrepl.values.reading import is_cursor, load_json

UNDER_WAY = "under_way"
LAST = "last"
"""Fields of the sweep hash, each with one JSON text."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one sweep found and did, as counts.

    keys: of the reference. waiting: tombstones old enough to be purged that are not known to be
    confirmed everywhere.
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

    node, run_id, cursor: whose keys are being walked, in which run of its server, and the SCAN
    cursor to go on from; a cursor means nothing to another run. left: nodes whose turn comes after
    it.
    purge_before: microseconds; tombstones with earlier stamps had been decided when the sweep
    began. Every member has confirmed them once the reference's log is confirmed up to
    ``confirmed_entries``, and each other log is checked up to its ``checked_entries``.
    began_millis, at_millis: the reference's clock at the beginning, and at the end of the last
    part.
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
            fields["left"] = tuple(check_texts(fields["left"]))
            found = cls(**fields)
            check_texts([found.node, found.run_id])
            if not is_cursor(found.cursor):
                raise ValueError(f"no cursor: {found.cursor!r:.80}")
            times = (
                found.epoch,
                found.purge_before,
                found.confirmed_entries,
                found.began_millis,
                found.at_millis,
            )
            check_counts([*times, *found.checked_entries.values()])
            return found
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a sweep: {text!r:.80}") from error


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
            check_counts([fields["began_millis"], fields["ended_millis"]])
            return cls(
                fields["began_millis"], fields["ended_millis"], _findings(fields["findings"])
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no report of a sweep: {text!r:.80}") from error


def _object(text: str) -> dict[str, Any]:
    content = load_json(text)
    if not isinstance(content, dict):
        raise ValueError(f"no JSON object: {text!r:.80}")
    return content


def _findings(fields: Mapping[str, Any]) -> Findings:
    found = Findings(**{**fields, "missed": tuple(check_texts(fields["missed"]))})
    check_counts(
        [getattr(found, each.name) for each in dataclass_fields(found) if each.name != "missed"]
    )
    return found


def check_texts(found: Any) -> list[str]:
    """These, which are all texts. Raises TypeError where they are not."""
    if not isinstance(found, (list, tuple)) or not all(type(each) is str for each in found):
        raise TypeError(f"not texts: {found!r:.80}")
    return list(found)


def check_counts(found: Sequence[Any]) -> None:
    """Raise TypeError unless these all are whole numbers, as a node's counts and times are."""
    if not all(type(each) is int and 0 <= each < 1 << 63 for each in found):
        raise TypeError(f"not counts: {found!r:.80}")


def read_under_way(stored: Mapping[str, str]) -> Sweep | None:
    """The sweep under way, None where there is none, or none that this version understands: then a
    new one begins.
    """
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
