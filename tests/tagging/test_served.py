"""The tagger of a served model against real servers with a real export: it finds what a local tagger finds."""

import json
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from support.errors import refused
from support.servers import GrpcServer, RestServer, refused_by

from tfner import evaluate, predict
from tfner.corpus import Sentence
from tfner.tagging.load import load_tagger
from tfner.tagging.served import ServedTagger

TEXTS = ["Peter Blackburn said in Nice", "", "EU rejects German call . " * 9, "  Köln: «Ümit» 🙂 y\u0301  said\tin Nice !", "x"]
SENTENCES = [
    ["EU", "rejects", "German", "call"],
    [],
    ["", "Peter", "\u200b", "said"],
    ["lamb"] * 30,
    ["New York", "in", "Köln"],
]


def same(one, other):
    """The same entities, with scores equal up to rounding."""
    assert [replace(e, score=0) for e in one] == [replace(e, score=0) for e in other]
    assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-5)


def test_a_served_model_finds_what_a_local_one_finds(address, local):
    with load_tagger(address) as served:
        assert isinstance(served, ServedTagger)
        assert sum(map(len, served.tag_many(TEXTS))) > 3
        for text in TEXTS:
            same(served.tag(text), local.tag(text))
        for words in SENTENCES:
            same(served.tag_words(words), local.tag_words(words))


def test_texts_and_sentences_can_be_mixed_and_keep_their_order(address, local):
    mixed = [item for pair in zip(TEXTS, SENTENCES, strict=True) for item in pair] * 3
    with ServedTagger(address, texts=4) as served:
        for chunk in (100, 4):
            for one, other in zip(served.tag_many(iter(mixed), chunk), local.tag_many(mixed), strict=True):
                same(one, other)


def test_predict_returns_a_tag_and_a_probability_for_every_word(address, local):
    sentences = [Sentence(tuple(words), ()) for words in SENTENCES]
    with load_tagger(address) as served:
        for one, other in zip(served.predict(sentences), local.predict(sentences), strict=True):
            assert one.tags == other.tags
            assert one.probabilities.dtype == np.float32
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_string_given_as_words_is_refused(address):
    with load_tagger(address) as served, refused("words_are_one_string"):
        served.tag_words("EU rejects")


def test_half_of_a_surrogate_pair_is_refused_before_anything_is_sent(address, backend):
    with load_tagger(address) as tagger:
        backend.asked.clear()
        with refused("half_of_a_surrogate_pair"):
            tagger.tag("EU \ud83d rejects")
        with refused("half_of_a_surrogate_pair_in_words"):
            tagger.tag_words(["EU", "\ud83d"])
        assert backend.asked == []


def test_requests_have_a_limited_size_and_hold_texts_of_similar_length(address, backend):
    with ServedTagger(address, texts=3, size=200) as tagger:
        backend.asked.clear()
        list(tagger.tag_many(["in " * 10, "x", "in", "y", "in " * 100, "said", "in " * 40]))
    asked = [[len(text) for text in values] for _, values, _ in backend.asked]
    assert asked == [[1, 1, 2], [4, 30, 120], [300]]


def test_a_request_that_is_too_large_for_the_server_is_sent_again_in_halves(address, backend, local):
    texts = ["Peter Blackburn said"] * 10
    with ServedTagger(address, texts=16) as tagger:
        backend.max_batch = 3
        for entities in tagger.tag_many(texts):
            same(entities, local.tag(texts[0]))
        for entities in tagger.tag_many([text.split() for text in texts]):
            same(entities, local.tag(texts[0]))


@pytest.mark.parametrize("kind", [RestServer, GrpcServer])
def test_a_text_that_is_too_large_for_the_server_is_named(backend, kind):
    backend.max_bytes = 3000
    server = kind(backend, **({"max_bytes": 3000} if kind is GrpcServer else {}))
    with load_tagger(server.address) as tagger:
        assert len(list(tagger.tag_many(["EU " * 300, "in " * 300, "x " * 300, "y"]))) == 4
        with refused_by(f"text_too_large_for_server_{server.address[:4]}", server.address):
            list(tagger.tag_many(["EU", "German " * 1_000_000]))


def test_threads_can_share_a_tagger(address, local):
    tagger, found = load_tagger(address), {}
    texts = [f"Peter {'Blackburn ' * n}said" for n in range(8)]
    threads = [threading.Thread(target=lambda t=t: found.update({t: tagger.tag(t)})) for t in texts]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for text in texts:
        same(found[text], local.tag(text))
    tagger.close()


@pytest.mark.parametrize("which", ["/versions/1", "/labels/stable"])
def test_a_version_can_be_selected_by_number_or_label(address, which):
    with load_tagger(address + which) as one, load_tagger(address) as other:
        assert one.tag("EU") == other.tag("EU")


def test_a_closed_tagger_sends_nothing_and_raises(address, backend):
    with load_tagger(address) as tagger:
        assert not tagger.closed
    assert tagger.closed
    backend.asked.clear()
    for use in (lambda: tagger.tag("EU"), lambda: tagger.tag_words(["EU"]), lambda: tagger.predict([Sentence(("EU",), ())])):
        with refused_by("tagger_closed", address):
            use()
    assert backend.asked == []
    tagger.close()


def test_a_server_does_not_report_labels_and_settings(rest):
    with load_tagger(rest) as tagger:
        assert tagger.labels is tagger.config is None
        assert tagger.warnings() == []


def test_padding_by_tf_serving_changes_no_label(address, backend):
    """TF Serving's batching with `pad_variable_length_inputs` pads narrower requests with their first element."""
    tagger = load_tagger(address)
    short, long = ["EU", "rejects", "German"], ["Peter", "Blackburn", "said", "in", "Nice", "lamb", "to"]
    backend.asked.clear()
    expected = [tagged.tags for words in (short, long) for tagged in tagger.predict([Sentence(tuple(words), ())])]
    requests = [np.array(values, object) for _, values, _ in backend.asked]
    width = max(rows.shape[1] for rows in requests)
    merged = [np.pad(r, ((0, 0), (0, width - r.shape[1])), constant_values=r.flat[0]) for r in requests]
    merged = np.concatenate(merged).tolist()
    labels = backend.predict("head", None, "", "words", merged, "")["label"].numpy()
    assert [[label.decode() for label in row[1 : 1 + len(e)]] for row, e in zip(labels, expected, strict=True)] == expected
    tagger.close()


def test_rest_needs_neither_tensorflow_nor_transformers(rest):
    program = (
        "import sys\nfrom tfner.tagging.load import load_tagger\ntagger = load_tagger(sys.argv[1])\n"
        "tagger.tag('EU rejects'), tagger.tag_words(['EU'])\n"
        "print(sorted({'tensorflow', 'transformers', 'grpc', 'requests'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program, rest], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_predict_takes_an_address(address, local, capsys):
    assert predict.main([address, "--json", *TEXTS]) == 0
    for line, text in zip(capsys.readouterr().out.splitlines(), TEXTS, strict=True):
        assert [e["text"] for e in json.loads(line)["entities"]] == [e.text for e in local.tag(text)]


def test_evaluate_takes_an_address(rest, exported, tmp_path, capsys):
    (tmp_path / "test.txt").write_text("EU B-ORG\nrejects O\nGerman B-MISC\n\nPeter B-PER\nBlackburn I-PER\n")
    argv = ["--corpus", str(tmp_path), "--unseen-labels", "keep", "--json", "--output"]
    results = []
    for model, name in ((rest, "a"), (exported, "b")):
        assert evaluate.main([str(model), *argv, str(tmp_path / name)]) == 0
        results.append(json.loads(capsys.readouterr().out))
    served, local = results
    assert served["overall"] == local["overall"]
    assert served["accuracy"] == local["accuracy"]
    assert {p.name for p in (tmp_path / "a").iterdir()} >= {"scores.json", "mistakes.txt", "confusion_matrix.png"}


def test_to_evaluate_an_address_a_corpus_and_a_folder_must_be_given(rest, capsys):
    assert evaluate.main([rest]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--corpus" in error
    assert "--output" in error
