"""How busy others were: what was used, without what we used ourselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from redrepl_cli.bench.load import ProcessorTimes, others_percent, processor_times


@pytest.mark.parametrize(
    ("used", "own", "percent"),
    [
        (10.0, 10.0, 0.0),
        (10.0, 4.0, 30.0),
        (10.0, 11.0, 0.0),
        (20.0, 0.0, 100.0),
        (25.0, 0.0, 100.0),
    ],
)
def test_others_are_what_is_not_ours(used: float, own: float, percent: float) -> None:
    before = ProcessorTimes(100.0, 50.0, 5.0)
    assert others_percent(before, ProcessorTimes(120.0, 50.0 + used, 5.0 + own)) == percent


def test_unknown_stays_unknown(tmp_path: Path) -> None:
    known = ProcessorTimes(1.0, 1.0, 1.0)
    assert others_percent(None, known) is None
    assert others_percent(known, None) is None
    assert others_percent(known, known) is None
    assert processor_times(tmp_path / "nothing") is None
    (tmp_path / "other").write_text("cpu 1 2 3\n")
    assert processor_times(tmp_path / "other") is None


def test_interrupts_count_as_nobodys(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 400 50 60 70 8 0 0\ncpu0 1\n")
    found = processor_times(tmp_path / "stat")
    assert found is not None
    assert found.used / found.available == pytest.approx(158 / 738)
