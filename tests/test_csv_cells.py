"""Names in CSV files that begin like a formula."""

import pytest

from fashion_lightning.files.csv_cells import harmless


@pytest.mark.parametrize("name", ["=1+1", "+1", "-photo.png", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_a_name_that_a_spreadsheet_would_calculate_begins_with_an_apostrophe(name: str) -> None:
    assert harmless(name) == f"'{name}"


@pytest.mark.parametrize("name", ["", "cnn", "photos/-1.png", "a=b", "'=1"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert harmless(name) == name
