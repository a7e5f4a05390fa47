"""What tests of rows, windows and decoding share: the study's sentences, and what holds for every encoding."""

from __future__ import annotations

import numpy as np

from support import tiny
from tfner.corpus import Sentence
from tfner.labels import IGNORED_LABEL
from tfner.modeling.decoding import decode
from tfner.modeling.rows import SPECIAL, Row

EU = Sentence(
    tuple(tiny.WORDS[:9]),
    ("B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O"),
    document=0,
)
PETER = Sentence(("Peter", "Blackburn"), ("B-PER", "I-PER"), document=0)


def numbered_row(length: int, number: int) -> Row:
    """A row whose ids encode its number and the position, so that a swap is noticed."""
    ids = np.arange(length, dtype=np.int32) + 1000 * (number + 1)
    labels = np.arange(length, dtype=np.int32) % 7
    return Row(ids, labels, np.zeros(length, np.int32), np.arange(length, dtype=np.int32), np.ones(length, bool))


LENGTHS = [5, 3, 9, 3, 12, 1, 7, 7, 2, 4, 6]
ROWS = [numbered_row(length, i) for i, length in enumerate(LENGTHS)]


def numbers(row):
    """The numbers of the sentences in a row."""
    return sorted(set(row.sentences.tolist()) - {SPECIAL})


def decoded_tags(encoder, encoded):
    """The tags that `decode` returns for a model that predicts the label of every piece, and the last label elsewhere."""
    one_hot = np.eye(len(encoder.labels), dtype=np.float32)
    values = [one_hot[np.where(row.labels == IGNORED_LABEL, len(one_hot) - 1, row.labels)] for row in encoded.rows]
    return [tagged.tags for tagged in decode(encoder, encoded, values)]


def check_invariants(encoder, sentences, encoded):
    """Checks what holds for every encoding, piece by piece, against the pieces that each word has on its own."""
    pieces = {}  # of every word that occurs

    def alone(word):
        if word not in pieces:
            options = {"is_split_into_words": True, "add_special_tokens": False, "split_special_tokens": True}
            ids = encoder.tokenizer([word], **options)["input_ids"]
            pieces[word] = ids
        return pieces[word]

    spoken, labelled, cut = {}, {}, 0
    for row in encoded.rows:
        assert len(row) <= encoder.max_pieces
        assert row.speaks.any(), "a row that is used for no word is wasted"
        special = row.words == SPECIAL
        assert (special == (row.sentences == SPECIAL)).all()
        assert special[0] and special[-1]
        assert (row.labels[special] == IGNORED_LABEL).all()
        assert not row.speaks[special].any()
        keys = list(zip(row.sentences.tolist(), row.words.tolist(), strict=True))
        for key in dict.fromkeys(keys):
            if key[0] == SPECIAL:
                continue
            at = [i for i, other in enumerate(keys) if other == key]
            assert at == list(range(at[0], at[-1] + 1))
            sentence = sentences[key[0]]
            whole = alone(sentence.words[key[1]])
            assert not row.speaks[at[1:]].any()
            if row.speaks[at[0]]:  # a word of another window may be cut at the edge of this one
                assert row.ids[at].tolist() == whole[: len(at)]
                cut += len(at) < len(whole)
                assert len(at) == len(whole) or len(row) == encoder.max_pieces
                spoken[key] = spoken.get(key, 0) + 1
            if (row.labels[at] != IGNORED_LABEL).any():
                labelled[key] = labelled.get(key, 0) + 1
                assert row.speaks[at[0]]
                tag = sentence.tags[key[1]]
                rest = "I" + tag[1:] if tag.startswith("B-") and not encoder.labels.plain else tag
                later = encoder.labels.ids[rest] if encoder.label_pieces == "all" else IGNORED_LABEL
                assert row.labels[at].tolist() == [encoder.labels.ids[tag]] + [later] * (len(at) - 1)
    expected = {(s, w): 1 for s, sentence in enumerate(sentences) for w, word in enumerate(sentence.words) if alone(word)}
    assert spoken == expected
    assert labelled == {key: 1 for key in expected if sentences[key[0]].tags}
    words = sum(len(s.words) for s in sentences)
    assert encoded.lengths == tuple(len(s.words) for s in sentences)
    report = encoded.report
    assert (report.sentences, report.words, report.rows) == (len(sentences), words, len(encoded.rows))
    assert report.pieces == sum(len(row) for row in encoded.rows)
    assert report.words_without_pieces == words - len(expected)
    assert report.cut_words == cut
