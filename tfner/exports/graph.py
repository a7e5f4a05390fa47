"""Raw text in, entities out, as one TensorFlow graph: what `Tagger` does in Python, done by operations that TF Serving has.

In goes a function from piece ids to logits, with its `RowEncoder`; out come the signatures of a SavedModel. The rules are those
of `words` (the same expression), `wordpiece` (the tokenizer's own), `encoding` (windows) and `labels.spans`.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_text as tf_text

from tfner.data.words import PATTERN, SPACE
from tfner.exports.wordpiece import WordPiece, unsupported
from tfner.labels import split_tag
from tfner.modeling.rows import RowEncoder
from tfner.modeling.windows import overlap_and_stride

PIECES_PER_STEP = 512
"""Pieces, padding included, that go through the encoder together; bounds the memory, and little of it is padding where requests
are small. Of 384, 512 and 1024, a 6-layer encoder tagged 3,300, 3,700 and 3,300 words a second in requests of 64 texts on 2 CPU
cores, 4,300, 5,200 and 5,000 with all texts in one; larger runs suit a GPU."""

_OUTSIDE = -1  # entity type of a word that is in none


def signatures(logits: Callable, row_encoder: RowEncoder) -> tuple[dict[str, Callable], str | None]:
    """The signatures that a model can have.

    Args:
        logits: from `input_ids` and `attention_mask`, int32 (batch, length), to float32 (batch, length, labels).
        row_encoder: tokenizer, label set and row length.

    Returns:
        The signatures by name: `pieces`, and `serving_default` and `words` for a WordPiece tokenizer; and why those two
        are missing, or None.
    """
    array = tf.TensorSpec((None, None), tf.int32)

    @tf.function(
        input_signature=[
            tf.TensorSpec(array.shape, array.dtype, "input_ids"),
            tf.TensorSpec(array.shape, array.dtype, "attention_mask"),
        ]
    )
    def pieces(input_ids, attention_mask):
        return {"probabilities": tf.nn.softmax(logits(input_ids, attention_mask))}

    reason = unsupported(row_encoder.tokenizer)
    if reason:
        return {"pieces": pieces}, reason
    graph = TextGraph(logits, row_encoder)
    text = tf.function(graph.tag_texts, input_signature=[tf.TensorSpec((None,), tf.string, "text")])
    words = tf.function(graph.tag_words, input_signature=[tf.TensorSpec((None, None), tf.string, "words")])
    return {"serving_default": text, "words": words, "pieces": pieces}, None


class TextGraph:
    """Builds the graph; its methods are traced, each call adds operations. Flat tensors hold all words of all texts in order,
    `splits` say where each text's begin and end."""

    def __init__(self, logits: Callable, row_encoder: RowEncoder):
        labels = row_encoder.labels
        self.logits, self.row_encoder = logits, row_encoder
        self.wordpiece = WordPiece(row_encoder.tokenizer)
        self.default = labels.ids[labels.default]
        self.names, self.types = tf.constant(labels.names), tf.constant(labels.types)
        parts = [("", name) if labels.plain else split_tag(name) for name in labels.names]
        self.type_ids = tf.constant([labels.types.index(t) if t else _OUTSIDE for _, t in parts])
        self.inside = tf.constant([prefix == "I" for prefix, _ in parts])
        # traced once, for both signatures
        self.tag = tf.function(self.tag, [tf.TensorSpec((None,), tf.string), tf.TensorSpec((None,), tf.int32)])

    def tag_texts(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Entities and words of texts, string (batch,); NUL and bytes that are no UTF-8 count as U+FFFD. All outputs are
        dense, padded to the longest text with 0 and empty strings; offsets are half-open and count characters or words."""
        tokens = _split(_valid(text))  # words and the white space between them
        lengths = tf.strings.length(tokens.values, "UTF8_CHAR")
        before = tf.concat([[0], tf.cumsum(lengths)], 0)
        token_text = tokens.value_rowids()
        ends = before[1:] - tf.gather(before, tf.gather(tokens.row_starts(), token_text))
        is_word = ~tf.strings.regex_full_match(tokens.values, f"[{SPACE}]+")
        words_before = tf.concat([[0], tf.cumsum(tf.cast(is_word, tf.int32))], 0)
        splits = tf.gather(words_before, tokens.row_splits)
        words, word_text = tf.boolean_mask(tokens.values, is_word), tf.boolean_mask(token_text, is_word)
        word_ends = tf.boolean_mask(ends, is_word)
        word_starts = word_ends - tf.boolean_mask(lengths, is_word)
        labels, scores = self.tag(words, splits)

        kinds = tf.gather(self.type_ids, labels)
        within = kinds != _OUTSIDE
        same = (word_text[1:] == word_text[:-1]) & (kinds[1:] == kinds[:-1])
        goes_on = within & tf.gather(self.inside, labels) & tf.concat([tf.zeros_like(within[:1]), same], 0)
        begins = within & ~goes_on
        entities_before = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int32))], 0)
        entity = entities_before[1:] - 1  # of each word, where it is in one
        number = entities_before[-1]
        first = tf.cast(tf.where(begins)[:, 0], tf.int32)
        member = tf.boolean_mask(entity, within)
        last = tf.math.segment_max(tf.cast(tf.where(within)[:, 0], tf.int32), member)
        # an entity's text is its words and the white space before all of them but the first
        next_word = words_before[:-1]
        part = tf.where(is_word, tf.gather(_and(within, False), next_word), tf.gather(_and(goes_on, False), next_word))
        part_of = tf.boolean_mask(tf.gather(_and(entity, 0), next_word), part)
        text_of = tf.strings.unsorted_segment_join(tf.boolean_mask(tokens.values, part), part_of, number)

        entity_splits = tf.gather(entities_before, splits)
        first_in_text = tf.gather(splits, tf.gather(word_text, first))
        entities = {
            "text": text_of,
            "type": tf.gather(self.types, tf.gather(kinds, first)),
            "score": tf.math.segment_mean(tf.boolean_mask(scores, within), member),
            "start": tf.gather(word_starts, first),
            "end": tf.gather(word_ends, last),
            "first_word": first - first_in_text,
            "end_word": last + 1 - first_in_text,
        }
        all_words = {
            "text": words,
            "label": tf.gather(self.names, labels),
            "score": scores,
            "start": word_starts,
            "end": word_ends,
        }
        return {
            "entity_count": entity_splits[1:] - entity_splits[:-1],
            **{f"entity_{name}": _dense(values, entity_splits) for name, values in entities.items()},
            "word_count": splits[1:] - splits[:-1],
            **{f"word_{name}": _dense(values, splits) for name, values in all_words.items()},
        }

    def tag_words(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """A label and its probability for each word, string (batch, words); an empty word is outside of everything."""
        shape = tf.shape(words)
        labels, scores = self.tag(_valid(tf.reshape(words, [-1])), tf.range(shape[0] + 1) * shape[1])
        return {"label": tf.reshape(tf.gather(self.names, labels), shape), "score": tf.reshape(scores, shape)}

    def tag(self, words: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Label ids, int32 (words,), and their probabilities, float32 (words,), of the words of several texts."""
        ids, piece_splits = self.wordpiece(words)
        visible = piece_splits[1:] > piece_splits[:-1]
        word_text = tf.repeat(tf.range(tf.size(splits) - 1), splits[1:] - splits[:-1])
        text = tf.boolean_mask(word_text, visible)
        text_splits = tf.gather(piece_splits, splits)
        start, end = tf.gather(text_splits, text), tf.gather(text_splits, text + 1)
        position = tf.boolean_mask(piece_splits[:-1], visible) - start  # of a word's first piece in its text
        room = self.row_encoder.room
        overlap, stride = overlap_and_stride(room)
        last = tf.maximum(0, -((room - (end - start)) // stride))
        window = tf.clip_by_value((position - overlap // 2) // stride, 0, last)
        changes = (text[1:] != text[:-1]) | (window[1:] != window[:-1])
        opens = tf.concat([tf.ones_like(text[:1], tf.bool), changes], 0)
        row = tf.cumsum(tf.cast(opens, tf.int32)) - 1
        row_starts = tf.boolean_mask(start + window * stride, opens)
        row_lengths = tf.minimum(room, tf.boolean_mask(end, opens) - row_starts)

        order = tf.argsort(row_lengths, direction="DESCENDING", stable=True)
        row_lengths = tf.gather(row_lengths, order)
        labels, scores = self._run(ids, tf.gather(row_starts, order), row_lengths)
        offsets = tf.gather(tf.cumsum(row_lengths, exclusive=True), tf.math.invert_permutation(order))
        at = tf.gather(offsets, row) + position - window * stride
        seen = tf.cast(tf.where(visible), tf.int32)
        labels = tf.tensor_scatter_nd_update(tf.fill(tf.shape(words), self.default), seen, tf.gather(labels, at))
        scores = tf.tensor_scatter_nd_update(tf.ones(tf.shape(words)), seen, tf.gather(scores, at))
        return labels, scores

    def _run(self, ids: tf.Tensor, starts: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Label id and probability of each piece of rows, given longest first as stretches of `ids`."""
        opening, closing = self.row_encoder.opening, self.row_encoder.closing
        special = len(opening) + len(closing)
        pool = tf.concat([ids, opening, closing, [self.row_encoder.pad_id]], 0)
        opening_at = tf.size(ids)
        closing_at, padding_at = opening_at + len(opening), opening_at + special

        def body(i, labels, scores):
            stop = tf.minimum(i + tf.maximum(1, PIECES_PER_STEP // (lengths[i] + special)), tf.size(lengths))
            start, length = starts[i:stop, None], lengths[i:stop, None]
            column = tf.range(lengths[i] + special)[None]
            piece = column - len(opening)
            source = tf.where(
                piece < 0,
                opening_at + column,
                tf.where(
                    piece < length,
                    start + piece,
                    tf.where(piece < length + len(closing), closing_at + piece - length, padding_at),
                ),
            )
            mask = tf.cast(piece < length + len(closing), tf.int32)
            probabilities = tf.nn.softmax(self.logits(tf.gather(pool, source), mask))
            own = (piece >= 0) & (piece < length)
            best = tf.boolean_mask(tf.argmax(probabilities, -1, tf.int32), own)
            score = tf.boolean_mask(tf.reduce_max(probabilities, -1), own)
            run = labels.size()
            return stop, labels.write(run, best), scores.write(run, score)

        empty = {"size": 0, "dynamic_size": True, "infer_shape": False, "element_shape": [None]}
        _, labels, scores = tf.while_loop(
            lambda i, *_: i < tf.size(lengths),
            body,
            (tf.constant(0), tf.TensorArray(tf.int32, **empty), tf.TensorArray(tf.float32, **empty)),
            parallel_iterations=1,  # bounds the memory
        )
        return labels.concat(), scores.concat()


def _valid(text: tf.Tensor) -> tf.Tensor:
    """Text as UTF-8 without NUL, at which RegexSplitWithOffsets stops reading: U+FFFD is cut and cleaned away as NUL is."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    return tf.strings.regex_replace(text, r"\x00", "\ufffd")


def _split(text: tf.Tensor) -> tf.RaggedTensor:
    """Words and stretches of white space: joined, they are the text again."""
    return tf_text.regex_split_with_offsets(text, f"{PATTERN}|[{SPACE}]+", "(?s:.)+")[0]


def _and(values: tf.Tensor, value) -> tf.Tensor:
    return tf.concat([values, [value]], 0)


def _dense(values: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor()
