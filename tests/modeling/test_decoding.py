import numpy as np
import pytest
from support.encoding import EU, PETER, decoded_tags
from support.errors import refused

from tfner.config import DECODERS
from tfner.corpus import Sentence
from tfner.labels import CONLL_LABELS, Entity, LabelSet, spans
from tfner.modeling.decoding import Tagged, best_labels, best_path, decode, join, legal_transitions
from tfner.modeling.rows import RowEncoder

UNSEEN = Sentence(("Peter", "", "Blackburn"), ())


@pytest.fixture(scope="module")
def row_encoder(wordpiece):
    return RowEncoder(wordpiece, CONLL_LABELS)


def random_values(encoded, labels=9, seed=0):
    """Probabilities for every piece of every row, all different."""
    generator = np.random.default_rng(seed)
    return [generator.dirichlet(np.ones(labels), len(row)).astype(np.float32) for row in encoded.rows]


# Values to tags


def test_the_label_of_a_word_is_the_one_with_the_highest_value():
    assert best_labels(np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])).tolist() == [1, 0]


def test_of_equal_values_the_first_label_is_taken():
    assert best_labels(np.array([[0.2, 0.4, 0.4]])).tolist() == [1]


def test_every_word_gets_the_best_label_and_the_probability_of_its_first_piece(row_encoder):
    sentences = [Sentence(("lamb", "x"), ()), Sentence(("unbelievables", "y", "lamb"), ())]
    encoded = row_encoder.encode(sentences)
    values = random_values(encoded)
    for tagged, row_values, firsts in zip(decode(row_encoder, encoded, values), values, ([1, 3], [1, 5, 6]), strict=True):
        assert tagged.tags == [CONLL_LABELS.names[row_values[i].argmax()] for i in firsts]
        assert tagged.probabilities.tolist() == [row_values[i].max() for i in firsts]
        assert tagged.probabilities.dtype == np.float32


@pytest.mark.parametrize("types", range(1, 6))
def test_the_best_path_is_the_best_of_all_that_are_iob2(types):
    labels = LabelSet.from_types("ABCDE"[:types])
    generator = np.random.default_rng(types)

    def may_follow(before, tag):  # by the rules of `spans`, which know nothing of transitions
        tags = [*before, tag]
        return spans(tags) == spans(tags, strict=True)

    histories = [[f"B-{tag[2:]}", tag] if tag[0] == "I" else [tag] for tag in labels.names]
    rules = np.array([[may_follow(before, tag) for tag in labels.names] for before in [*histories, []]])
    assert (legal_transitions(labels) == rules).all()
    for words in range(1, 7):
        paths = np.indices([len(labels)] * words, np.int8).reshape(words, -1)
        before = np.vstack([np.full(paths.shape[1], -1, np.int8), paths[:-1]])
        paths = paths[:, rules[before, paths].all(0)]
        for _ in range(5):
            values = generator.dirichlet(np.full(len(labels), 0.5), words).astype(np.float32)
            logs = np.log(values.astype(np.float64))
            products = sum(logs[i][path] for i, path in enumerate(paths))
            assert best_path(values, rules).tolist() == paths[:, products.argmax()].tolist()


def test_only_sentences_that_are_not_iob2_are_changed_and_all_of_them(row_encoder):
    sentences = [PETER, EU, Sentence((), ()), Sentence(("lamb", "said"), ()), UNSEEN] * 10
    encoded = row_encoder.encode(sentences)
    values = random_values(encoded)
    greedy, viterbi = (decode(row_encoder, encoded, values, how) for how in DECODERS)
    changed = 0
    for one, other in zip(greedy, viterbi, strict=True):
        assert spans(other.tags) == spans(other.tags, strict=True)
        obeyed = spans(one.tags) == spans(one.tags, strict=True)
        assert obeyed == (other.tags == one.tags)
        changed += not obeyed
    assert 10 < changed < 40


def test_no_path_of_random_sentences_breaks_iob2():
    labels = LabelSet.from_types("ABC")
    legal, generator = legal_transitions(labels), np.random.default_rng(0)
    for length in range(1, 11):
        for values in generator.dirichlet(np.full(len(labels), 0.3), (10_000, length)):
            path = best_path(values, legal)
            assert legal[[-1, *path[:-1]], path].all()


def test_tags_have_the_probabilities_of_the_model_whatever_chose_them(row_encoder):
    encoded = row_encoder.encode([PETER])
    (values,) = random_values(encoded)
    values[1:3] = np.eye(9, dtype=np.float32)[[0, 2]] * np.float32(0.8) + np.float32(0.02)
    values[1, 1] = np.float32(0.1)
    (tagged,) = decode(row_encoder, encoded, [values], "viterbi")
    assert tagged.tags == ["B-PER", "I-PER"]
    assert tagged.probabilities.tolist() == [values[1, 1], values[2, 2]]


def test_plain_labels_have_no_rules(wordpiece):
    row_encoder = RowEncoder(wordpiece, LabelSet(("ADJ", "NOUN", "VERB"), plain=True))
    encoded = row_encoder.encode([Sentence(PETER.words, ()), Sentence(EU.words, ())])
    values = random_values(encoded, 3)
    one, other = (decode(row_encoder, encoded, values, how) for how in DECODERS)
    assert [t.tags for t in one] == [t.tags for t in other]


