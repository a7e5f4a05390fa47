"""The signatures of a SavedModel: what `RowTagger` does in Python, as one TensorFlow graph of operations that TF Serving has.

Takes a function from piece ids to logits and its `RowEncoder`, and returns the functions of `contract.SIGNATURES`. They follow
the rules of `data.words` (the same expression), the tokenizer (`wordpiece`), `modeling.windows` and `labels.spans`.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_text as tf_text

from tfner.contract import ENTITY_FIELDS, PIECES, TEXT, WORD_FIELDS, WORDS, Signature
from tfner.data.words import PATTERN, SPACE
from tfner.exports.wordpiece import WordPiece, unsupported
from tfner.labels import split_tag
from tfner.modeling.rows import RowEncoder
from tfner.modeling.windows import overlap_and_stride

PIECES_PER_STEP = 512
"""Pieces, padding included, that go through the encoder together. This bounds memory and keeps padding small in small requests.
With 384, 512 and 1024, a 6-layer encoder tagged 3,300, 3,700 and 3,300 words a second in requests of 64 texts on 2 CPU cores,
and 4,300, 5,200 and 5,000 with all texts in one request. A GPU is faster with a larger value."""

_OUTSIDE = -1  # the type of a word that is in no entity


def signatures(logits: Callable, row_encoder: RowEncoder) -> tuple[dict[str, Callable], str | None]:
    """The signatures that a model can have.

    Args:
        logits: takes `input_ids` and `attention_mask`, int32 (batch, length), and returns float32 (batch, length, labels).
        row_encoder: tokenizer, label set and row length.

    Returns:
        The functions by name: `PIECES` for every model, `TEXT` and `WORDS` for a WordPiece tokenizer. Then the reason why
        those two are missing, or None.
    """

    def pieces(input_ids, attention_mask):
        return _named(PIECES, tf.nn.softmax(logits(input_ids, attention_mask)))

    reason = unsupported(row_encoder.tokenizer)
    if reason:
        return {PIECES.name: _traced(pieces, PIECES)}, reason
    graph = TextGraph(logits, row_encoder)
    parts = ((graph.tag_texts, TEXT), (graph.tag_words, WORDS), (pieces, PIECES))
    return {signature.name: _traced(function, signature) for function, signature in parts}, None


def best_labels(values: tf.Tensor) -> tf.Tensor:
    """Label ids, int32, from values whose last dimension is labels.

    The rule is that of `modeling.decoding.best_labels`: the first of equal values. A test holds the two equal.
    """
    return tf.argmax(values, -1, tf.int32)


class TextGraph:
    """Builds the graph. Its methods are traced, so each call adds operations.

    Flat tensors hold the words of all texts in order; `splits` are the positions in them where texts begin and end.
    """

    def __init__(self, logits: Callable, row_encoder: RowEncoder):
        labels = row_encoder.labels
        self.logits, self.row_encoder = logits, row_encoder
        self.wordpiece = WordPiece(row_encoder.tokenizer)
        self.default = labels.ids[labels.default]
        self.names, self.types = tf.constant(labels.names), tf.constant(labels.types)
        parts = [("", name) if labels.plain else split_tag(name) for name in labels.names]
        self.type_ids = tf.constant([labels.types.index(t) if t else _OUTSIDE for _, t in parts])
        self.inside = tf.constant([prefix == "I" for prefix, _ in parts])
        # traced once for both signatures
        self._traced_tag = tf.function(self.tag, [tf.TensorSpec((None,), tf.string), tf.TensorSpec((None,), tf.int32)])

    def tag_texts(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Entities and words of texts, string (batch,). NUL and bytes that are not UTF-8 are read as U+FFFD.

        Returns:
            The outputs of `contract.TEXT`, padded to the longest text.
        """
        tokens, is_word, ends = self._tokens(_valid(text))
        words_before = _running(is_word)
        splits = tf.gather(words_before, tokens.row_splits)
        words, word_text = tf.boolean_mask(tokens.values, is_word), tf.boolean_mask(tokens.value_rowids(), is_word)
        word_ends = tf.boolean_mask(ends, is_word)
        word_starts = word_ends - tf.boolean_mask(tf.strings.length(tokens.values, "UTF8_CHAR"), is_word)
        labels, scores = self._traced_tag(words, splits)

        begins, continues, kinds = self._boundaries(labels, word_text)
        within = begins | continues
        entities_before = _running(begins)
        entity = entities_before[1:] - 1  # of each word that is in an entity
        member = tf.boolean_mask(entity, within)
        first = tf.cast(tf.where(begins)[:, 0], tf.int32)
        last = tf.math.segment_max(tf.cast(tf.where(within)[:, 0], tf.int32), member)
        # the text of an entity is its words and the white space before each of them except the first
        next_word = words_before[:-1]
        part = tf.where(is_word, tf.gather(_append(within, False), next_word), tf.gather(_append(continues, False), next_word))
        part_of = tf.boolean_mask(tf.gather(_append(entity, 0), next_word), part)
        texts = tf.strings.unsorted_segment_join(tf.boolean_mask(tokens.values, part), part_of, entities_before[-1])

        entity_splits = tf.gather(entities_before, splits)
        first_in_text = tf.gather(splits, tf.gather(word_text, first))
        entities = {
            "text": texts,
            "type": tf.gather(self.types, tf.gather(kinds, first)),
            "score": tf.math.segment_mean(tf.boolean_mask(scores, within), member),
            "start": tf.gather(word_starts, first),
            "end": tf.gather(word_ends, last),
            "first_word": first - first_in_text,
            "end_word": last + 1 - first_in_text,
        }
        values = {"text": words, "label": tf.gather(self.names, labels), "score": scores}
        all_words = values | {"start": word_starts, "end": word_ends}
        outputs = (
            entity_splits[1:] - entity_splits[:-1],
            *(_dense(entities[name], entity_splits) for name in ENTITY_FIELDS),
            splits[1:] - splits[:-1],
            *(_dense(all_words[name], splits) for name in WORD_FIELDS),
        )
        return _named(TEXT, *outputs)

    @staticmethod
    def _tokens(text: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor, tf.Tensor]:
        """Words and white space of texts; for each of these tokens whether it is a word, and its end in its text."""
        tokens = _split(text)
        before = tf.concat([[0], tf.cumsum(tf.strings.length(tokens.values, "UTF8_CHAR"))], 0)
        ends = before[1:] - tf.gather(before, tf.gather(tokens.row_starts(), tokens.value_rowids()))
        return tokens, ~tf.strings.regex_full_match(tokens.values, f"[{SPACE}]+"), ends

    def _boundaries(self, labels: tf.Tensor, word_text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """For each word whether an entity begins there and whether one continues there, bool, and its type, int32.

        Follows `labels.spans`: an `I-` that continues nothing begins an entity. No entity spans two texts.
        """
        kinds = tf.gather(self.type_ids, labels)
        within = kinds != _OUTSIDE
        same = (word_text[1:] == word_text[:-1]) & (kinds[1:] == kinds[:-1])
        continues = within & tf.gather(self.inside, labels) & tf.concat([tf.zeros_like(within[:1]), same], 0)
        return within & ~continues, continues, kinds

    def tag_words(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """The label and its probability for each word, string (batch, words). An empty word gets the default label.

        Returns:
            The outputs of `contract.WORDS`.
        """
        shape = tf.shape(words)
        labels, scores = self._traced_tag(_valid(tf.reshape(words, [-1])), tf.range(shape[0] + 1) * shape[1])
        return _named(WORDS, tf.reshape(tf.gather(self.names, labels), shape), tf.reshape(scores, shape))

    def tag(self, words: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Label ids, int32 (words,), and their probabilities, float32 (words,), of the words of several texts.

        A word without pieces gets the default label with probability 1. Long texts are divided as by `modeling.windows`.
        """
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
        """Label id and probability of each piece of the rows, which are stretches of `ids`, longest first."""
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
            best = tf.boolean_mask(best_labels(probabilities), own)
            score = tf.boolean_mask(tf.reduce_max(probabilities, -1), own)
            step = labels.size()
            return stop, labels.write(step, best), scores.write(step, score)

        empty = {"size": 0, "dynamic_size": True, "infer_shape": False, "element_shape": [None]}
        _, labels, scores = tf.while_loop(
            lambda i, *_: i < tf.size(lengths),
            body,
            (tf.constant(0), tf.TensorArray(tf.int32, **empty), tf.TensorArray(tf.float32, **empty)),
            parallel_iterations=1,  # bounds memory
        )
        return labels.concat(), scores.concat()


def _named(signature: Signature, *outputs: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs of a signature by their names, from values in the order of the contract."""
    return dict(zip(signature.outputs, outputs, strict=True))


def _traced(function: Callable, signature: Signature) -> Callable:
    """A function as TensorFlow traces it: once, for inputs of the contract's types with dynamic dimensions."""
    specs = [tf.TensorSpec((None,) * len(f.shape), tf.as_dtype(f.dtype), name) for name, f in signature.inputs.items()]
    return tf.function(function, input_signature=specs)


def _valid(text: tf.Tensor) -> tf.Tensor:
    """Text in valid UTF-8, with U+FFFD for NUL, at which RegexSplitWithOffsets stops reading.

    U+FFFD splits words and is removed by the tokenizer just as NUL is.
    """
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    return tf.strings.regex_replace(text, r"\x00", "\ufffd")


def _split(text: tf.Tensor) -> tf.RaggedTensor:
    """Words and runs of white space; joined, they are the text."""
    return tf_text.regex_split_with_offsets(text, f"{PATTERN}|[{SPACE}]+", "(?s:.)+")[0]


def _append(values: tf.Tensor, value: bool | int) -> tf.Tensor:
    return tf.concat([values, [value]], 0)


def _running(mask: tf.Tensor) -> tf.Tensor:
    """How many of the items before each position are True, int32, shape (items + 1,)."""
    return tf.concat([[0], tf.cumsum(tf.cast(mask, tf.int32))], 0)


def _dense(values: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    """Flat values as a dense tensor, shape (batch, most), padded with 0 or empty strings."""
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor()
