"""The client against real servers that run a real export: as a local model answers, and when something is wrong."""

import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from support.servers import Backend, GrpcServer, Raw, RestServer, raising, sleeping

from tfner.corpus import Sentence
from tfner.errors import UserError
from tfner.tagging import served as client
from tfner.tagging.load import load_tagger
from tfner.tagging.served import ServedTagger
from tfner.tagging.transport import Address

TEXTS = ["Peter Blackburn said in Nice", "", "EU rejects German call . " * 9, "  Köln: «Ümit» 🙂 y\u0301  said\tin Nice !", "x"]
SENTENCES = [
    ["EU", "rejects", "German", "call"],
    [],
    ["", "Peter", "\u200b", "said"],
    ["lamb"] * 30,
    ["New York", "in", "Köln"],
]


@pytest.fixture(scope="module")
def backend(exported):
    return Backend(exported)


@pytest.fixture(scope="module")
def servers(backend):
    return {"rest": RestServer(backend), "grpc": GrpcServer(backend)}


@pytest.fixture(params=["rest", "grpc"])
def address(request, servers, backend, monkeypatch):
    """The address of the served model, over one API and the other; waits between tries are short."""
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    backend.reset()
    return servers[request.param].address


@pytest.fixture
def rest(servers, backend, monkeypatch):
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    backend.reset()
    return servers["rest"].address


@pytest.fixture(scope="module")
def local(exported):
    return load_tagger(exported)


def close(one, other):
    """The same entities, scores but for rounding."""
    assert [replace(e, score=0) for e in one] == [replace(e, score=0) for e in other]
    assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-5)


def test_a_served_model_finds_what_a_local_one_finds(address, local):
    served = load_tagger(address)
    assert isinstance(served, ServedTagger)
    assert sum(map(len, served.tag_many(TEXTS))) > 3
    for text in TEXTS:
        close(served.tag(text), local.tag(text))
    for words in SENTENCES:
        close(served.tag_words(words), local.tag_words(words))


def test_texts_and_sentences_may_be_mixed_and_come_back_in_order(address, local):
    mixed = [item for pair in zip(TEXTS, SENTENCES, strict=True) for item in pair] * 3
    served = ServedTagger(address, texts=4)
    for chunk in (100, 4):
        for one, other in zip(served.tag_many(iter(mixed), chunk), local.tag_many(mixed), strict=True):
            close(one, other)


def test_predict_gives_a_tag_and_a_probability_for_every_word(address, local):
    sentences = [Sentence(tuple(words), ()) for words in SENTENCES]
    for one, other in zip(load_tagger(address).predict(sentences), local.predict(sentences), strict=True):
        assert one.tags == other.tags
        assert one.probabilities.dtype == np.float32
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_string_given_as_words_is_refused(address):
    with pytest.raises(UserError, match="use tag"):
        load_tagger(address).tag_words("EU rejects")


def test_requests_are_of_a_bounded_size_and_hold_texts_of_like_length(address, backend):
    tagger = ServedTagger(address, texts=3, size=200)
    backend.asked.clear()
    list(tagger.tag_many(["in " * 10, "x", "in", "y", "in " * 100, "said", "in " * 40]))
    asked = [[len(text) for text in values] for _, values, _ in backend.asked]
    assert asked == [[1, 1, 2], [4, 30, 120], [300]]


def test_one_connection_serves_all_requests_of_a_thread(address, backend):
    tagger = load_tagger(address)
    for _ in range(5):
        tagger.tag("EU")
    assert len({peer for _, _, peer in backend.asked}) == 1


def test_threads_may_share_a_tagger(address, local):
    tagger, found = load_tagger(address), {}
    texts = [f"Peter {'Blackburn ' * n}said" for n in range(8)]
    threads = [threading.Thread(target=lambda t=t: found.update({t: tagger.tag(t)})) for t in texts]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for text in texts:
        close(found[text], local.tag(text))


@pytest.mark.parametrize("which", ["/versions/1", "/labels/stable"])
def test_a_version_or_a_label_can_be_asked_for(address, which):
    assert load_tagger(address + which).tag("EU") == load_tagger(address).tag("EU")


