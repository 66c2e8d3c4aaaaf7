"""Every scenario comes out as its file says; and files say so where that changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from redrepl.plans.operations import mending
from tests.scenarios.__main__ import FOLDER, as_it_is_now, differences, main, scenarios
from tests.scenarios.script import commands, rewritten
from tests.scenarios.stage import CommandError, Stage
from tests.simulation.planted import BUGS


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_a_scenario_comes_out_as_its_file_says(path: Path) -> None:
    assert differences(path) == [], (
        f"if that is right: python -m tests.scenarios --update {path.stem}"
    )


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_a_scenario_tells_what_it_is_about_and_expects_something(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# ")
    assert any(command.startswith("expect ") for command in commands(text))


def test_a_guarantee_that_is_broken_fails_its_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == "a QUORUM read without confirmation")
    ((owner, name, broken),) = bug.patches
    assert owner is mending
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(CommandError, match="expected x=2, found x=1,2"):
        differences(FOLDER / "read_repair.txt")


def test_comments_and_blank_lines_stay_and_what_happened_is_written_anew() -> None:
    text = "# A story.\n\nfirst\n  as it was\n  and this\n# Then:\nsecond\n"
    now = rewritten(text, lambda command: [f"{command} now"] if command == "second" else [])
    assert now == "# A story.\n\nfirst\n# Then:\nsecond\n  second now\n"
    assert rewritten(now, lambda command: [f"{command} now"] if command == "second" else []) == now


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("write x 1\n", "begins with: cluster"),
        ("cluster a b c\nwrote x 1\n", "there is no command 'wrote'"),
        ("cluster a b c\nkill d\n", "there is no server 'd'"),
        ("cluster a b c\nexpect primary=b\n", "expected primary=b, found primary=a"),
        ("cluster a b c\nexpect epoch=2\n", "expected epoch=2, found epoch=1"),
        ("cluster a b c\nwrite x 1 at all\nexpect x=2\n", "expected x=2, found x=1"),
    ],
)
def test_what_cannot_be_or_is_not_so_ends_a_scenario(text: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        as_it_is_now(text)


def test_what_changed_is_shown_and_only_written_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "story.txt"
    file.write_text("# A story.\ncluster a b c\nwrite x 1 at all\n  as it was\n", "utf-8")
    monkeypatch.setattr("tests.scenarios.__main__.FOLDER", tmp_path)
    assert main([]) == 1
    assert "-  as it was\n" in capsys.readouterr().out
    assert "as it was" in file.read_text("utf-8")
    assert main(["--update"]) == 0
    assert "  committed: acked a b c\n" in file.read_text("utf-8")
    assert main(["story"]) == 0


CONDITIONS = """\
cluster a b c
  a: primary, active, epoch 1
  b: replica, active, epoch 1
  c: replica, active, epoch 1
add x 1 at all
  committed: acked a b c
add x 2
  committed (not applied): acked a
increment n 5
  5
freeze b
thaw b
expect x=1
"""


def test_operations_with_conditions_tell_whether_they_were_applied() -> None:
    assert as_it_is_now(CONDITIONS) == CONDITIONS


def test_every_command_says_what_it_does_and_is_tried_somewhere() -> None:
    assert all(Stage().usage())
    texts = [CONDITIONS, *(path.read_text("utf-8") for path in scenarios())]
    assert Stage().words == {command.split()[0] for text in texts for command in commands(text)}
