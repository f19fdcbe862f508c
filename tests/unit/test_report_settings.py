"""What the results: section accepts, and the names it puts into every object."""

import pytest
from pydantic import ValidationError

from node.config import Results
from tests import reports
from tests.factories import mr_series


@pytest.mark.parametrize(
    "wrong",
    [
        {"manufacturer": ""},
        {"manufacturer": "x" * 65},
        {"manufacturer": "Universität"},
        {"station_name": "x" * 17},
        {"station_name": ""},
        {"institution_name": "A\\B"},
        {"institution_name": "line\nbreak"},
        {"captures": 201},
        {"series_number": 0},
        {"colour": "red"},
    ],
)
def test_a_setting_that_no_object_could_bear_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Results(**wrong)  # type: ignore[arg-type]


def test_the_configured_names_stand_in_every_object() -> None:
    series = mr_series(slices=4, rows=16, columns=16)
    how = reports.context(manufacturer="Maker", station_name="STATION", institution_name="Hospital", series_number=500)
    for result in reports.build(series, reports.prediction(series, slices=3), how):
        ours = reports.read(result)
        assert (ours.Manufacturer, ours.StationName, ours.InstitutionName) == ("Maker", "STATION", "Hospital")
        assert 500 <= ours.SeriesNumber < 505


def test_no_institution_is_named_where_none_is_configured() -> None:
    series = mr_series(slices=4, rows=16, columns=16)
    for result in reports.build(series, reports.prediction(series, slices=3), reports.context()):
        assert "InstitutionName" not in reports.read(result)
