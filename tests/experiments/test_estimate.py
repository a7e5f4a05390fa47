"""The expected time of a run grows with its epochs, and nothing of the try is left."""

import pytest

from tfner.config import make_config
from tfner.experiments.estimate import expected_seconds
from tfner.training.request import check_request


@pytest.mark.slow
def test_more_epochs_are_expected_to_take_longer(tmp_path, corpus, small_encoder):
    few, many = (
        make_config(corpus=str(corpus), encoder=str(small_encoder), output=str(tmp_path / "out"), epochs=epochs)
        for epochs in (1, 2000)
    )
    loaded = check_request(few)
    assert 0 < expected_seconds(few, loaded) < expected_seconds(many, loaded)
    assert not (tmp_path / "out").exists()
