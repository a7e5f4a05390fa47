"""The exported graph gives the same words, labels, entities and offsets as the Python path."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny

from tfner.config import SENTENCES, make_config
from tfner.contract import PIECES, SIGNATURES
from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.data.words import split_words
from tfner.exports import graph as graph_module
from tfner.exports.graph import best_labels, signatures
from tfner.labels import CONLL_LABELS, CONLL_TYPES, LabelSet
from tfner.modeling import decoding
from tfner.modeling.calibration import UNCALIBRATED, Calibration
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.rows import RowEncoder
from tfner.modeling.variants import ENCODER, build_model, logits_function
from tfner.tagging.tagger import Head, RowTagger

TEXTS = [
    "said Peter rejects said in call British lamb x y Blackburn",
    "Peter Blackburn said in Nice to boycott British lamb.",
    "",
    " \t\n\u3000",
    "EU  rejects\u00a0German 👍🏽 call, Ünal's cafe\u0301 [SEP] [MASK] ## 東京 " + "s" * 101,
    "unbelievable Unice " * 40,
    "القاهرة \u202eNice\u202c \ufeffx\0y",
]
CORE = """AddV2 All Any ArgMax Assert AssignVariableOp BatchMatMulV2 BiasAdd Bitcast BroadcastTo Cast ConcatV2 Const Cumsum
DenseBincount DisableCopyOnRead Equal Erf ExpandDims Fill FloorDiv FloorMod GatherNd GatherV2 Greater GreaterEqual
Identity IdentityN If InvertPermutation Less LessEqual Log LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean
MergeV2Checkpoints Minimum Mul Neg NoOp NotEqual Pack Placeholder Prod RaggedTensorToTensor Range ReadVariableOp
RealDiv Relu Reshape ResourceGather RestoreV2 ReverseV2 Round Rsqrt SaveV2 ScatterNd SegmentMax SegmentMean Select
SelectV2 Shape ShardedFilename Size Softmax Square SquaredDifference Squeeze StatefulPartitionedCall StatelessWhile
StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StringJoin StringLength StringSplitV2 Sub Sum
TensorListConcatV2 TensorListGetItem TensorListLength TensorListReserve TensorListSetItem TensorScatterUpdate Tile
TopKV2 Transpose UnicodeDecode UnicodeEncode UnicodeTranscode Unique UnsortedSegmentJoin UpperBound VarHandleOp
Where While ZerosLike""".split()
TEXT_OPS = ["RegexSplitWithOffsets", "FastWordpieceTokenizeWithOffsets"]  # TF Serving 2.16 to 2.20 links them


class PiecesTagger(RowTagger):
    """Tags in Python with the signature `pieces`."""

    def __init__(self, pieces, heads, config):
        super().__init__(heads, config, "pieces")
        self.pieces = pieces

    def probabilities(self, input_ids, attention_mask):
        (values,) = self.pieces(tf.constant(input_ids), tf.constant(attention_mask)).values()
        return values.numpy()


def model_of(
    folder,
    labels=CONLL_LABELS,
    max_pieces=24,
    variant="finetune",
    scatter=True,
    context="sentence",
    calibration=UNCALIBRATED,
    **settings,
):
    """The signatures of an untrained model, the tagger that does the same in Python, why signatures are missing, the logits."""
    model = build_model(variant, str(folder), len(labels), make_config("standard"))
    if scatter:
        tiny.scatter(model, 5)
    ids, mask = tiny.random_inputs([20] * 20, len(tiny.PIECES))
    mean = model.predict({"input_ids": ids, "attention_mask": mask}, verbose=0).mean((0, 1))
    bias = model.get_layer("classifier").bias
    bias.assign(bias - mean)  # now all labels occur
    logits = logits_function(model)
    row_encoder = RowEncoder(load_tokenizer(str(folder)), labels, max_pieces=max_pieces, context=context)
    encoder = model.get_layer(ENCODER).config
    config = make_config("standard", **settings)
    heads = {"ner": Head(row_encoder, calibration)}
    functions, missing = signatures(logits, heads, config, encoder.vocab_size, encoder.max_position_embeddings)
    tagger = PiecesTagger(functions[PIECES.name], heads, config)
    return functions, tagger, missing, logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.model_folder(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture(scope="module")
def built(folder):
    return model_of(folder)


@pytest.fixture(scope="module")
def saved(built, tmp_path_factory):
    functions, _, _, logits = built
    module = tf.Module()
    module.weights = logits.get_concrete_function().variables
    target = tmp_path_factory.mktemp("saved") / "1"
    tf.saved_model.save(module, str(target), signatures=functions)
    return target


def run(function, name, values):
    return {key: value.numpy() for key, value in function(**{name: tf.constant(values, tf.string)}).items()}


def entities(out):
    """The entities of each text from the graph, in the form of `facts`."""
    names = ("type", "text", "start", "end", "first_word", "end_word", "accepted")
    return [
        (
            [tuple(_plain(out[f"entity_{name}"][i, j]) for name in names) for j in range(out["entity_count"][i])],
            out["entity_score"][i, : out["entity_count"][i]],
        )
        for i in range(len(out["entity_count"]))
    ]


def _plain(value):
    return value.decode() if isinstance(value, bytes) else value.item()


def facts(found):
    found = list(found)
    return [(e.type, e.text, e.start, e.end, e.first_word, e.end_word, e.accepted) for e in found], [e.score for e in found]


def check(built, texts):
    """Checks that graph and Python agree on texts, and that offsets slice them."""
    functions, tagger, *_ = built
    out = run(functions["serving_default"], "text", texts)
    for text, found, (own, scores), i in zip(texts, tagger.tag_many(texts), entities(out), range(len(texts)), strict=True):
        expected, expected_scores = facts(found)
        text = text.replace("\0", "\ufffd")
        assert own == [(kind, part.replace("\0", "\ufffd"), *offsets) for kind, part, *offsets in expected]
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
        assert all(text[start:end] == part for _, part, start, end, *_ in own)
        words, n = split_words(text), out["word_count"][i]
        assert n == len(words)
        assert list(zip(out["word_start"][i, :n].tolist(), out["word_end"][i, :n].tolist(), strict=True)) == words
        assert [word.decode() for word in out["word_text"][i, :n]] == [text[a:b] for a, b in words]
        assert not out["word_end"][i, n:].any() and not any(out["word_text"][i, n:])
    for name, values in out.items():
        assert len(values) == len(texts), name
        assert values.ndim == (1 if name.endswith("_count") else 2), name


def test_texts_give_the_entities_of_the_python_path(built):
    check(built, TEXTS)
    out = run(built[0]["serving_default"], "text", TEXTS)
    assert out["entity_count"].sum() > 20 and (out["entity_end_word"] - out["entity_first_word"]).max() > 1


def test_a_text_alone_gives_the_entities_that_it_gives_in_a_batch(built):
    for text in TEXTS:
        check(built, [text])


ENDINGS = st.lists(
    st.sampled_from(
        [*"..!?xy\u3002\"')]", "Peter", "said", "Nice", "lamb", "U.S.", "Gen", "12", *" \n\r", "\n\n", "\u200b", "s" * 50]
    ),
    max_size=30,
).map("".join)
DIVIDED = [
    *TEXTS,
    'Peter said no. Blackburn (in Nice.) said so." Nice\nBlackburn\r\n\r\nlamb.\u2028EU',
    'said ``Nice.\'\' EU. lamb... Peter! Nice? "EU." " German\n \n call.\'") x.\ny U.S. Nice',
    ". . Nice .\u200b. \u200b. Peter " + "s" * 60 + ". Nice. " + "Peter Blackburn said. " * 30,
    '1. Nice 12. Peter 13. 14. Gen. Nice. 5. lamb 5.\n6. said Sen . Peter 7.") Nice',
    "東京。次。」『です！？Nice ।Peter । Nice",
]


def check_random(built):
    """Checks that graph and Python agree on random texts of sentences."""

    @settings(deadline=None, max_examples=60)
    @given(st.lists(ENDINGS, min_size=1, max_size=4))
    def random(texts):
        check(built, texts)

    random()


@pytest.mark.parametrize("context", ["sentence", "document"])
@pytest.mark.parametrize("sentences", SENTENCES)
def test_texts_are_divided_into_sentences_as_in_python(folder, sentences, context):
    divided = model_of(folder, sentences=sentences, context=context)
    check(divided, DIVIDED)
    for text in DIVIDED:
        check(divided, [text])
    check(divided, [])
    check_random(divided)


def test_tags_that_obey_iob2_are_those_of_the_python_path(folder, built):
    obeying, greedy = built, model_of(folder, decode="greedy")
    check(greedy, TEXTS)
    sentences = [Sentence(tuple(text.split()), ()) for text in TEXTS]
    changed = [a.tags != b.tags for a, b in zip(obeying[1].predict(sentences), greedy[1].predict(sentences), strict=True)]
    assert any(changed) and not all(changed)
    for texts in (TEXTS, TEXTS[:1], []):
        check(obeying, texts)
    check_random(obeying)


def test_temperature_and_thresholds_are_those_of_the_python_path(folder, built):
    plain = run(built[0]["serving_default"], "text", TEXTS)
    assert plain["entity_accepted"].sum() == plain["entity_count"].sum()
    thresholds = dict.fromkeys(CONLL_TYPES, 0.0) | {plain["entity_type"][0, 0].decode(): None}
    calibrated = model_of(folder, calibration=Calibration(1.7, thresholds))
    check(calibrated, TEXTS)
    out = run(calibrated[0]["serving_default"], "text", TEXTS)
    for kinds, accepted, count in zip(out["entity_type"], out["entity_accepted"], out["entity_count"], strict=True):
        assert accepted[:count].tolist() == [thresholds[kind.decode()] is not None for kind in kinds[:count]]
    before, after = (np.concatenate([scores for _, scores in entities(one)]) for one in (plain, out))
    assert len(before) and (len(before) != len(after) or (after < before - 0.01).any())
    ids, mask = tiny.random_inputs([9, 4], len(tiny.PIECES))
    (one,), (other,) = (
        functions[0][PIECES.name](tf.constant(ids), tf.constant(mask)).values() for functions in (built, calibrated)
    )
    logs = np.log(one.numpy()) / 1.7
    np.testing.assert_allclose(other, np.exp(logs) / np.exp(logs).sum(-1, keepdims=True), atol=1e-5)
    words = [tuple(TEXTS[0].split()), ("", *TEXTS[0].split()[1:])]
    found = run(calibrated[0]["words"], "words", words)["accepted"]
    for row, accepted in zip(words, found, strict=True):
        expected = np.ones(len(row), bool)
        for entity in calibrated[1].tag_words(row):
            expected[entity.first_word : entity.end_word] = entity.accepted
        assert accepted.tolist() == expected.tolist()
    assert found.any() and not found.all()


def test_the_best_paths_of_the_graph_are_those_of_python(built):
    row_encoder = built[1].row_encoder
    graph = graph_module.TextGraph(built[3], row_encoder, make_config("standard", decode="viterbi"))
    generator = np.random.default_rng(0)
    lengths = generator.integers(0, 12, 300)
    sharp = generator.dirichlet(np.full(9, 0.2), lengths.sum()).astype(np.float32)
    ties = generator.integers(0, 3, (lengths.sum(), 9)).astype(np.float32) / 9
    splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    for values in (sharp, ties):
        best = best_labels(tf.constant(values))
        found = graph._obeying(tf.constant(values), best, tf.constant(splits), tf.constant(np.repeat(np.arange(300), lengths)))
        expected = [best.numpy()[a:b] for a, b in pairwise(splits)]
        for i in decoding.illegal(expected, graph.legal):
            expected[i] = decoding.best_path(values[splits[i] : splits[i + 1]], graph.legal)
        assert found.numpy().tolist() == np.concatenate(expected).tolist()
        assert (found.numpy() != best.numpy()).sum() > 100


def test_no_texts_give_empty_outputs(built):
    check(built, [])
    assert run(built[0]["words"], "words", np.zeros((2, 0), object))["label"].shape == (2, 0)


HARD = st.text("xysS .,'-#[]()\u0301\u200b\u200d\ufe0f\u202e👍🏽👩東ńقहि\x00\x07\n\u00a0SEPMASK", max_size=60)


@settings(deadline=None, max_examples=150)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])) | HARD, min_size=1, max_size=8))
def test_random_texts_give_the_entities_of_the_python_path(built, texts):
    check(built, texts)


def test_a_long_text_is_not_cut(built):
    text = " ".join(tiny.WORDS * 1000)  # about 90 kB, hundreds of windows
    check(built, [text, "Peter Blackburn", text[:1000]])


def test_the_number_of_pieces_per_step_changes_nothing(folder, built, monkeypatch):
    monkeypatch.setattr(graph_module, "PIECES_PER_STEP", 40)
    check((model_of(folder)[0], built[1]), TEXTS)


def test_split_words_get_the_labels_of_the_python_path(built):
    functions, tagger, *_ = built
    sentences = [
        ("Peter", "Blackburn", "said", ".", "", ""),
        ("[SEP]", "", "s" * 101, "New York", "\u200b", "東京"),
        ("x", "un" + "s" * 60, "y", "##", "la", ""),
        ("",) * 6,
    ]
    out = run(functions["words"], "words", sentences)
    for i, tagged in enumerate(tagger.predict([Sentence(words, ()) for words in sentences])):
        assert [label.decode() for label in out["label"][i]] == tagged.tags
        np.testing.assert_allclose(out["score"][i], tagged.probabilities, atol=1e-5)


def test_padding_with_empty_words_changes_nothing(built):
    words = ["Peter", "rejects", "Nice"]
    alone = run(built[0]["words"], "words", [words])
    filled = run(built[0]["words"], "words", [words + [""] * 30, tiny.WORDS + [""] * (33 - len(tiny.WORDS))])
    assert filled["label"][0, :3].tolist() == alone["label"][0].tolist()
    np.testing.assert_allclose(filled["score"][0, :3], alone["score"][0], atol=1e-5)


def test_bytes_that_are_not_utf8_are_read_as_replacement_characters(built):
    raw = b"Peter \xff\xfe Nice \xc3"
    out = run(built[0]["serving_default"], "text", [raw])
    text = raw.decode("utf-8", "replace")
    assert [word.decode() for word in out["word_text"][0]] == [text[a:b] for a, b in split_words(text)]


def test_with_plain_labels_every_word_is_an_entity(folder):
    plain = model_of(folder, LabelSet(("NN", "VB", ".", "X"), plain=True))
    check(plain, TEXTS)
    out = run(plain[0]["serving_default"], "text", TEXTS)
    assert out["entity_count"].tolist() == out["word_count"].tolist()
    out = run(plain[0]["words"], "words", [["Peter", "\u200b", ""]])  # the last two have no pieces
    assert out["accepted"].tolist() == [[True, False, False]]
    assert out["label"][0, 1:].tolist() == [b"X", b"X"] and out["score"][0, 1:].tolist() == [0, 0]


def test_a_tokenizer_other_than_wordpiece_gives_the_signature_of_pieces_alone(tmp_path):
    functions, _, missing, _ = model_of(tiny.model_folder(tmp_path, "roberta"))
    assert list(functions) == [PIECES.name]
    assert "BPE" in missing


def operations(graph):
    """The names of all operations of a graph and its functions."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def test_a_saved_model_uses_only_operations_that_tf_serving_has(saved):
    from tensorflow.core.protobuf import saved_model_pb2

    used = set()
    for meta in saved_model_pb2.SavedModel.FromString((saved / "saved_model.pb").read_bytes()).meta_graphs:
        used |= operations(meta.graph_def)
    assert used - {*CORE, *TEXT_OPS} == set()
    assert used >= set(TEXT_OPS)


