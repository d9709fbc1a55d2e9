"""The code and the tests in the lists of deliberate faults exist."""

from tests import mutants
from tests.conftest import ROOT
from tests.without_workarounds import WORKAROUNDS


def test_every_workaround_is_found_once_and_has_a_test_file() -> None:
    texts = {entry: (ROOT / "fashion_lightning" / entry.file).read_text() for entry in WORKAROUNDS}
    assert [entry.fault for entry, text in texts.items() if text.count(entry.text) != 1] == []
    files = {entry.tests.partition(" ")[0] for entry in WORKAROUNDS}
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []


def test_every_module_that_mutants_are_made_of_is_there_and_has_test_files() -> None:
    assert [name for name in mutants.MODULES if not (ROOT / "fashion_lightning" / name).is_file()] == []
    files = {test.partition("::")[0] for tests in mutants.MODULES.values() for test in tests.split()}
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []
