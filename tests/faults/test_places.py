"""Every planted bug has its place in the library as it is, and a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.mutants import AREAS, MUTANTS
from tests.faults.places import Library, PlaceNotFound

ROOT = Path(__file__).parents[2]


def test_every_mutant_has_one_place_in_the_library_as_it_is() -> None:
    library = Library.read(ROOT)
    problems = []
    for mutant in MUTANTS:
        try:
            assert mutant.planted(library), mutant.name
        except PlaceNotFound as error:
            problems.append(str(error))
    assert problems == []


def test_every_mutant_names_a_test_that_exists() -> None:
    texts: dict[str, str] = {}
    for mutant in MUTANTS:
        file, _, test = mutant.killer.partition("::")
        text = texts.setdefault(file, (ROOT / file).read_text(encoding="utf-8"))
        name = test.rpartition("::")[2].partition("[")[0]
        assert re.search(rf"def {name}\b", text), mutant.killer


def test_no_two_mutants_have_one_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert all(area.MUTANTS for area in AREAS)