def test_a_saved_model_needs_no_xla_which_tf_serving_lacks_on_processors(saved):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = SavedModel.FromString((saved / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    parts = [*graph.node, *graph.library.function, *(node for one in graph.library.function for node in one.node_def)]
    assert len(parts) > 500
    assert not [part for part in parts if part.attr["_XlaMustCompile"].b]


@pytest.mark.parametrize(
    ("kind", "variant", "context", "decode"),
    [
        ("bert", "head", "sentence", "viterbi"),
        ("distilbert", "replace", "document", "greedy"),
        ("electra", "finetune", "sentence", "greedy"),
    ],
)
def test_every_wordpiece_encoder_uses_only_operations_that_tf_serving_has(tmp_path, kind, variant, context, decode):
    functions = model_of(tiny.model_folder(tmp_path, kind), variant=variant, context=context, decode=decode)[0]
    for function in functions.values():
        assert operations(function.get_concrete_function().graph.as_graph_def()) - {*CORE, *TEXT_OPS} == set()


@pytest.mark.slow
def test_a_program_without_python_tags_as_python_does(built, saved, tmp_path):
    compiler = which("cc") or which("gcc")
    if not compiler:
        pytest.skip("no C compiler")
    program, home = tmp_path / "tag", Path(tf.__file__).parent
    if not (home / "libtensorflow_cc.so.2").exists():
        pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
    libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{home}"]
    source = Path(__file__).parents[1] / "support" / "native" / "tag.c"
    flags = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", f"-I{home / 'include'}"]
    subprocess.run([compiler, *flags, str(source), "-o", str(program), f"-L{home}", *libraries], check=True)
    operations = Path(tensorflow_text.__file__).parent / "python" / "ops"
    operations = [str(operations / f"_{name}.so") for name in ("regex_split_ops", "fast_wordpiece_tokenizer")]
    texts = [text for text in TEXTS if not re.search("[\n\0]", text)]
    lines = "".join(f"{text}\n" for text in texts)
    result = subprocess.run(
        [str(program), str(saved), *operations], input=lines, capture_output=True, text=True, encoding="utf-8", check=True
    )
    found = [line.split("\t") for line in result.stdout.split("\n") if line]
    expected = [(i, e) for i, text in enumerate(built[1].tag_many(texts)) for e in text]
    assert len(found) == len(expected) > 20
    for (number, kind, start, end, score, text), (i, entity) in zip(found, expected, strict=True):
        assert (int(number), kind, int(start), int(end), text) == (i, entity.type, entity.start, entity.end, entity.text)
        assert abs(float(score) - entity.score) < 1e-5


def test_a_wordpiece_tokenizer_gives_the_signatures_of_the_contract_in_order(built):
    assert list(built[0]) == [signature.name for signature in SIGNATURES]


def test_the_graph_chooses_labels_as_python_does_the_first_of_equal_values():
    distinct = np.random.default_rng(0).normal(size=(200, 9)).astype(np.float32)
    ties = np.random.default_rng(1).integers(0, 3, (200, 9)).astype(np.float32)
    assert ((ties == ties.max(-1, keepdims=True)).sum(-1) > 1).sum() > 100
    for values in (distinct, ties, np.zeros((1, 9), np.float32)):
        assert best_labels(tf.constant(values)).numpy().tolist() == decoding.best_labels(values).tolist()


@pytest.fixture(scope="module")
def real(assets):
    """A 6-layer encoder with pretrained weights."""
    return model_of(assets / "models" / "minilm-l6-h384-uncased", max_pieces=128, scatter=False, decode="viterbi")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conll2003", "wnut17"])
def test_sentences_of_real_corpora_get_the_entities_of_the_python_path(assets, real, name):
    sentences = load_corpus(assets / "data" / name).splits["test"][:1000]
    check(real, [" ".join(s.words) for s in sentences])
