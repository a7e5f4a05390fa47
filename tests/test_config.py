import argparse
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from support.errors import refused
from support.trainings import refused_line

from tfner import train
from tfner.config import GROUPS, PRESETS, Config, add_flags, default_text, make_config


def parse(*argv):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(argv))


def test_the_paper_preset_is_the_experiment_of_the_study():
    config = make_config("paper", variant="head")
    assert (config.encoder, config.corpus) == ("bert-base-cased", "conll2003")
    assert (config.learning_rate, config.weight_decay, config.epochs, config.batch_size) == (2e-5, 0.01, 3, 8)
    assert config.label_pieces == "all"


def test_flags_override_a_preset():
    assert make_config("paper", epochs=1).epochs == 1


def test_the_embedded_encoder_gets_its_own_settings_and_others_the_standard_ones():
    assert make_config().learning_rate == PRESETS["demo"]["learning_rate"]
    assert make_config(encoder="bert-base-cased").learning_rate == Config.learning_rate
    assert make_config(corpus="conll2003").learning_rate == PRESETS["demo"]["learning_rate"]


def test_flags_that_are_not_given_are_absent_from_the_namespace():
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
    for given in ({"head_units": (30, 5), "tag_column": -1}, {"epochs": "auto", "learning_rate": "auto", "precision": "auto"}):
        config = make_config("paper", **given)
        assert Config.from_values(json.loads(config.to_json())) == config


def test_auto_or_a_number_is_read_on_the_command_line():
    assert parse("--epochs", "auto", "--learning-rate", "auto") == {"epochs": "auto", "learning_rate": "auto"}
    assert parse("--epochs", "7", "--learning-rate", "1e-3") == {"epochs": 7, "learning_rate": 1e-3}
    assert make_config(**parse("--epochs", "auto")).epochs == "auto"


@pytest.mark.parametrize("argv", [["--epochs", "x"], ["--epochs", "1.5"], ["--learning-rate", "fast"], ["--patience", "auto"]])
def test_what_is_neither_a_number_nor_auto_is_one_line_and_exit_status_2(capsys, argv):
    line = refused_line(capsys, train, *argv)
    assert f"argument {argv[0]}: invalid" in line and repr(argv[1]) in line
    assert ("or auto" in line) == (argv[0] != "--patience")


def test_auto_stands_in_the_help_where_it_can_be_given(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert all(text in shown for text in ("--epochs N|auto passes", "--learning-rate X|auto peak", "--patience N epochs"))


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("setting_below_least", {"batch_size": 0}),
        ("setting_below_least", {"epochs": -1}),
        ("setting_not_among_choices", {"strategy": "mirror"}),
        ("setting_below_least", {"checkpoint_minutes": -1.0}),
        ("setting_below_least", {"accumulate_steps": 0}),
        ("setting_not_among_choices", {"variant": "heads"}),
        ("setting_not_among_choices", {"task": "parse"}),
        ("setting_not_among_choices", {"precision": "float8"}),
        ("setting_below_least", {"learning_rate": -1.0}),
        ("setting_not_finite", {"learning_rate": float("nan")}),
        ("setting_not_finite", {"learning_rate": float("inf")}),
        ("setting_not_finite", {"weight_decay": float("inf")}),
        ("setting_not_finite", {"clip_norm": float("inf")}),
        ("setting_above_most", {"dropout": 1.0}),
        ("setting_above_most", {"learning_rate": 1e20}),
        ("setting_above_most", {"head_learning_rate": 2.0}),
        ("setting_above_most", {"weight_decay": 1.5}),
        ("setting_above_most", {"clip_norm": 1e20}),
        ("setting_above_most", {"seed": 2**32}),
        ("setting_above_most", {"head_units": (20, 999_999_999)}),
        ("setting_of_another_kind", {"epochs": "many"}),
        ("setting_of_another_kind", {"epochs": 1.5}),
        ("setting_of_another_kind", {"epochs": True}),
        ("setting_of_another_kind", {"dropout": None}),
        ("setting_of_another_kind", {"head_units": [20, None]}),
        ("setting_of_another_kind", {"head_units": (20, "8")}),
        ("setting_of_another_kind", {"one_document": 1}),
        ("setting_of_another_kind", {"corpus": 5}),
        ("setting_empty", {"output": ""}),
        ("setting_empty", {"encoder": ""}),
        ("setting_below_least", {"head_units": (20, 0)}),
        ("setting_below_least", {"drop_layers": -1}),
        ("setting_below_least", {"freeze_layers": -1}),
        ("setting_below_least", {"temperature": 0.0}),
        ("setting_above_most", {"min_precision": 1.0}),
        ("setting_below_least", {"min_precision": -0.5}),
        ("setting_of_another_kind", {"temperature": "hot"}),
        ("setting_not_among_choices", {"decode": "beam"}),
        ("setting_share", {"train_share": 0.0}),
        ("setting_share", {"train_share": 1.5}),
        ("setting_rates_all_zero", {"learning_rate": 0.0, "head_learning_rate": 0.0}),
    ],
)
def test_a_setting_out_of_range_is_refused_and_named(key, wrong):
    (name, *_) = wrong
    with refused(key if "all_zero" in key else f"{key}_{name}_{wrong[name]}", setting=name):
        make_config(**wrong)


def test_an_unknown_preset_is_refused():
    with refused("preset_unknown", setting="preset"):
        make_config("fast")


def test_settings_of_another_version_are_refused():
    with refused("settings_of_another_version"):
        Config.from_values({"wings": 2})


def test_models_of_versions_that_did_not_divide_texts_still_do_not():
    values = json.loads(Config().to_json())
    assert values.pop("sentences") == "split"
    assert Config.from_values(values) == Config(sentences="none")


def test_numbers_of_numpy_and_paths_are_taken_as_json_has_them():
    given = {"seed": np.int64(3), "dropout": np.float32(0.5), "head_units": [np.int32(4)], "output": Path("a") / "b"}
    config = make_config(**given)
    assert config == make_config(seed=3, dropout=0.5, head_units=(4,), output=str(Path("a") / "b"))
    assert Config.from_values(json.loads(config.to_json())) == config


def test_a_precision_of_0_asks_for_no_thresholds():
    assert make_config(min_precision=0) == make_config()


def test_settings_that_are_not_an_object_are_refused():
    with pytest.raises(ValueError, match="expected a JSON object"):
        Config.from_values([1])


def test_help_shows_the_defaults_that_a_run_without_flags_uses(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    config = make_config()
    assert f"[{config.epochs} with the embedded encoder, {Config.epochs} with others]" in shown
    assert f"[{config.learning_rate} with the embedded encoder, {Config.learning_rate} with others]" in shown
    assert f"[{config.head_learning_rate} with the embedded encoder, {Config.head_learning_rate} with others]" in shown
    assert "[the encoder's limit, or 128 with --context document and mixed]" in shown


def test_the_demo_preset_changes_only_settings_whose_help_says_so():
    changed = {one.name for one in fields(Config) if getattr(make_config(), one.name) != one.default}
    assert changed == {one.name for one in fields(Config) if "embedded encoder," in default_text(one)}


def test_help_of_another_command_names_its_own_default(capsys):
    parser = argparse.ArgumentParser()
    add_flags(parser, ("corpus", "task"), default="as in the training")
    assert parser.format_help().count("[as in the training]") == 2


def test_every_setting_is_in_a_group_with_a_heading():
    assert {one.metadata["group"] for one in fields(Config)} == set(GROUPS)
