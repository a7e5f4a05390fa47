import shutil
from dataclasses import replace

import numpy as np
import pytest
from support import tiny
from support.errors import refused

from tfner.contents import note_contents
from tfner.folder import CONFIG, LABELS, WEIGHTS
from tfner.modeling.variants import logits_function
from tfner.training.state import change_settings, load_state


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tiny.trained_folder(tmp_path_factory.mktemp("state"), "bert", "finetune") / "training" / "1"


@pytest.fixture
def copy(state, tmp_path):
    return shutil.copytree(state, tmp_path / "1")


def test_a_state_gives_the_model_with_what_belongs_to_it(state):
    one, other = load_state(state), load_state(state)
    ids, mask = tiny.random_inputs([9, 4, 6], len(tiny.PIECES))
    logits = logits_function(one.model)(ids, mask).numpy()
    assert np.array_equal(logits, logits_function(other.model)(ids, mask).numpy())
    assert np.ptp(logits[0], axis=0).min() > 1e-3
    assert (one.state, one.scores, one.config.dropout) == (state, {"ner": {}}, 0.3)
    assert one.row_encoder.labels.names == tiny.LABELS


def test_other_settings_of_a_training_that_goes_on_leave_its_state_complete(copy):
    note_contents(copy)
    config = replace(load_state(copy).config, temperature="auto", min_precision=0.5)
    change_settings(copy, config)
    assert load_state(copy).config == config
    assert {path.name for path in copy.iterdir() if path.name.startswith(".")} == set()


def test_a_truncated_file_of_weights_is_refused(copy):
    weights = copy / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError) as caught:
        load_state(copy)
    assert (caught.value.path, caught.value.setting) == (weights, None)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_refused(copy):
    (copy / WEIGHTS).unlink()
    with refused("state_without_weights", path=copy):
        load_state(copy)


@pytest.mark.parametrize("name", [CONFIG, LABELS])
def test_a_missing_file_is_refused(copy, name):
    (copy / name).unlink()
    with refused(f"state_without_{name.partition('.')[0]}", path=copy):
        load_state(copy)


def test_a_damaged_file_is_refused(copy):
    (copy / LABELS).write_text("[")
    with refused("state_damaged", path=copy):
        load_state(copy)
