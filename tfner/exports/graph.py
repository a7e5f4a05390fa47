"""The signatures of a SavedModel: what `RowTagger` does in Python, as one TensorFlow graph of operations that TF Serving has.

Takes a function from piece ids to logits and a `Head` for each task, and returns the functions of the signatures in `contract`.
They follow the rules of `data.words` and `data.sentences` (the same expressions), the tokenizer (`wordpiece`), `modeling.rows`,
`modeling.windows`, `modeling.decoding` and `labels.spans`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfner.config import Config
from tfner.contract import ENTITY_FIELDS, PIECES, TEXT, WORD_FIELDS, WORDS, Signature, for_task
from tfner.data.sentences import ABBREVIATION, BLANK, BREAK, CLOSING, FINAL, LOWER, MOST_CLOSING, NUMBERED, WIDE
from tfner.data.words import PATTERN, SPACE
from tfner.exports.wordpiece import WordPiece, unsupported
from tfner.labels import split_tag
from tfner.modeling.calibration import LEAST, UNCALIBRATED, Calibration
from tfner.modeling.decoding import ILLEGAL, UNITS, legal_transitions, unseen
from tfner.modeling.rows import RowEncoder
from tfner.modeling.windows import overlap_and_stride
from tfner.tagging.tagger import Head

PIECES_PER_STEP, STEPS = 224, 2
"""Pieces, padding included, that go through the encoder together, and how many times this happens side by side. This bounds
memory and keeps padding small in small requests. In requests of 64 texts on 2 CPU cores, a 6-layer encoder is 1.24 times as
fast as with 512 pieces one after the other, and with 512 side by side 1.14 times. A GPU is faster with more pieces."""

_OUTSIDE = -1  # the type of a word that is in no entity


def signatures(
    logits: Callable, heads: Mapping[str, Head], config: Config, vocabulary: int, positions: int
) -> tuple[dict[str, Callable], str | None]:
    """The signatures that a model can have.

    Args:
        logits: takes `input_ids` and `attention_mask`, int32 (batch, length), and returns float32 (batch, length, labels).
        heads: tokenizer, label set, row length and calibration for each task of the model.
        config: says how texts are divided into sentences, and how tags are chosen.
        vocabulary: the number of word pieces that the encoder knows.
        positions: its longest row in word pieces.

    Returns:
        The functions by name, as `contract.signatures_of` lists them. Then the reason why those that take text are missing
        because the tokenizer is not WordPiece, or None.
    """

    def of_head(head: Head, values):
        own, temperature = values[..., head.row_encoder.columns], head.calibration.temperature
        return tf.nn.softmax(own if temperature == 1 else own / temperature)

    def probabilities(input_ids, attention_mask):
        values = logits(input_ids, attention_mask)
        of_tasks = [of_head(head, values) for head in heads.values()]
        return of_tasks[0] if len(of_tasks) == 1 else tf.concat(of_tasks, -1)

    def pieces(input_ids, attention_mask):
        shapes, out = (tf.shape(input_ids), tf.shape(attention_mask)), (input_ids < 0) | (input_ids >= vocabulary)
        first = tf.boolean_mask(input_ids, out)[:1]
        checks = [
            tf.debugging.Assert(
                tf.reduce_all(tf.equal(*shapes)), ["expected input_ids and attention_mask of one shape, got", *shapes]
            ),
            tf.debugging.Assert(tf.size(first) == 0, [f"expected input_ids from 0 to {vocabulary - 1}, got", first]),
            tf.debugging.Assert(
                shapes[0][1] <= positions, [f"expected rows of at most {positions} word pieces, got", shapes[0][1]]
            ),
        ]
        with tf.control_dependencies(checks):
            return _named(PIECES, probabilities(tf.identity(input_ids), attention_mask))

    reason = unsupported(next(iter(heads.values())).row_encoder.tokenizer)
    if reason:
        return {PIECES.name: _traced(pieces, PIECES)}, reason
    defaults: dict[str, Callable] = {}  # those of the first task
    of_tasks: dict[str, Callable] = {}
    for task, head in heads.items():

        def own(input_ids, attention_mask, head=head):
            return of_head(head, logits(input_ids, attention_mask))

        graph = TextGraph(own, head.row_encoder, config, head.calibration)
        for function, signature in ((graph.tag_texts, TEXT), (graph.tag_words, WORDS)):
            traced = of_tasks[for_task(signature, task).name] = _traced(function, signature)
            defaults.setdefault(signature.name, traced)
    defaults[PIECES.name] = _traced(pieces, PIECES)
    return defaults | (of_tasks if len(heads) > 1 else {}), None


def best_labels(values: tf.Tensor) -> tf.Tensor:
    """Label ids, int32, from values whose last dimension is labels.

    The rule is that of `modeling.decoding.best_labels`: the first of equal values. A test holds the two equal.
    """
    return tf.argmax(values, -1, tf.int32)


class TextGraph:
    """Builds the graph. Its methods are traced, so each call adds operations.

    Flat tensors hold the words of all texts in order; `splits` are the positions in them where texts, or sentences, begin and
    end.
    """

    def __init__(
        self, probabilities: Callable, row_encoder: RowEncoder, config: Config, calibration: Calibration = UNCALIBRATED
    ):
        labels = row_encoder.labels
        self.probabilities, self.row_encoder, self.sentences = probabilities, row_encoder, config.sentences
        self.least = tf.constant([calibration.least(kind) for kind in labels.types], tf.float32)
        self.decode, self.legal = config.decode, legal_transitions(labels)
        self.wordpiece = WordPiece(row_encoder.tokenizer)
        self.names, self.types = tf.constant(labels.names), tf.constant(labels.types)
        parts = [("", name) if labels.plain else split_tag(name) for name in labels.names]
        self.type_ids = tf.constant([labels.types.index(t) if t else _OUTSIDE for _, t in parts])
        self.inside = tf.constant([prefix == "I" for prefix, _ in parts])
        numbers = tf.TensorSpec((None,), tf.int32)
        self._traced_tag = tf.function(self.tag, [tf.TensorSpec((None,), tf.string), numbers, numbers])  # for both signatures

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
        opens = self._sentences(tokens, is_word, word_text)
        sentence_splits = tf.concat([_positions(opens), splits[-1:]], 0)
        labels, scores = self._traced_tag(words, sentence_splits, tf.cast(tf.boolean_mask(word_text, opens), tf.int32))

        begins, continues, kinds = self._boundaries(labels, opens)
        within = begins | continues
        entities_before = _running(begins)
        entity = entities_before[1:] - 1  # of each word that is in an entity
        member = tf.boolean_mask(entity, within)
        first = _positions(begins)
        last = tf.math.segment_max(_positions(within), member)
        kind = tf.gather(kinds, first)
        score, accepted = self._accepted(scores, within, member, kind)
        # the text of an entity is its words and the white space before each of them except the first
        next_word = words_before[:-1]
        part = tf.where(is_word, tf.gather(_append(within, False), next_word), tf.gather(_append(continues, False), next_word))
        part_of = tf.boolean_mask(tf.gather(_append(entity, 0), next_word), part)
        texts = tf.strings.unsorted_segment_join(tf.boolean_mask(tokens.values, part), part_of, entities_before[-1])

        entity_splits = tf.gather(entities_before, splits)
        first_in_text = tf.gather(splits, tf.gather(word_text, first))
        entities = {
            "text": texts,
            "type": tf.gather(self.types, kind),
            "score": score,
            "start": tf.gather(word_starts, first),
            "end": tf.gather(word_ends, last),
            "first_word": first - first_in_text,
            "end_word": last + 1 - first_in_text,
            "accepted": accepted,
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
        return tokens, ~_matches(tokens.values, f"[{SPACE}]+"), ends

    def _sentences(self, tokens: tf.RaggedTensor, is_word: tf.Tensor, word_text: tf.Tensor) -> tf.Tensor:
        """For each word whether a sentence begins there, bool, by the rule of `data.sentences`."""
        opens = _changes(word_text)
        if self.sentences == "none":
            return opens

        def before(pattern: str) -> tf.Tensor:  # whether white space before each word matches
            return tf.boolean_mask(_shifted(_matches(tokens.values, pattern)), is_word)

        if self.sentences == "line":
            return opens | before(BREAK)
        words = tf.boolean_mask(tokens.values, is_word)
        glued = tf.boolean_mask(_shifted(is_word), is_word) & ~opens
        closing = _matches(words, CLOSING)
        mark, line = _matches(words, FINAL), before(BREAK)
        final = (mark & ~(glued & _shifted(_matches(words, ABBREVIATION)))) | (
            _matches(words, NUMBERED) & ~(opens | line | _shifted(mark))
        )
        ended, wide = final, wide_final = final, final & _matches(words, WIDE)
        for _ in range(MOST_CLOSING):
            follows = closing & glued
            ended, wide = final | (follows & _shifted(ended)), wide_final | (follows & _shifted(wide))
        ended, wide = _shifted(ended), _shifted(wide)
        begins = tf.where(glued, wide & ~mark & ~closing, line | (ended & ~mark))
        return opens | before(BLANK) | (begins & ~_matches(words, rf"\p{{{LOWER}}}(?s:.)*"))

    def _boundaries(self, labels: tf.Tensor, opens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """For each word whether an entity begins there and whether one continues there, bool, and its type, int32.

        Follows `labels.spans`: an `I-` that continues nothing begins an entity. No entity spans two sentences.
        """
        kinds = tf.gather(self.type_ids, labels)
        within = kinds != _OUTSIDE
        same = ~opens[1:] & (kinds[1:] == kinds[:-1])
        continues = within & tf.gather(self.inside, labels) & tf.concat([tf.zeros_like(within[:1]), same], 0)
        return within & ~continues, continues, kinds

    def _accepted(
        self, scores: tf.Tensor, within: tf.Tensor, member: tf.Tensor, kind: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The score of each entity, float32 (entities,), and whether it is accepted, bool.

        Args:
            scores: of each word, float32 (words,).
            within: whether each word is in an entity, bool (words,).
            member: the entity of each word that is in one, int32, ascending.
            kind: the type of each entity, int32 (entities,).
        """
        score = tf.math.segment_mean(tf.boolean_mask(scores, within), member)
        return score, score >= tf.gather(self.least, kind)

    def tag_words(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """The label and its probability for each word, string (batch, words). An empty word gets the default label.

        Returns:
            The outputs of `contract.WORDS`.
        """
        shape = tf.shape(words)
        sentences = tf.range(shape[0] + 1)
        labels, scores = self._traced_tag(_valid(tf.reshape(words, [-1])), sentences * shape[1], sentences[:-1])
        begins, continues, kinds = self._boundaries(labels, tf.range(tf.size(labels)) % tf.maximum(shape[1], 1) == 0)
        within, entity = begins | continues, tf.cumsum(tf.cast(begins, tf.int32)) - 1
        _, accepted = self._accepted(scores, within, tf.boolean_mask(entity, within), tf.boolean_mask(kinds, begins))
        accepted = ~within | tf.gather(_append(accepted, True), tf.maximum(entity, 0))
        outputs = tf.gather(self.names, labels), scores, accepted
        return _named(WORDS, *(tf.reshape(values, shape) for values in outputs))

    def tag(self, words: tf.Tensor, splits: tf.Tensor, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Label ids, int32 (words,), and their probabilities, float32 (words,), of the words of several sentences.

        A word without pieces has the values of `decoding.unseen`. Long sentences are divided as by `modeling.windows`.

        Args:
            words: the words of all sentences, string.
            splits: where sentences begin and end, int32 (sentences + 1,).
            texts: the text of each sentence, int32 (sentences,), ascending.
        """
        ids, piece_splits = self.wordpiece(words)
        visible = piece_splits[1:] > piece_splits[:-1]
        sentence_of = tf.repeat(tf.range(tf.size(texts)), splits[1:] - splits[:-1])
        first = tf.boolean_mask(piece_splits[:-1], visible)  # piece of each word
        sentence = tf.boolean_mask(sentence_of, visible)
        bounds = tf.gather(piece_splits, splits)
        starts, ends = bounds[:-1], bounds[1:]  # of the stretch of pieces that shares a row with each sentence
        if self.row_encoder.packs:
            ids, starts, ends, moved = self._packed(ids, bounds, texts)
            first += tf.gather(moved, sentence)
        start, end = tf.gather(starts, sentence), tf.gather(ends, sentence)
        position = first - start
        room = self.row_encoder.room
        overlap, stride = overlap_and_stride(room)
        last = tf.maximum(0, -((room - (end - start)) // stride))
        window = tf.clip_by_value((position - overlap // 2) // stride, 0, last)
        opens = _changes(start) | _changes(window)
        row = tf.cumsum(tf.cast(opens, tf.int32)) - 1
        row_starts = tf.boolean_mask(start + window * stride, opens)
        row_lengths = tf.minimum(room, tf.boolean_mask(end, opens) - row_starts)

        order = tf.argsort(row_lengths, direction="DESCENDING", stable=True)
        row_lengths = tf.gather(row_lengths, order)
        of_pieces = self._run(ids, tf.gather(row_starts, order), row_lengths)
        offsets = tf.gather(tf.cumsum(row_lengths, exclusive=True), tf.math.invert_permutation(order))
        at = tf.gather(offsets, row) + position - window * stride
        values = tf.broadcast_to(unseen(self.row_encoder.labels), [tf.size(words), len(self.row_encoder.labels)])
        probabilities = tf.tensor_scatter_nd_update(values, tf.where(visible), tf.gather(of_pieces, at))
        labels = best_labels(probabilities)
        if self.decode == "viterbi":
            labels = self._obeying(probabilities, labels, splits, sentence_of)
        return labels, tf.gather(probabilities, labels, batch_dims=1)

    def _obeying(self, probabilities: tf.Tensor, labels: tf.Tensor, splits: tf.Tensor, sentence_of: tf.Tensor) -> tf.Tensor:
        """`labels`, with those of `decoding.best_path` in every sentence in which they are not IOB2.

        Args:
            probabilities: float32, shape (words, labels).
            labels: the best label of each word, int32, shape (words,).
            splits: where sentences begin and end, int32 (sentences + 1,).
            sentence_of: the sentence of each word, int32, shape (words,).
        """
        rules = tf.constant(np.where(self.legal, 0, ILLEGAL))
        number = len(self.row_encoder.labels)
        before = tf.where(_changes(sentence_of), number, _shifted(labels))
        wrong, _ = tf.unique(tf.boolean_mask(sentence_of, ~tf.gather_nd(self.legal, tf.stack([before, labels], 1))))
        starts = tf.gather(splits, wrong)
        lengths = tf.gather(splits, wrong + 1) - starts
        sentences, longest = tf.size(wrong), tf.maximum(tf.reduce_max(lengths), 0)
        column = tf.range(longest)[None]
        own = column < lengths[:, None]
        at = tf.where(own, starts[:, None] + column, 0)
        arrays = {"size": 0, "dynamic_size": True, "infer_shape": False}

        def forward(i, total, previous):
            paths = tf.where(i == 0, rules[number][None, None], total[:, :, None] + rules[:number])
            logs = tf.math.log(tf.cast(tf.maximum(tf.gather(probabilities, at[:, i]), LEAST), tf.float64))
            best = tf.reduce_max(paths, 1) + tf.cast(tf.round(logs * UNITS), tf.int64)
            back = tf.argmax(paths, 1, tf.int32)
            inside = (i < lengths)[:, None]
            return i + 1, tf.where(inside, best, total), previous.write(i, tf.where(inside, back, tf.range(number)))

        start = tf.zeros([sentences, number], tf.int64), tf.TensorArray(tf.int32, element_shape=[None, number], **arrays)
        _, total, previous = tf.while_loop(lambda i, *_: i < longest, forward, (0, *start))

        def backward(i, label, path):
            return i - 1, tf.gather(previous.read(i), label, batch_dims=1), path.write(longest - 1 - i, label)

        start = tf.argmax(total, 1, tf.int32), tf.TensorArray(tf.int32, element_shape=[None], **arrays)
        _, _, path = tf.while_loop(lambda i, *_: i >= 0, backward, (longest - 1, *start))
        path = tf.transpose(tf.reverse(tf.reshape(path.concat(), [longest, sentences]), [0]))
        return tf.tensor_scatter_nd_update(labels, tf.boolean_mask(at, own)[:, None], tf.boolean_mask(path, own))

    def _packed(self, ids: tf.Tensor, bounds: tf.Tensor, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Packs the sentences of each text into rows, as `RowEncoder` does with the context of documents.

        Returns:
            The pieces with the closing ones after every sentence that has pieces; for each sentence where its row begins and
            ends in them, and how far its own pieces moved.
        """
        closing = tf.constant(self.row_encoder.closing, tf.int32)
        size, number, room = len(self.row_encoder.closing), tf.size(texts), self.row_encoder.room
        lengths = bounds[1:] - bounds[:-1]
        filled = lengths > 0
        moved = tf.cumsum(tf.where(filled, size, 0), exclusive=True)
        # where the sentences begin and end in the new pieces
        places = tf.concat([[0], tf.cumsum(tf.where(filled, lengths + size, 0))], 0)
        at = tf.range(tf.size(ids)) + tf.repeat(moved, lengths)
        after = tf.boolean_mask(bounds[1:] + moved, filled)[:, None] + tf.range(size)
        where = tf.concat([at, tf.reshape(after, [-1])], 0)
        values = tf.concat([ids, tf.reshape(tf.broadcast_to(closing, tf.shape(after)), [-1])], 0)
        packed = tf.scatter_nd(where[:, None], values, [places[-1]])

        # the sentence after the last that fits into a row that begins with each sentence
        following = tf.searchsorted(places, places[:-1] + room + size, side="right") - 1
        following = tf.maximum(following, tf.range(number) + 1)
        text_end = tf.searchsorted(texts, texts, side="right")
        following = tf.minimum(following, text_end)
        heads = _positions(_changes(texts))

        def step(i, heads, found):
            found = found.write(i, heads)
            after = tf.gather(following, heads)
            return i + 1, tf.boolean_mask(after, after < tf.gather(text_end, heads)), found

        empty = {"size": 0, "dynamic_size": True, "infer_shape": False, "element_shape": [None]}
        _, _, found = tf.while_loop(
            lambda i, heads, _: tf.size(heads) > 0,
            step,
            (tf.constant(0), heads, tf.TensorArray(tf.int32, **empty)),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None]), None),
        )
        rows = tf.sort(found.concat())
        row = tf.searchsorted(rows, tf.range(number), side="right") - 1
        begins = tf.gather(places, rows)
        ends = tf.concat([begins[1:], places[-1:]], 0) - size
        return packed, tf.gather(begins, row), tf.gather(ends, row), moved

    def _run(self, ids: tf.Tensor, starts: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """The probabilities of each piece of the rows, which are stretches of `ids`, longest first: (pieces, labels)."""
        opening, closing = self.row_encoder.opening, self.row_encoder.closing
        special = len(opening) + len(closing)
        pool = tf.concat([ids, opening, closing, [self.row_encoder.pad_id]], 0)
        opening_at = tf.size(ids)
        closing_at, padding_at = opening_at + len(opening), opening_at + special

        def body(i, found):
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
            probabilities = self.probabilities(tf.gather(pool, source), mask)
            return stop, found.write(found.size(), tf.boolean_mask(probabilities, (piece >= 0) & (piece < length)))

        shape = [None, len(self.row_encoder.labels)]
        _, found = tf.while_loop(
            lambda i, _: i < tf.size(lengths),
            body,
            (tf.constant(0), tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=shape)),
            parallel_iterations=STEPS,
        )
        return found.concat()


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


def _matches(values: tf.Tensor, pattern: str) -> tf.Tensor:
    return tf.strings.regex_full_match(values, pattern)


def _shifted(mask: tf.Tensor) -> tf.Tensor:
    """What holds of the item before each one; False for the first."""
    return tf.concat([tf.zeros_like(mask[:1]), mask[:-1]], 0)


def _changes(values: tf.Tensor) -> tf.Tensor:
    """Whether each value differs from the one before; True for the first."""
    return tf.concat([tf.ones_like(values[:1], tf.bool), values[1:] != values[:-1]], 0)


def _positions(mask: tf.Tensor) -> tf.Tensor:
    """The positions of the items that are True, int32."""
    return tf.cast(tf.where(mask)[:, 0], tf.int32)


def _running(mask: tf.Tensor) -> tf.Tensor:
    """How many of the items before each position are True, int32, shape (items + 1,)."""
    return tf.concat([[0], tf.cumsum(tf.cast(mask, tf.int32))], 0)


def _dense(values: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    """Flat values as a dense tensor, shape (batch, most), padded with 0, false or empty strings."""
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor()
