"""A tagger whose model is held by a server: TF Serving or `python -m tfner.serve`, over REST or gRPC.

Takes texts and sentences, sends them in requests of limited size, and returns the entities that a local tagger returns.
`client` sends a request; serving is left to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfner.contract import ENTITY_FIELDS, TEXT, WORDS, Signature, for_task
from tfner.corpus import Sentence
from tfner.data.words import as_text
from tfner.labels import Entity, LabelSet
from tfner.modeling.decoding import Tagged
from tfner.tagging.address import Address
from tfner.tagging.client import NOT_TFNER, Client
from tfner.tagging.tagger import Input, Progress, Tagger, TextTooLarge, joined_offsets, utf8_size
from tfner.tagging.transport import Refusal

_COUNT, _WORD_LABEL = "entity_count", "word_label"
_ENTITY = {field: f"entity_{field}" for field in ENTITY_FIELDS}
_LABEL, _SCORE, _ACCEPTED = WORDS.outputs
_KEPT = {
    TEXT.name: (_COUNT, *(name for field, name in _ENTITY.items() if field != "accepted"), _WORD_LABEL),
    WORDS.name: (_LABEL, _SCORE),
}
"""The outputs of each signature that the tagger needs. Models of earlier versions do not say what is accepted."""


class ServedTagger(Tagger):
    """Tags with a served model, as other taggers do with a local one; threads may share it.

    Sentences that are split into words are tagged by themselves, because a server does not take documents. `close` closes the
    connections of all threads; afterwards the tagger raises UserError when it is used.

    Args:
        address: such as `http://host:8501/v1/models/head`, `https://…`, or `grpc://host:8500/head`, with `/versions/3` or
            `/labels/stable` after it for a certain version.
        deadline: the seconds that a request may take, with all its tries.
        texts: the most texts of a request. TF Serving refuses more than its `max_batch_size`; the tagger then sends them in
            halves.
        size: the most bytes of a request with more than one text.
        task: the task to tag for, of a model that was trained for several [the first of them].

    Raises:
        UserError: for something other than an address, a server that does not answer, a model that it does not serve, or a
            task that the model does not have. Tagging raises it as well.
    """

    sentences = None
    decode = None

    def __init__(self, address: str, deadline: float = 60.0, texts: int = 32, size: int = 1 << 20, task: str | None = None):
        self.task = task
        self.address, self.texts, self.size = Address.parse(address), texts, size
        self.name = str(self.address)
        self._client = Client(self.address, deadline)
        try:
            # only for plain labels is the label of a word the type of an entity: B-PER becomes PER, and O is not an entity
            probe = self._ask(TEXT, ["a"])[0]
        except BaseException:
            self.close()
            raise
        self._plain = probe[_COUNT] == 1 and probe[_ENTITY["type"]][0] == probe[_WORD_LABEL][0]

    @property
    def labels(self) -> LabelSet | None:
        """None: TF Serving does not report the labels of a model."""
        return None

    def predict(self, sentences: Sequence[Sentence], progress: Progress = iter) -> list[Tagged]:
        """Tags sentences and returns one result per sentence, in order. Their own tags and documents are not used."""
        answers = self._ask(WORDS, [list(s.words) for s in sentences], progress)
        return [_tagged(s.words, answer) for s, answer in zip(sentences, answers, strict=True)]

    def close(self) -> None:
        super().close()
        self._client.close()

    def _tag(self, inputs: Sequence[Input]) -> Iterator[list[Entity]]:
        texts = iter(self._ask(TEXT, [item for item in inputs if isinstance(item, str)]))
        sentences = iter(self._ask(WORDS, [list(item) for item in inputs if not isinstance(item, str)]))
        for item in inputs:
            if isinstance(item, str):
                answer = next(texts)
                fields = {field: answer[output] for field, output in _ENTITY.items() if output in answer}
                yield [Entity(**{field: values[i] for field, values in fields.items()}) for i in range(answer[_COUNT])]
            else:
                answer = next(sentences)
                found = _tagged(item, answer).entities(" ".join(item), joined_offsets(item), self._plain)
                accepted = answer.get(_ACCEPTED, [True] * len(item))
                yield [replace(entity, accepted=accepted[entity.first_word]) for entity in found]

    def _ask(
        self, signature: Signature, items: Sequence[str | list[str]], progress: Progress = iter
    ) -> list[Mapping[str, Any]]:
        """The outputs of a signature for every item, in order. Items of similar length share a request."""
        self.check_open()
        sizes = [utf8_size(item) for item in items]
        order = sorted(range(len(items)), key=sizes.__getitem__)
        answers: list[Mapping[str, Any]] = [{}] * len(items)
        for batch in progress(list(self._batches(order, sizes))):
            for index, answer in zip(batch, self._answers(signature, [items[i] for i in batch]), strict=True):
                answers[index] = answer
        return answers

    def _batches(self, order: Iterable[int], sizes: Sequence[int]) -> Iterator[list[int]]:
        """The indices of the items of each request: at most `texts` items and `size` bytes, unless one item is larger."""
        batch: list[int] = []
        total = 0
        for index in order:
            if batch and (len(batch) == self.texts or total + sizes[index] > self.size):
                yield batch
                batch, total = [], 0
            batch.append(index)
            total += sizes[index]
        if batch:
            yield batch

    def _answers(self, signature: Signature, items: list[Any]) -> list[Mapping[str, Any]]:
        """The outputs for each item of a request. A request that is too large for the server is sent again in halves."""
        rows = _rectangle(items) if signature is WORDS else items
        try:
            outputs = self._client.ask(for_task(signature, self.task) if self.task else signature, rows)
        except Refusal as error:
            if len(items) == 1:
                text = as_text(items[0])
                raise TextTooLarge(
                    f"{text[:40]!r}… ({utf8_size(text):,} bytes) is too large for the server ({error}): split it, or raise the "
                    "server's limit",
                    self.name,
                ) from error
            half = len(items) // 2
            return self._answers(signature, items[:half]) + self._answers(signature, items[half:])
        kept = _KEPT[signature.name]
        wrong = [name for name in kept if not isinstance(outputs.get(name), list) or len(outputs[name]) != len(items)]
        if wrong:
            texts = "1 text" if len(items) == 1 else f"{len(items)} texts"
            raise self._client.error(f"{signature.name} returned no {', '.join(wrong)} for {texts}", NOT_TFNER)
        kept = (*kept, *(name for name in (_ENTITY["accepted"], _ACCEPTED) if name in outputs))
        first = 1 if signature is WORDS else 0  # skips the empty word of `_rectangle`
        return [{name: outputs[name][i][first:] if first else outputs[name][i] for name in kept} for i in range(len(items))]


def _rectangle(sentences: Sequence[list[str]]) -> list[list[str]]:
    """Sentences as rows of equal length: an empty word at the start, and empty words as padding.

    Where TF Serving batches requests of different widths (`pad_variable_length_inputs`), it pads the narrower ones with their
    own first element. Without the empty word, that is the first word of the first sentence, repeated, which the model reads as
    context. An empty word changes no label.
    """
    width = max(map(len, sentences))
    return [["", *words, *[""] * (width - len(words))] for words in sentences]


def _tagged(words: Sequence[str], answer: Mapping[str, Any]) -> Tagged:
    """The tags of a sentence, without those of the padding."""
    return Tagged(answer[_LABEL][: len(words)], np.array(answer[_SCORE][: len(words)], np.float32))
