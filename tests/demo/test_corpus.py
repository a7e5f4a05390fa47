import os
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tfner.config import TASKS
from tfner.corpus import SPLITS
from tfner.demo import corpus as demo
from tfner.demo import encoder as encoder_module
from tfner.demo import grammar as demo_grammar
from tfner.demo.corpus import demo_corpus, held_out_names
from tfner.demo.encoder import demo_encoder
from tfner.errors import UserError
from tfner.labels import CONLL_LABELS, CONLL_TYPES, scheme, spans


@pytest.fixture(scope="module")
def corpora():
    return {task: demo_corpus(task) for task in TASKS}


@pytest.fixture(scope="module")
def ner(corpora):
    return corpora["ner"]


def entities(sentence):
    return [(span.type, sentence.words[span.start : span.end]) for span in spans(sentence.tags)]


def test_processes_with_other_hash_seeds_generate_the_same_corpus():
    program = "import hashlib; from tfner.demo.corpus import demo_corpus; print(hashlib.sha256(repr(demo_corpus()).encode()).hexdigest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_generates_another_corpus_and_leaves_pythons_random_state_alone(ner):
    random.seed(7)
    before = random.getstate()
    other = demo_corpus(seed=1)
    assert random.getstate() == before
    assert other.splits["train"][:50] != ner.splits["train"][:50]
    assert demo_corpus().splits == ner.splits


def test_generating_needs_no_tensorflow():
    program = "import sys, tfner.demo; tfner.demo.demo_corpus(); print({'tensorflow', 'transformers'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_every_split_has_its_size_and_every_type(ner):
    assert ner.name == "demo"
    assert ner.labels == CONLL_LABELS
    for split in SPLITS:
        sentences = ner.splits[split]
        assert demo.SIZES[split] <= len(sentences) < demo.SIZES[split] + 15
        counts = Counter(kind for sentence in sentences for kind, _ in entities(sentence))
        assert set(counts) == set(CONLL_TYPES)
        assert min(counts.values()) > 100


def test_tasks_tag_the_same_words_with_valid_tags(corpora):
    for split in SPLITS:
        words = [[(s.words, s.document) for s in corpora[task].splits[split]] for task in TASKS]
        assert words[0] == words[1] == words[2]
        for task in TASKS:
            for sentence in corpora[task].splits[split]:
                assert len(sentence.words) == len(sentence.tags) > 0
                assert set(sentence.tags) <= set(corpora[task].labels.names)
        for task in ("ner", "chunk"):
            assert scheme(s.tags for s in corpora[task].splits[split]) == "IOB2"


def test_a_name_lies_within_one_chunk_and_numbers_are_cardinal(corpora):
    for ner, chunk, pos in zip(*(corpora[task].splits["train"] for task in ("ner", "chunk", "pos")), strict=True):
        for _, start, end in spans(ner.tags):
            assert all(tag == "I-NP" for tag in chunk.tags[start + 1 : end]), ner.words
        for word, tag in zip(pos.words, pos.tags, strict=True):
            assert not word.isdigit() or tag == "CD", pos.words


def test_documents_are_numbered_from_0_without_gaps(ner):
    for split in SPLITS:
        numbers = [sentence.document for sentence in ner.splits[split]]
        assert numbers == sorted(numbers)
        assert set(numbers) == set(range(numbers[-1] + 1))
        assert min(Counter(numbers).values()) >= 4


def test_names_are_ambiguous(ner):
    types = {}
    for sentence in ner.splits["train"]:
        for kind, words in entities(sentence):
            types.setdefault(words, set()).add(kind)
    several = [words for words, kinds in types.items() if len(kinds) > 1]
    assert len(several) > 50
    assert any(types[(name,)] >= {"LOC", "ORG", "PER"} for name in demo_grammar.SHARED if (name,) in types)


def test_held_out_names_never_occur_in_train_and_often_elsewhere(ner):
    held = held_out_names()
    held |= {name.upper() for name in held}
    assert not held & {word for sentence in ner.splits["train"] for word in sentence.words}
    for split in ("validation", "test"):
        found = [bool(held.intersection(words)) for sentence in ner.splits[split] for _, words in entities(sentence)]
        assert 0.2 < sum(found) / len(found) < 0.45


def test_every_template_word_is_in_the_lexicon():
    rules = [template for rule in demo_grammar.RULES.values() for template in rule]
    for template in rules + [t for parts in demo_grammar.DOCUMENTS.values() for part in parts for t in part]:
        assert template.count("(") == template.count(")")
        for token in demo._TOKEN.findall(template):
            if token[0] not in "()|~<{" and "/" not in token:
                demo._tag_of(token, [])


def test_an_unknown_task_is_refused():
    with pytest.raises(UserError, match="expected one of ner, pos, chunk"):
        demo_corpus("srl")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return demo_encoder(tmp_path_factory.mktemp("cache") / "encoder")


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


def test_the_same_weights_each_time_and_a_complete_folder_is_used_again(encoder, tmp_path):
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


def test_a_half_written_folder_is_written_anew(tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    demo_encoder(folder)
    assert (folder / "model.safetensors").is_file()
    assert len((folder / "config.json").read_text()) > 2


def test_a_folder_that_holds_something_else_is_left_alone(encoder, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds something else \(thesis.tex\)"):
        demo_encoder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_heads_start_at_a_words_neighbours(encoder):
    from transformers import TFAutoModel

    model = TFAutoModel.from_pretrained(encoder)
    attentions = model(np.arange(100, 120)[None], output_attentions=True).attentions
    for attention in attentions:
        for head, places in enumerate(encoder_module.LOOK_AT):
            assert np.diagonal(attention.numpy()[0, head], places).mean() > 0.5


def test_the_default_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        encoder_module, "_write_encoder", lambda folder: [(folder / name).touch() for name in encoder_module._FILES]
    )
    folder = demo_encoder()
    assert folder.parent == tmp_path / "tfner"
    assert folder == demo_encoder()


def test_a_cache_that_cannot_be_written_is_the_users_to_mend(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME"):
        demo_encoder()