def test_rest_needs_neither_tensorflow_nor_transformers(rest):
    program = (
        "import sys\nfrom tfner.tagger import Tagger\ntagger = load_tagger(sys.argv[1])\n"
        "tagger.tag('EU rejects'), tagger.tag_words(['EU'])\n"
        "print(sorted({'tensorflow', 'transformers', 'grpc', 'requests'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program, rest], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_tf_servings_padding_of_merged_requests_changes_no_label(address, backend):
    """What TF Serving's batching does (`pad_variable_length_inputs`): fill narrower requests with their first element."""
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


# --- what may go wrong for a while -------------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again(address, backend):
    tagger = load_tagger(address)
    expected = tagger.tag("EU")
    backend.script = [("UNAVAILABLE", "The batch scheduling queue is full"), ("RESOURCE_EXHAUSTED", "Run() timeout exceeded")]
    backend.asked.clear()
    assert tagger.tag("EU") == expected
    assert len(backend.asked) == 3


def test_a_dropped_connection_is_opened_again(rest, backend):
    tagger = load_tagger(rest)
    expected = tagger.tag("EU")
    backend.script = [raising(Raw())] * 2
    assert tagger.tag("EU") == expected


def test_a_server_that_stays_busy_is_given_up_after_a_few_tries(address, backend):
    tagger = load_tagger(address)
    backend.script = [("UNAVAILABLE", "The queue is full")] * 100
    backend.asked.clear()
    with pytest.raises(UserError, match=r"no answer \(The queue is full.*overloaded"):
        tagger.tag("EU")
    assert len(backend.asked) == client.TRIES


def test_a_model_that_is_loading_is_waited_for(address, backend):
    backend.states = {1: "LOADING"}
    status, calls = backend.status, count()

    def becoming_available(name):
        if next(calls) == 3:
            backend.states = {1: "AVAILABLE"}
        return status(name)

    backend.status = becoming_available
    try:
        assert load_tagger(address).tag("") == []
    finally:
        del backend.status


def test_a_model_that_does_not_get_ready_in_time_is_named(address, backend):
    backend.states = {1: "LOADING"}
    with pytest.raises(UserError, match=r"/head: the model is still loading after 0\.3 seconds: try again later"):
        ServedTagger(address, deadline=0.3)


def test_a_slow_server_is_left_at_the_deadline(address, backend):
    tagger = ServedTagger(address, deadline=0.5)
    backend.script = [sleeping(3)]
    with pytest.raises(UserError, match=r"no answer in time .*0\.5 seconds.*deadline=\.\.\."):
        tagger.tag("EU")
    assert tagger.tag("") == []  # and the next answer is not the late one


def test_a_server_that_drips_is_left_at_the_deadline():
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                threading.Event().wait(0.1)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    with pytest.raises(UserError, match=r"no answer in time .*the deadline is 1 seconds"):
        ServedTagger(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models/head", deadline=1)


# --- a user's mistakes -------------------------------------------------------------------------------------------------


def test_no_server_is_one_error(monkeypatch):
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for address in (f"http://127.0.0.1:{port}/v1/models/head", f"grpc://127.0.0.1:{port}/head"):
        with pytest.raises(UserError, match=r"no answer \(.*refused.*check host and port"):
            load_tagger(address)


def test_a_model_the_server_does_not_have_is_named(address):
    with pytest.raises(UserError, match=r"the server has no model 'tail' \(Could not find any versions of model tail"):
        load_tagger(address.replace("head", "tail"))


def test_a_version_that_is_not_served_names_those_that_are(address, backend):
    backend.states = {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"}
    for version in (3, 7):
        with pytest.raises(UserError, match=rf"does not serve version {version} of 'head': these are served: 1, 2"):
            load_tagger(f"{address}/versions/{version}")


def test_a_label_that_no_version_has_is_named(address):
    with pytest.raises(UserError, match=r"no version has the label 'latest'"):
        load_tagger(f"{address}/labels/latest")
    with pytest.raises(UserError, match=r"does not serve a version labelled canary of 'head': these are served: 1"):
        load_tagger(f"{address}/labels/canary")


def test_a_model_for_pieces_alone_is_refused(address, backend, monkeypatch):
    monkeypatch.setattr(backend, "signatures", {"pieces": backend.signatures["pieces"]})
    with pytest.raises(UserError, match=r"no signature serving_default.*an encoder with a WordPiece tokenizer"):
        load_tagger(address)


def test_what_is_too_large_for_the_server_goes_in_halves(address, backend, local):
    tagger = ServedTagger(address, texts=16)
    backend.max_batch = 3
    texts = ["Peter Blackburn said"] * 10
    for entities in tagger.tag_many(texts):
        close(entities, local.tag(texts[0]))
    for entities in tagger.tag_many([text.split() for text in texts]):
        close(entities, local.tag(texts[0]))


def test_a_text_too_large_for_the_server_is_named(backend, monkeypatch):
    backend.reset()
    backend.max_bytes = 3000
    for server in (RestServer(backend), GrpcServer(backend, max_bytes=3000)):
        tagger = load_tagger(server.address)
        assert len(list(tagger.tag_many(["EU " * 300, "in " * 300, "x " * 300, "y"]))) == 4
        with pytest.raises(UserError, match=r"'German German.*… \(7,000,000 bytes\) is too large.*split it"):
            list(tagger.tag_many(["EU", "German " * 1_000_000]))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ((200, b"<html>hello</html>"), "the answer is not TF Serving's .*hello"),
        ((404, b"<html>nothing here</html>"), "the answer is not TF Serving's .HTTP 404.*nothing here"),
        ((301, b""), "the answer is not TF Serving's .HTTP 301"),
        ((200, b'{"predictions": []}'), "expected an object with outputs, got.*predictions"),
        ((200, b'{"outputs": {"label": ["x", "y"]}}'), "serving_default gave no entity_count.* for 1 texts"),
        ((200, b"[]"), "the answer is not TF Serving's"),
        ((500, b'{"error": "OOM"}'), "the server failed .OOM.: look into its log"),
        ((400, b'{"error": "no such thing"}'), "the server refuses the request .no such thing."),
    ],
)
def test_an_answer_that_is_none_is_quoted(rest, backend, raw, message):
    backend.script = [raising(Raw(*raw))]
    with pytest.raises(UserError, match=message):
        load_tagger(rest)


def test_unpadded_batching_names_the_setting(rest, backend):
    tagger = load_tagger(rest)
    backend.script = [("FAILED_PRECONDITION", "Tensors ... have different shapes and padding is turned off. Set ...")]
    with pytest.raises(UserError, match="set pad_variable_length_inputs: true"):
        tagger.tag_words(["EU"])


@pytest.mark.parametrize(
    "address",
    """http://host:8501 http://host:8501/v1/models/ http:///v1/models/head http://host:port/v1/models/head grpc://host/head
    grpc://host:8500 grpc://host:8500/v1/models/head ftp://host/head http://host/v1/models/head:predict
    http://host/v1/models/head/versions/one http://host/v1/models/head?x=1 http://me:secret@host/v1/models/head
    http://[::1/v1/models/head https://host/models/head""".split(),
)
def test_an_address_that_is_none_says_what_one_looks_like(address):
    with pytest.raises(UserError, match="not the address of a served model: expected http://HOST:8501/v1/models/NAME or grpc"):
        load_tagger(address)


@pytest.mark.parametrize(
    "address",
    """http://host:8501/v1/models/head https://host/ner/v1/models/head/versions/3 grpc://[::1]:8500/head/labels/stable""".split(),
)
def test_an_address_reads_as_it_was_written(address):
    assert str(Address.parse(address)) == address


def test_half_of_a_surrogate_pair_is_refused_before_anything_is_sent(address, backend):
    tagger = load_tagger(address)
    backend.asked.clear()
    for call in (lambda: tagger.tag("EU \ud83d rejects"), lambda: tagger.tag_words(["EU", "\ud83d"])):
        with pytest.raises(UserError, match=r"character 3 of 'EU .*ud83d.* is half of a surrogate pair"):
            call()
    assert backend.asked == []


def run(*argv):
    return subprocess.run([sys.executable, "-m", *map(str, argv)], capture_output=True, text=True, check=False)


def test_predict_takes_an_address(address, local):
    result = run("tfner.predict", address, "--json", *TEXTS)
    assert result.returncode == 0, result.stderr
    for line, text in zip(result.stdout.splitlines(), TEXTS, strict=True):
        assert [e["text"] for e in json.loads(line)["entities"]] == [e.text for e in local.tag(text)]


def test_evaluate_takes_an_address(rest, exported, tmp_path):
    (tmp_path / "test.txt").write_text("EU B-ORG\nrejects O\nGerman B-MISC\n\nPeter B-PER\nBlackburn I-PER\n")
    argv = ["--corpus", tmp_path, "--unseen-labels", "keep", "--json", "--output"]
    results = [run("tfner.evaluate", model, *argv, tmp_path / name) for model, name in ((rest, "a"), (exported, "b"))]
    served, local = (json.loads(result.stdout) for result in results)
    assert served["overall"] == local["overall"]
    assert served["accuracy"] == local["accuracy"]
    assert {p.name for p in (tmp_path / "a").iterdir()} >= {"scores.json", "mistakes.txt", "confusion_matrix.png"}


def test_evaluating_an_address_needs_a_corpus_and_a_folder(rest):
    result = run("tfner.evaluate", rest)
    assert result.returncode == 2
    assert "give --corpus, and --output" in result.stderr