def test_an_unknown_decoder_is_refused(row_encoder):
    with refused("decode_unknown", setting="decode"):
        decode(row_encoder, row_encoder.encode([]), [], "beam")


def test_values_of_padding_are_not_used(row_encoder):
    encoded = row_encoder.encode([EU, PETER])
    values = random_values(encoded)
    padded = [np.concatenate([v, np.full((5, 9), 9, np.float32)]) for v in values]
    expected, found = (decode(row_encoder, encoded, v) for v in (values, padded))
    assert [t.tags for t in found] == [t.tags for t in expected]


def test_a_word_without_pieces_is_outside_with_probability_1(row_encoder):
    encoded = row_encoder.encode([UNSEEN])
    values = [np.eye(9, dtype=np.float32)[[0, 1, 2, 0]] * np.float32(0.5)]
    (tagged,) = decode(row_encoder, encoded, values)
    assert tagged.tags == ["B-PER", "O", "I-PER"] and tagged.probabilities.tolist() == [0.5, 1.0, 0.5]


def test_a_plain_word_without_pieces_gets_the_default_label(wordpiece):
    row_encoder = RowEncoder(wordpiece, LabelSet(("ADJ", "NOUN", "VERB"), plain=True))
    encoded = row_encoder.encode([UNSEEN])
    (tagged,) = decode(row_encoder, encoded, [np.eye(3, dtype=np.float32)[[1, 2, 2, 1]]])
    assert tagged.tags == ["VERB", row_encoder.labels.default, "VERB"]
    assert [e.accepted for e in tagged.entities("a b c", [(0, 1), (2, 3), (4, 5)], plain=True)] == [True, False, True]


def test_sentences_are_returned_in_order_with_and_without_rows(row_encoder):
    sentences = [PETER, Sentence((), ()), Sentence(("", ""), ("O", "O")), EU]
    assert decoded_tags(row_encoder, row_encoder.encode(sentences)) == [list(s.tags) for s in sentences]


def test_sentences_of_a_document_row_are_taken_apart(wordpiece):
    row_encoder = RowEncoder(wordpiece, CONLL_LABELS, context="document")
    encoded = row_encoder.encode([EU, PETER])
    assert len(encoded.rows) == 1 and decoded_tags(row_encoder, encoded) == [list(EU.tags), list(PETER.tags)]


def test_windows_of_a_sentence_are_joined(wordpiece):
    row_encoder = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=10)
    sentence = Sentence(EU.words * 4, EU.tags * 4)
    encoded = row_encoder.encode([sentence])
    assert len(encoded.rows) > 4 and decoded_tags(row_encoder, encoded) == [list(sentence.tags)]


def test_no_sentences_give_no_tags(row_encoder):
    assert decode(row_encoder, row_encoder.encode([]), []) == []


# Tags to entities


def test_entities_have_their_words_characters_and_mean_probability():
    text, offsets = "In  New York, Peter", [(0, 2), (4, 7), (8, 12), (12, 13), (14, 19)]
    tagged = Tagged(["O", "B-LOC", "I-LOC", "O", "B-PER"], np.array([1, 0.5, 0.75, 1, 0.25], np.float32))
    assert tagged.entities(text, offsets, plain=False) == [
        Entity("LOC", "New York", 4, 12, 0.625, 1, 3),
        Entity("PER", "Peter", 14, 19, 0.25, 4, 5),
    ]


def test_with_plain_labels_every_word_is_an_entity():
    tagged = Tagged(["NOUN", "NOUN", "VERB"], np.array([0.5, 0.25, 1], np.float32))
    assert tagged.entities("a bc d", [(0, 1), (2, 4), (5, 6)], plain=True) == [
        Entity("NOUN", "a", 0, 1, 0.5, 0, 1),
        Entity("NOUN", "bc", 2, 4, 0.25, 1, 2),
        Entity("VERB", "d", 5, 6, 1.0, 2, 3),
    ]


def test_no_entity_reaches_from_one_sentence_into_another():
    sentences = [
        Tagged(["O", "B-LOC"], np.array([1, 0.5], np.float32)),
        Tagged(["I-LOC", "O"], np.array([0.75, 1], np.float32)),
    ]
    text, offsets = "in Nice. York is", [(0, 2), (3, 7), (9, 13), (14, 16)]
    assert join(sentences).entities(text, offsets, plain=False) == [
        Entity("LOC", "Nice", 3, 7, 0.5, 1, 2),
        Entity("LOC", "York", 9, 13, 0.75, 2, 3),
    ]


def test_a_text_without_sentences_has_no_tags():
    joined = join([])
    assert (joined.tags, len(joined.probabilities), joined.entities("", [], plain=False)) == ([], 0, [])


def test_a_sentence_without_entities_has_none():
    assert Tagged(["O", "O"], np.ones(2, np.float32)).entities("a b", [(0, 1), (2, 3)], plain=False) == []
