"""Real corpora and a real pretrained encoder, as a user would train on them. Needs TFNER_TEST_ASSETS."""

import json

from tfner import train
from tfner.config import make_config

LEAST_F1 = 0.60  # of the short training below, which reached 0.647; a tenth of the corpus, two epochs


def blocks(path):
    """The sentences of a CoNLL file as bytes, whatever its encoding."""
    return [block for block in path.read_bytes().replace(b"\r", b"").split(b"\n\n") if block.strip()]


def write(path, sentences):
    path.write_bytes(b"\n\n".join(sentences) + b"\n")


def test_a_short_training_of_a_pretrained_encoder_learns_conll_2003(assets, tmp_path):
    source, folder = assets / "data" / "conll2003", tmp_path / "conll"
    folder.mkdir()
    for name, number in (("train", 1400), ("valid", 200), ("test", 600)):
        write(folder / f"{name}.txt", blocks(source / f"{name}.txt")[:number])
    encoder = assets / "models" / "minilm-l6-h384-uncased"
    config = make_config(
        variant="head", encoder=str(encoder), corpus=str(folder), epochs=2, batch_size=16, learning_rate=2e-4,
        head_learning_rate=4e-3, output=str(tmp_path / "model"),
    )  # fmt: skip
    trained = train.train(config)
    scores = trained.scores["test"]
    print(json.dumps(scores.to_json()["overall"]))
    assert scores.overall.f1 > LEAST_F1
    assert all(score.correct for score in scores.per_type.values())


def test_spanish_conll_2002_trains_without_special_handling(assets, tmp_path):
    source, folder = assets / "data" / "conll2002_esp", tmp_path / "esp"
    folder.mkdir()
    for name in ("esp.train", "esp.testa", "esp.testb"):
        sentences = blocks(source / name)
        write(folder / name, [*sentences[:80], max(sentences, key=len)])
    lines = []
    trained = train.train(make_config(corpus=str(folder), epochs=1, output=str(tmp_path / "model")), say=lines.append)
    assert any("ISO-8859-1" in line for line in lines)
    assert any("became overlapping windows; no word is lost" in line for line in lines)
    words = sum(bool(line.strip()) for line in (folder / "esp.testb").read_bytes().split(b"\n"))
    assert trained.scores["test"].words == words


def test_wnut_2017_trains_without_special_handling(assets, tmp_path):
    config = make_config(corpus=str(assets / "data" / "wnut17"), epochs=1, output=str(tmp_path / "model"))
    trained = train.train(config, say=lambda line: None)
    assert trained.scores["test"].overall.number == 1079
    assert set(trained.scores["test"].per_type) == {"corporation", "creative-work", "group", "location", "person", "product"}
