"""Plans: the runs and their names, values of `--vary`, fingerprints, and folders that hold another plan."""

import json
import shlex
from pathlib import Path

import pytest
from support import tiny
from support.errors import refused
from support.trainings import write_corpus

from tfner.config import as_flags, make_config
from tfner.errors import UserError
from tfner.experiments import runs
from tfner.experiments.plan import Request, make_plan, read_vary


def plan(folder, corpus, variants=("head",), seeds=2, vary=None, **settings):
    return make_plan(Request(variants, seeds, vary or {}, folder, None, {"corpus": str(corpus), **settings}))


def test_all_combinations_are_planned_seed_by_seed(tmp_path, corpus):
    made = plan(tmp_path, corpus, ("head", "replace"), 2, {"learning_rate": [2e-5, 5e-5], "head_units": [(20, 8)]})
    assert [run.name for run in made.runs[:5]] == [
        "head, learning rate 2e-05, head units 20 8, seed 0",
        "head, learning rate 5e-05, head units 20 8, seed 0",
        "replace, learning rate 2e-05, head units 20 8, seed 0",
        "replace, learning rate 5e-05, head units 20 8, seed 0",
        "head, learning rate 2e-05, head units 20 8, seed 1",
    ]
    assert len(made.runs) == 8
    config = made.runs[4].config
    assert (config.variant, config.learning_rate, config.seed) == ("head", 2e-5, 1)
    assert Path(config.output) == tmp_path / "runs/head-learning-rate-2e-05-head-units-20-8-seed1/model"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("learning_rate=2e-5,auto", {"learning_rate": [2e-5, "auto"]}),
        ("--max-pieces=64, 128", {"max_pieces": [64, 128]}),
        ("deterministic=true,False", {"deterministic": [True, False]}),
        ("head_units=20 8,64", {"head_units": [(20, 8), (64,)]}),
        ("context=sentence,document", {"context": ["sentence", "document"]}),
    ],
)
def test_values_are_read_as_the_flags_of_a_training(text, values):
    assert read_vary([text]) == values


def test_values_of_a_setting_that_is_given_again_are_added():
    assert read_vary(["learning_rate=1e-3", "context=sentence", "learning-rate=2e-3,auto"]) == {
        "learning_rate": [1e-3, 2e-3, "auto"],
        "context": ["sentence"],
    }


def test_a_comparison_of_corpora_has_a_folder_of_its_own():
    assert Request(vary={"corpus": ["demo", "data/wnut17"]}).folder == Path("comparisons/demo-wnut17")
    assert Request().folder == Path("comparisons/demo")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("learnin_rate=1", "learnin_rate is not a setting of tfner train; did you mean learning_rate?"),
        ("=1", "nothing is not a setting"),
        ("epochs", "expected the values after =, as in learning_rate=2e-5,5e-5"),
        ("epochs=three", "invalid int or auto value: 'three'"),
        ("deterministic=maybe", "expected true or false, found 'maybe'"),
        ("seed=1,2", "this is set with --seeds"),
        ("variant=head", "this is set with --variants"),
    ],
)
def test_a_wrong_vary_is_refused_in_one_line(text, part):
    with pytest.raises(UserError) as error:
        read_vary([text])
    line = error.value.for_command_line()
    assert part in line
    assert "\n" not in line


def test_wrong_variants_numbers_and_values_are_refused(tmp_path, corpus):
    with refused("compare unknown variant", setting="variants"):
        plan(tmp_path, corpus, ("hed",))
    with refused("compare no seeds", setting="seeds"):
        plan(tmp_path, corpus, seeds=0)
    with refused("compare vary out of range", setting="batch_size"):
        plan(tmp_path, corpus, vary={"batch_size": [0]})
    with pytest.raises(UserError, match="planned twice"):
        plan(tmp_path, corpus, vary={"epochs": [1, 1]})
    with refused("compare unknown split", setting="split"):
        make_plan(Request(split="dev", settings={"corpus": str(corpus)}))


