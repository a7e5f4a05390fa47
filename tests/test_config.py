import argparse

import pytest

from tfner.config import PRESETS, Config, add_flags, make_config
from tfner.errors import UserError


def parse(*argv):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(argv))


def test_the_paper_preset_is_the_studys_experiment():
    config = make_config("paper", variant="head")
    assert (config.encoder, config.corpus) == ("bert-base-cased", "conll2003")
    assert (config.learning_rate, config.weight_decay, config.epochs, config.batch_size) == (2e-5, 0.01, 3, 8)
    assert config.label_pieces == "all"


def test_flags_win_over_a_preset():
    assert make_config("paper", epochs=1).epochs == 1


def test_the_embedded_encoder_gets_its_own_settings_and_others_the_standard_ones():
    assert make_config().learning_rate == PRESETS["demo"]["learning_rate"]
    assert make_config(encoder="bert-base-cased").learning_rate == Config.learning_rate
    assert make_config(corpus="conll2003").learning_rate == PRESETS["demo"]["learning_rate"]


def test_what_is_not_given_stays_out_of_the_namespace():
    assert parse() == {}
    assert parse("--head-units", "30", "5", "--seed", "4") == {"head_units": [30, 5], "seed": 4}


def test_every_flag_that_scripts_rely_on_exists():
    given = parse(
        *"--variant head --encoder e --corpus c --task pos --epochs 2 --batch-size 4 --learning-rate 1e-5".split(),
        *"--head-learning-rate 1e-2 --label-pieces all --precision bfloat16 --seed 3 --output o".split(),
    )
    config = make_config(**given)
    assert (config.batch_size, config.head_learning_rate, config.precision, config.output) == (4, 1e-2, "bfloat16", "o")


def test_json_round_trip():
    config = make_config("paper", head_units=(30, 5), tag_column=-1)
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, r"--batch-size: expected at least 1, got 0"),
        ({"epochs": -1}, r"--epochs: expected at least 1, got -1"),
        ({"variant": "heads"}, r"--variant: expected one of finetune, head, replace, got 'heads'"),
        ({"task": "parse"}, r"--task: expected one of ner, pos, chunk"),
        ({"precision": "float8"}, r"--precision: expected one of float32"),
        ({"learning_rate": -1.0}, r"--learning-rate: expected at least 0"),
        ({"learning_rate": float("nan")}, r"--learning-rate: expected a finite number, got nan"),
        ({"learning_rate": float("inf")}, r"--learning-rate: expected a finite number, got inf"),
        ({"weight_decay": float("inf")}, r"--weight-decay: expected a finite number, got inf"),
        ({"clip_norm": float("inf")}, r"--clip-norm: expected a finite number, got inf"),
        ({"dropout": 1.0}, r"--dropout: expected at most 0.9"),
        ({"head_units": (20, 0)}, r"--head-units: expected at least 1, got 0"),
        ({"learning_rate": 0.0, "head_learning_rate": 0.0}, "nothing would be learned"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_is_expected(wrong, message):
    with pytest.raises(UserError, match=message):
        make_config(**wrong)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UserError, match="preset out of standard, demo, paper, got 'fast'"):
        make_config("fast")


def test_settings_of_another_version_are_refused():
    with pytest.raises(UserError, match="unknown settings"):
        Config.from_json('{"wings": 2}')
