"""Trains on real corpora, with a real pretrained encoder, as a user does. Needs TFNER_TEST_ASSETS."""

import json

import pytest

from tfner import train
from tfner.config import make_config
from tfner.data.load import load_corpus
from tfner.labels import spans
from tfner.tagging.load import load_tagger

LEAST_F1 = 0.60
"""Expected of the short training (a tenth of the corpus, two epochs), which reached 0.647 when this was written."""

pytestmark = pytest.mark.slow


def blocks(path):
    """The sentences of a CoNLL file as bytes, independent of its encoding."""
    return [block for block in path.read_bytes().replace(b"\r", b"").split(b"\n\n") if block.strip()]


def write(path, sentences):
    path.write_bytes(b"\n\n".join(sentences) + b"\n")


@pytest.fixture(scope="module")
def corpus(assets, tmp_path_factory):
    """A folder with a tenth of CoNLL-2003."""
    source, folder = assets / "data" / "conll2003", tmp_path_factory.mktemp("conll")
    for name, number in (("train", 1400), ("valid", 200), ("test", 600)):
        write(folder / f"{name}.txt", blocks(source / f"{name}.txt")[:number])
    return folder


@pytest.fixture(scope="module")
def trained(assets, corpus, tmp_path_factory):
    encoder = assets / "models" / "minilm-l6-h384-uncased"
    config = make_config(
        variant="head", encoder=str(encoder), corpus=str(corpus), epochs=2, batch_size=16, learning_rate=2e-4,
        head_learning_rate=4e-3, output=str(tmp_path_factory.mktemp("models") / "head"),
    )  # fmt: skip
    return train.train(config)


def test_a_short_training_of_a_pretrained_encoder_finds_entities_of_every_type(trained):
    scores = trained.scores["test"]
    print(json.dumps(scores.to_json()["overall"]))
    assert scores.overall.f1 > LEAST_F1
    assert all(score.correct for score in scores.per_type.values())


def as_text(words):
    """Words as ordinary text, without spaces before punctuation and inside quotes, and the character offsets of the words."""
    text, places, quoted, joined = "", [], False, True
    for word in words:
        closes = word in {*".,;:!?%)]", "'s", "'S", "n't", "'ll", "'re", "'ve", "'d", "'m"} or (word == '"' and quoted)
        text += "" if joined or closes else " "
        places.append((len(text), len(text) + len(word)))
        text += word
        quoted ^= word == '"'
        joined = word in {"(", "[", "$"} or (word == '"' and quoted)
    return text, places


def f1(gold, predicted):
    """The F1 of predicted against gold entities: two sequences with a set for each sentence."""
    right = sum(len(a & b) for a, b in zip(gold, predicted, strict=True))
    return 2 * right / (sum(map(len, gold)) + sum(map(len, predicted)))


def raw_and_split_f1(tagger, sentences):
    """Entity F1 on ordinary text, by character offsets, and on the words of the same sentences."""
    texts, places = zip(*(as_text(s.words) for s in sentences), strict=True)
    gold = [{(t, p[a][0], p[b - 1][1]) for t, a, b in spans(s.tags)} for s, p in zip(sentences, places, strict=True)]
    raw = [{(e.type, e.start, e.end) for e in found} for found in tagger.tag_many(texts)]
    split = [{*spans(tagged.tags)} for tagged in tagger.predict(sentences)]
    return f1(gold, raw), f1([{*spans(s.tags)} for s in sentences], split)


def test_raw_text_is_tagged_about_as_well_as_the_words_of_conll(trained, corpus):
    raw, split = raw_and_split_f1(load_tagger(trained.folder), load_corpus(corpus).splits["test"])
    print(f"raw {raw:.4f}, split {split:.4f}")
    assert abs(split - trained.scores["test"].overall.f1) < 1e-3
    assert raw > split - 0.01


def test_spanish_conll_2002_can_be_trained_with_default_settings(assets, tmp_path):
    source, folder = assets / "data" / "conll2002_esp", tmp_path / "esp"
    folder.mkdir()
    for name in ("esp.train", "esp.testa", "esp.testb"):
        sentences = blocks(source / name)
        write(folder / name, [*sentences[:80], max(sentences, key=len)])
    lines = []
    trained = train.train(make_config(corpus=str(folder), epochs=1, output=str(tmp_path / "model")), say=lines.append)
    assert any("ISO-8859-1" in line for line in lines)
    assert any("overlapping windows; no word is lost" in line for line in lines)
    words = sum(bool(line.strip()) for line in (folder / "esp.testb").read_bytes().split(b"\n"))
    assert trained.scores["test"].words == words


def test_wnut_2017_can_be_trained_with_default_settings(assets, tmp_path):
    source, folder = assets / "data" / "wnut17", tmp_path / "wnut17"
    folder.mkdir()
    for name in ("emerging.dev.conll", "emerging.test.annotated"):
        (folder / name).write_bytes((source / name).read_bytes())
    lines = (source / "wnut17train.conll").read_bytes().splitlines(keepends=True)
    (folder / "wnut17train.conll").write_bytes(b"".join(lines[:20_000]))  # of 66,124: enough for all types
    config = make_config(corpus=str(folder), epochs=1, output=str(tmp_path / "model"))
    trained = train.train(config, say=lambda line: None)
    assert trained.scores["test"].overall.number == 1079
    assert set(trained.scores["test"].per_type) == {"corporation", "creative-work", "group", "location", "person", "product"}