def test_conditions_have_folders_and_names_of_their_own(tmp_path):
    corpora = [tmp_path / name for name in ("a/数据", "b/数据", "a/语料")]
    for folder in corpora:
        folder.mkdir(parents=True)
        write_corpus(folder, sizes={"train": 20, "validation": 10, "test": 10})
    made = make_plan(Request(["head"], 1, {"corpus": [str(folder) for folder in corpora]}, tmp_path / "out"))
    assert [run.condition.name for run in made.runs] == [
        f"head, corpus {corpora[0]}",
        f"head, corpus {corpora[1]}",
        "head, corpus 语料",
    ]
    assert len({run.folder for run in made.runs}) == 3


def test_the_command_of_a_request_asks_for_the_same(tmp_path):
    settings = {"corpus": "my corpus", "head_units": (20, 8), "deterministic": True, "one_document": False, "tag_column": None}
    request = Request(["head"], 2, {"epochs": [1, 2]}, "a folder", "demo", settings, "validation")
    words = shlex.split(request.command)
    assert words[3:] == [
        *("--variants", "head", "--seeds", "2", "--vary", "epochs=1,2", "--output", "a folder", "--preset", "demo"),
        *("--split", "validation", "--corpus", "my corpus", "--head-units", "20", "8", "--deterministic"),
    ]


def test_fingerprints_follow_settings_sentences_and_encoder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name, sizes={"train": 20, "validation": 10, "test": 10})
    encoders = [tiny.model_folder(tmp_path / f"encoder{seed}", "bert", seed) for seed in (1, 2)]

    def fingerprint(corpus="a", encoder=0, **settings):
        made = plan(tmp_path / "out", tmp_path / corpus, seeds=1, encoder=str(encoders[encoder]), **settings)
        return made.runs[0].fingerprint

    same = fingerprint()
    assert {k: v for k, v in fingerprint("b").items() if k != "settings"} == {k: v for k, v in same.items() if k != "settings"}
    assert fingerprint(encoder=1)["encoder"] != same["encoder"]
    assert fingerprint(epochs=7)["settings"] != same["settings"]
    text = (tmp_path / "b/train.txt").read_text("utf-8")
    (tmp_path / "b/train.txt").write_text(text.replace(" O\n", " B-MISC\n", 3), "utf-8")
    assert fingerprint("b")["corpus"] != same["corpus"]


def write_record(run, fingerprint):
    run.folder.mkdir(parents=True)
    (run.folder / runs.RECORD).write_text(json.dumps({"fingerprint": fingerprint, "result": None}), "utf-8")


def test_a_folder_with_runs_of_the_plan_is_accepted_and_may_grow(tmp_path, corpus):
    small = plan(tmp_path, corpus, seeds=1)
    write_record(small.runs[0], small.runs[0].fingerprint)
    runs.check_folder(small)
    runs.check_folder(plan(tmp_path, corpus, ("finetune", "head"), 3))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"variants": ("finetune",)}, "holds runs of another plan, such as head-seed0"),
        ({"epochs": 9}, "head-seed0 was planned differently (epochs=9 instead of 4)"),
    ],
)
def test_a_folder_of_another_plan_is_refused(tmp_path, corpus, settings, part):
    before = plan(tmp_path, corpus, seeds=1)
    write_record(before.runs[0], before.runs[0].fingerprint)
    with pytest.raises(UserError) as error:
        runs.check_folder(plan(tmp_path, corpus, **settings))
    assert part in str(error.value)


def test_flags_of_a_config_give_the_same_config():
    from tfner.train import Parser, add_flags

    config = make_config(
        encoder="x/y", variant="head", head_units=(3, 4), one_document=True, epochs="auto", learning_rate=1e-4, max_pieces=64
    )
    parser = Parser("train", "")
    add_flags(parser)
    read = {k: tuple(v) if isinstance(v, list) else v for k, v in vars(parser.parse_args(as_flags(config))).items()}
    assert make_config(**read) == config
    assert as_flags(make_config()) == []
