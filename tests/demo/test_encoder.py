import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.errors import refused

from tfner.corpus import SPLITS
from tfner.demo import encoder as module
from tfner.demo.encoder import demo_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return demo_encoder(tmp_path_factory.mktemp("cache") / "encoder")


@pytest.fixture
def quick(monkeypatch):
    """Writes empty files instead of a model; returns the list of folders written."""
    written = []

    def write(folder):
        written.append(folder)
        for name in module._FILES:
            (folder / name).touch()

    monkeypatch.setattr(module, "_write_encoder", write)
    return written


@pytest.mark.slow
def test_the_encoder_loads_as_any_other(encoder):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    model = transformers.TFAutoModel.from_pretrained(encoder)
    assert tokenizer.is_fast
    assert len(tokenizer) == model.config.vocab_size
    pieces = tokenizer("Leeds beat Arden 2-1 .", return_tensors="np")
    hidden = model(dict(pieces)).last_hidden_state
    assert hidden.shape == (1, pieces["input_ids"].shape[1], model.config.hidden_size)


def test_no_word_becomes_unknown(encoder, ner):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    words = sorted({word for split in SPLITS for sentence in ner.splits[split] for word in sentence.words})
    words += ["Ahmed", "Unice", "Zürich", "foo@bar.org", "«ça»", "naïve", "x²"]
    pieces = tokenizer([words], is_split_into_words=True, add_special_tokens=False)
    assert tokenizer.unk_token_id not in pieces["input_ids"][0]
    assert set(pieces.word_ids(0)) == set(range(len(words)))


def test_weights_are_the_same_each_time_and_a_complete_folder_is_used_again(encoder, tmp_path):
    from transformers import TFAutoModel

    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    again = demo_encoder(tmp_path / "again")
    assert (np.random.get_state()[1] == before).all()
    assert (again / "vocab.txt").read_bytes() == (encoder / "vocab.txt").read_bytes()
    first, second = (TFAutoModel.from_pretrained(folder).get_weights() for folder in (encoder, again))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    written = (again / "model.safetensors").stat().st_mtime_ns
    assert demo_encoder(again) == again
    assert (again / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_words_that_occur_beside_the_same_words_start_alike(encoder):
    vectors = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"][:, module.POSITION_UNITS :]
    pieces = (encoder / "vocab.txt").read_text("utf-8").split()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    alike = vectors @ vectors[pieces.index("Monday")]
    assert {pieces[i] for i in np.argsort(-alike)[: len(days)]} == set(days)
    assert alike[pieces.index("in")] < 0.5


def test_heads_start_by_looking_at_the_neighbours_of_a_word(encoder):
    from transformers import TFAutoModel

    model = TFAutoModel.from_pretrained(encoder)
    attentions = model(np.arange(100, 120)[None], output_attentions=True).attentions
    for attention in attentions:
        for head, places in enumerate(module.LOOK_AT):
            assert np.diagonal(attention.numpy()[0, head], places).mean() > 0.4


def test_an_incomplete_folder_is_written_again(tmp_path, quick):
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    assert demo_encoder(folder) == folder
    assert {path.name for path in folder.iterdir()} == set(module._FILES)
    assert (folder / "config.json").read_text() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_folder_that_another_process_completes_meanwhile_is_used(tmp_path, monkeypatch):
    folder = tmp_path / "encoder"

    def write(draft):
        for name in module._FILES:
            (draft / name).write_text("ours")
            folder.mkdir(exist_ok=True)
            (folder / name).write_text("theirs")

    monkeypatch.setattr(module, "_write_encoder", write)
    assert demo_encoder(folder) == folder
    assert (folder / "config.json").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_several_callers_at_once_leave_one_complete_folder(tmp_path, monkeypatch):
    together = threading.Barrier(4, timeout=60)

    def write(draft):
        for name in module._FILES:
            (draft / name).touch()
        together.wait()

    monkeypatch.setattr(module, "_write_encoder", write)
    folder = tmp_path / "encoder"
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(demo_encoder, [folder] * 4)) == [folder] * 4
    assert {path.name for path in folder.iterdir()} == set(module._FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path, quick):
    (tmp_path / "thesis.tex").write_text("mine")
    with refused("demo_encoder_other_files", path=tmp_path):
        demo_encoder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_default_folder_is_in_the_users_cache(tmp_path, monkeypatch, quick):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = demo_encoder()
    assert folder.parent == tmp_path / "tfner"
    assert folder == demo_encoder()
    assert len(quick) == 1


def test_a_cache_that_cannot_be_written_is_refused(tmp_path, monkeypatch, quick):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with refused("demo_encoder_not_writable", path=tmp_path / "file" / "tfner" / f"demo-encoder-{module._fingerprint()}"):
        demo_encoder()
