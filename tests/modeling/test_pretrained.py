import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support import tiny
from support.errors import check_error, refused

from tfner.errors import UserError
from tfner.modeling import pretrained
from tfner.modeling.pretrained import encoder_source, from_hub_or_folder, load_encoder_config, load_tokenizer, piece_limit

# Names


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("relative", "./nowhere"),
        ("absolute", "/no/such/folder"),
        ("of_the_home_folder", "~/no-such-folder-of-tfner"),
        ("of_three_parts", "a/b/c"),
    ],
)
def test_a_path_that_does_not_exist_is_refused(key, name):
    with refused(f"encoder_path_{key}_missing", setting="encoder"):
        encoder_source(name)


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with refused("encoder_is_a_file", setting="encoder"):
        encoder_source(file)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with refused("encoder_without_config", setting="encoder"):
        encoder_source(tmp_path)


def test_a_version_is_refused_with_the_folder_of_its_model(exported):
    with refused("encoder_is_a_version", setting="encoder"):
        encoder_source(exported)


@pytest.mark.parametrize(("variant", "kind"), [("head", "bert"), ("finetune", "albert")])
def test_a_model_that_cannot_be_exported_as_an_encoder_is_refused(tmp_path, variant, kind):
    model = tiny.trained_folder(tmp_path, "bert", variant)
    config = model / "training" / "1" / "encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | {"model_type": kind}), "utf-8")
    with refused(f"encoder_of_{variant}_and_{kind}", setting="encoder"):
        encoder_source(model)


def test_a_folder_with_a_config_is_accepted(byte_level_folder):
    assert encoder_source(byte_level_folder) == str(byte_level_folder)


@pytest.mark.parametrize("name", ["bert-base-cased", "google/electra-small-discriminator"])
def test_a_hub_name_is_accepted(name):
    assert encoder_source(name) == name


def test_demo_is_the_folder_of_the_embedded_encoder():
    assert (Path(encoder_source("demo")) / "config.json").is_file()


# Files


def check_folder_error(caught, folder):
    """Checks an error about a folder that contains the text of another library, which no golden file can hold."""
    assert (caught.value.path, caught.value.setting) == (str(folder), None)
    assert "\n" not in str(caught.value)


