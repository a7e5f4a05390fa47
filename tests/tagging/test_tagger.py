"""What all taggers share: how inputs become entities, with a model that is a simple rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.errors import refused

from tfner.config import make_config
from tfner.corpus import Sentence
from tfner.labels import LabelSet
from tfner.modeling.calibration import Calibration
from tfner.modeling.rows import make_row_encoder
from tfner.tagging.tagger import Head, RowTagger, Tagger, joined_offsets, utf8_size

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
RULE = {"Peter": "B-PER", "Blackburn": "I-PER", "Nice": "B-LOC"}


class ByRule(RowTagger):
    """Gives each piece the label of `RULE`, with a probability of 0.75, and counts its calls."""

    calls = 0

    def probabilities(self, input_ids, attention_mask):
        self.calls += 1
        pieces = [self.row_encoder.tokenizer.convert_ids_to_tokens(row) for row in input_ids.tolist()]
        names = self.labels.names
        labels = np.array([[names.index(RULE.get(piece, names[0])) for piece in row] for row in pieces])
        return np.where(np.arange(len(names)) == labels[..., None], 0.75, 0.25 / (len(names) - 1)).astype(np.float32)


def make_tagger(tokenizer, labels=None):
    config = make_config("standard", decode="greedy")
    row_encoder = make_row_encoder(tokenizer, labels or LabelSet(LABELS), config, 12)
    return ByRule({"ner": Head(row_encoder)}, config, "the rule")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from support import tiny

    return tiny.wordpiece_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tagger(tokenizer):
    return make_tagger(tokenizer)


def test_tagger_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Tagger()


def test_an_entity_has_its_text_offsets_words_and_score(tagger):
    (person, place) = tagger.tag(" 😀 Peter  Blackburn said in Nice.")
    assert (person.type, person.text, person.start, person.end) == ("PER", "Peter  Blackburn", 3, 19)
    assert (person.first_word, person.end_word, person.score) == (1, 3, pytest.approx(0.75))
    assert (place.type, place.text, place.start, place.end, place.first_word, place.end_word) == ("LOC", "Nice", 28, 32, 5, 6)


def test_thresholds_of_another_decoder_are_pointed_out(tokenizer):
    tagger = make_tagger(tokenizer)
    head = Head(tagger.row_encoder, Calibration(1.0, {"PER": 0.5}, 0.95))
    tagger = ByRule({"ner": head}, tagger.config, "the rule")
    assert tagger.warnings() == []
    tagger.decode = "viterbi"
    assert tagger.warnings() == [
        "the thresholds were found for greedy tags, so the precision of accepted viterbi ones may be lower; "
        "python -m tfner.export with --decode viterbi --min-precision 0.95 finds others"
    ]


def test_a_text_is_divided_into_sentences_whose_offsets_are_those_of_the_text(tagger):
    text = "said Peter. Blackburn\nsaid Nice\n\nNice"
    assert [(e.type, e.text, e.start) for e in tagger.tag(text)] == [
        ("PER", "Peter", 5), ("PER", "Blackburn", 12), ("LOC", "Nice", 27), ("LOC", "Nice", 33),
    ]  # fmt: skip
    assert tagger.report.sentences == 3
    tagger.sentences = "none"
    assert [e.first_word for e in tagger.tag(text)] == [1, 3, 5, 6]


def test_the_sentences_of_a_text_share_rows_where_the_model_knows_documents(tokenizer):
    config = make_config(context="document")
    tagger = ByRule({"ner": Head(make_row_encoder(tokenizer, LabelSet(LABELS), config, 12))}, config, "the rule")
    found = list(tagger.tag_many(["Peter said. Nice. EU", "Nice. Peter", ["Nice"], ["Peter"]]))
    assert [[e.text for e in entities] for entities in found] == [["Peter", "Nice"], ["Nice", "Peter"], ["Nice"], ["Peter"]]
    assert (tagger.report.sentences, tagger.report.rows) == (7, 4)


def test_offsets_of_split_words_count_characters_of_the_joined_text(tagger):
    words = ["", "Peter", "\u200b", "said", "Nice"]
    found = tagger.tag_words(words)
    text = " ".join(words)
    assert [(text[e.start : e.end], e.first_word) for e in found] == [("Peter", 1), ("Nice", 4)]


def test_plain_labels_make_every_word_an_entity(tokenizer):
    tagger = make_tagger(tokenizer, LabelSet(("X", "B-PER", "I-PER", "B-LOC"), plain=True))
    assert [(e.type, e.text) for e in tagger.tag("Peter said.")] == [("B-PER", "Peter"), ("X", "said"), ("X", ".")]


def test_empty_inputs_have_no_entities(tagger):
    assert list(tagger.tag_many(["", [], " \n", [""]])) == [[]] * 4
    assert list(tagger.tag_many([])) == []
    assert tagger.predict([]) == []


def test_inputs_are_read_by_the_chunk(tagger):
    read = []

    def inputs():
        for i in range(10):
            read.append(i)
            yield "Peter"

    results = tagger.tag_many(inputs(), chunk=4)
    next(results)
    assert len(read) == 4
    assert len(list(results)) == 9


ITEMS = st.lists(st.one_of(st.sampled_from(["Peter said", "", "in Nice Nice"]), st.lists(st.sampled_from([*RULE, "said"]))))


@settings(max_examples=30, deadline=None)
@given(items=ITEMS, chunk=st.integers(1, 5))
def test_each_input_gets_what_it_gets_alone(tokenizer, items, chunk):
    tagger = make_tagger(tokenizer)
    alone = [tagger.tag(item) if isinstance(item, str) else tagger.tag_words(item) for item in items]
    assert list(tagger.tag_many(items, chunk)) == alone


def test_own_tags_of_sentences_are_not_used(tagger):
    (one,), (other,) = (tagger.predict([Sentence(("Peter", "said"), tags)]) for tags in (("B-LOC", "B-LOC"), ()))
    assert one.tags == other.tags == ["B-PER", "O"]


def test_progress_wraps_the_batches(tagger):
    seen = []
    tagger.predict([Sentence(("Peter",), ())] * 3, lambda batches: [seen.append(batch) or batch for batch in batches])
    assert len(seen) == tagger.calls > 0


def test_losses_are_reported(tagger):
    assert tagger.warnings() == []
    tagger.tag_words(["\u200b", "Peter"])
    assert len(tagger.warnings()) == 1


@pytest.mark.parametrize(
    ("item", "key"),
    [(None, "input_none"), (b"EU", "input_bytes"), (3, "input_number"), (["EU", None], "input_words_with_none")],
)
def test_an_input_that_is_neither_text_nor_words_is_refused(tagger, item, key):
    with refused(key):
        list(tagger.tag_many(["EU", item]))
    assert tagger.calls == 0


def test_one_string_as_words_is_refused(tagger):
    with refused("words_are_one_string"):
        tagger.tag_words("EU rejects")


def test_half_of_a_surrogate_pair_is_refused(tagger):
    with refused("half_of_a_surrogate_pair"):
        tagger.tag("EU \ud83d rejects")
    with refused("half_of_a_surrogate_pair_in_words"):
        tagger.tag_words(["EU", "\ud83d"])


def test_a_tagger_closes_at_the_end_of_its_context_and_then_raises(tagger):
    with tagger as same:
        assert same is tagger
        assert not tagger.closed
    assert tagger.closed
    with refused("tagger_by_rule_closed", path="the rule"):
        tagger.tag("EU")
    tagger.close()


def test_joined_offsets_slice_the_joined_text():
    words = ["a", "", "bc", "😀d"]
    text = " ".join(words)
    assert [text[a:b] for a, b in joined_offsets(words)] == words


def test_utf8_size_counts_bytes_and_spaces():
    assert utf8_size("é😀") == 6
    assert utf8_size(["é", "x"]) == 4
    assert utf8_size([]) == 0
