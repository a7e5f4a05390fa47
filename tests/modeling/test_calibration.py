"""What a calibration accepts, and what it is read from."""

import json

import pytest

from tfner.modeling.calibration import UNCALIBRATED, Calibration, read_calibration


def test_without_thresholds_every_entity_is_accepted():
    assert UNCALIBRATED.accepts("PER", 1e-30)


def test_a_score_of_0_is_never_accepted():
    assert not UNCALIBRATED.accepts("NN", 0.0) and not Calibration(1.0, {"NN": 0.0}).accepts("NN", 0.0)


def test_an_entity_is_accepted_from_the_threshold_of_its_type():
    own = Calibration(1.0, {"PER": 0.5, "ORG": None})
    assert own.accepts("PER", 0.5) and own.accepts("PER", 0.7) and not own.accepts("PER", 0.4999)
    assert not own.accepts("ORG", 1.0) and not own.accepts("LOC", 1.0)


def test_what_is_written_is_read(tmp_path):
    for own in (UNCALIBRATED, Calibration(1.5, {"PER": 0.5, "ORG": None})):
        (tmp_path / "c.json").write_text(json.dumps(own.to_values()))
        assert read_calibration(tmp_path / "c.json") == own
    assert read_calibration(tmp_path / "none.json") == UNCALIBRATED


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        5,
        {"heat": 1},
        {"temperature": 0},
        {"temperature": "auto"},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": True},
        {"thresholds": [0.5]},
        {"thresholds": {"PER": "0.5"}},
        {"thresholds": {"PER": float("inf")}},
    ],
)
def test_other_values_are_refused(values):
    with pytest.raises(ValueError, match="expected a temperature and thresholds"):
        Calibration.from_values(values)