def test_an_incomplete_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{", "utf-8")
    with refused("encoder_config_incomplete", path=tmp_path):
        load_encoder_config(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type": "no-such-type"}'])
def test_a_config_without_a_known_type_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text, "utf-8")
    with pytest.raises(UserError) as caught:
        load_encoder_config(str(tmp_path))
    check_folder_error(caught, tmp_path)


def test_a_folder_without_tokenizer_files_is_refused(tmp_path):
    from transformers import BertConfig

    BertConfig(**tiny.SIZES["bert"]).save_pretrained(tmp_path)
    with pytest.raises(UserError) as caught:
        load_tokenizer(str(tmp_path))
    check_folder_error(caught, tmp_path)


@pytest.mark.parametrize("damage", ["", "{", '{"version": "1.0"}', json.dumps({"model": {"type": "None"}})])
def test_a_damaged_tokenizer_file_is_refused(tmp_path, damage):
    from transformers import BertConfig

    tiny.wordpiece_tokenizer(tmp_path).save_pretrained(tmp_path)
    BertConfig(**tiny.SIZES["bert"]).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(damage, "utf-8")
    with pytest.raises(UserError) as caught:
        load_tokenizer(str(tmp_path))
    check_folder_error(caught, tmp_path)


def test_a_folder_with_only_a_slow_tokenizer_is_refused(tmp_path):
    from transformers import CanineConfig, CanineTokenizer

    CanineTokenizer().save_pretrained(tmp_path)
    CanineConfig().save_pretrained(tmp_path)
    with refused("encoder_tokenizer_slow", path=tmp_path):
        load_tokenizer(str(tmp_path))


def test_a_defect_of_tfner_keeps_its_own_exception(tmp_path):
    def load(name, **options):
        raise AssertionError("a defect")

    with pytest.raises(AssertionError, match="a defect"):
        from_hub_or_folder(str(tmp_path), "config", load)


# The hub


@pytest.mark.parametrize("answers", [True, False])
def test_an_unknown_name_is_refused_with_other_sources_of_an_encoder(monkeypatch, answers):
    monkeypatch.setattr(pretrained, "hub_answers", lambda: answers)
    seen = {}

    def load(name, **options):
        seen.update(options)
        raise OSError("no such\nmodel")

    with pytest.raises(UserError) as caught:
        from_hub_or_folder("no-such-model", "tokenizer", load)
    check_error("encoder_not_on_the_hub", caught.value, setting="encoder", path="no-such-model")
    assert seen == {"trust_remote_code": False} | ({} if answers else {"local_files_only": True})


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://hub.invalid"])
def test_a_hub_out_of_reach_is_an_error_within_20_seconds(tmp_path, endpoint):
    program = (
        "import time, transformers\n"
        "from tfner.modeling.pretrained import load_encoder_config, load_tokenizer\n"
        "from tfner.errors import UserError\n"
        "start = time.perf_counter()\n"
        "for load in (load_tokenizer, load_encoder_config):\n"
        "    try: load('bert-base-cased')\n"
        "    except UserError as error: print(error.setting, time.perf_counter() - start, error, sep='\\t')\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_OFFLINE"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [setting for setting, _, _ in lines] == ["encoder", "encoder"]
    assert float(lines[-1][1]) < 20
    for (_, _, message), what in zip(lines, ("tokenizer", "config"), strict=True):
        assert message.startswith("bert-base-cased: ") and f"its {what} " in message


# Row lengths


def test_the_longest_row_of_bert_has_as_many_pieces_as_positions(wordpiece):
    from transformers import BertConfig

    assert piece_limit(BertConfig(max_position_embeddings=40), wordpiece) == 40


def test_the_longest_row_of_roberta_has_two_pieces_fewer_than_positions(byte_level_folder, byte_level):
    positions = tiny.SIZES["roberta"]["max_position_embeddings"]
    assert piece_limit(load_encoder_config(str(byte_level_folder)), byte_level) == positions - 2


# Folders from strangers


class Harm:
    """A pickle of it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_weights_in_a_pickle_are_refused_and_not_read(tmp_path):
    tiny.model_folder(tmp_path / "m", "bert")
    (tmp_path / "m" / "model.safetensors").unlink()
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(tmp_path / "harmed")))
    with refused("encoder_is_a_pickle", setting="encoder"):
        encoder_source(tmp_path / "m")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("load", [load_encoder_config, load_tokenizer])
def test_code_in_a_model_folder_does_not_run_and_nobody_is_asked(tmp_path, load):
    (tmp_path / "m").mkdir()
    harm = f"from pathlib import Path\nPath({str(tmp_path / 'harmed')!r}).touch()\n"
    (tmp_path / "m" / "code.py").write_text(harm)
    classes = {"AutoConfig": "code.Config", "AutoTokenizer": ["code.Tokenizer", None]}
    (tmp_path / "m" / "config.json").write_text(json.dumps({"model_type": "stranger", "auto_map": classes}))
    (tmp_path / "m" / "tokenizer_config.json").write_text(json.dumps({"auto_map": classes}))
    with pytest.raises(UserError, match="cannot be loaded"):
        load(str(tmp_path / "m"))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(("size", "value"), [("hidden_size", 10**12), ("num_hidden_layers", -1), ("vocab_size", "many")])
def test_a_size_that_no_encoder_has_is_refused_before_memory_is_asked_for(tmp_path, size, value):
    tiny.model_folder(tmp_path / "m", "bert")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {size: value}))
    with refused(f"encoder_{size}", path=str(tmp_path / "m")):
        load_encoder_config(str(tmp_path / "m"))
