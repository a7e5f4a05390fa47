"""A tagger whose model is held by a server: TF Serving or `python -m tfner.serve`, over REST or gRPC.

Texts and split sentences go out in requests of a bounded size, the same entities as of a local model come back. Serving is
elsewhere; so is how a server is spoken to (`transport`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfner.corpus import Sentence
from tfner.errors import UserError
from tfner.labels import Entity, LabelSet
from tfner.modeling.decoding import Tagged
from tfner.tagging.tagger import Tagger, joined_offsets, utf8_size
from tfner.tagging.transport import FAILED, INVALID, NOT_FOUND, TOO_LARGE, TOO_LATE, UNAVAILABLE, Address, Refusal, connect

TRIES = 6
"""How often a request is sent to a server that does not answer, or says that it is busy, before that is an error."""

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds between tries: doubled every time
_INPUTS = {"serving_default": "text", "words": "words"}  # of each signature
_COUNTS = ("entity_count", "word_count")
_ENTITY = ("type", "text", "start", "end", "score", "first_word", "end_word")
_OUTPUTS = {
    "serving_default": (*_COUNTS, *(f"entity_{name}" for name in _ENTITY), "word_label"),
    "words": ("label", "score"),
}
_NOT_TFNER = "expected a model that python -m tfner.export made of an encoder with a WordPiece tokenizer"


class ServedTagger(Tagger):
    """Tags with a served model, as `Tagger` does with a local one; threads may share it.

    Sentences are tagged one by one: a server knows no documents.

    Args:
        address: such as `http://host:8501/v1/models/head`, `https://…`, or `grpc://host:8500/head`; with
            `/versions/3` or `/labels/stable` behind it, a certain version.
        deadline: the seconds that a request may take, all its tries together.
        texts: the most texts of a request. TF Serving refuses more than its `max_batch_size`, and then they are sent in
            halves.
        size: the most bytes of a request of more than one text.

    Raises:
        UserError: for an address that is none, a server that does not answer, or a model that it does not serve. Tagging
            raises it as well.
    """

    def __init__(self, address: str, deadline: float = 60.0, texts: int = 32, size: int = 1 << 20):
        self.address, self.deadline, self.texts, self.size = Address.parse(address), deadline, texts, size
        self.name = str(self.address)
        self._server = connect(self.address)
        # a word's own label is an entity's type for plain labels alone: B-PER would be PER, and O none
        probe = self._ask("serving_default", ["a"])[0]
        self._plain = probe["entity_count"] == 1 and probe["entity_type"][0] == probe["word_label"][0]

    @property
    def labels(self) -> LabelSet | None:
        """None: TF Serving does not tell."""
        return None

    def predict(self, sentences: Sequence[Sentence], progress: Callable[[Iterable], Iterable] = iter) -> list[Tagged]:
        """Tags sentences; their own tags and documents play no part. One result per sentence, in order."""
        answers = self._ask("words", [list(s.words) for s in sentences], progress)
        return [
            Tagged(answer["label"][: len(s.words)], np.array(answer["score"][: len(s.words)], np.float32))
            for s, answer in zip(sentences, answers, strict=True)
        ]

    def _tag(self, inputs: Sequence[str | Sequence[str]]) -> Iterator[list[Entity]]:
        texts = iter(self._ask("serving_default", [item for item in inputs if isinstance(item, str)]))
        sentences = iter(self.predict([Sentence(tuple(item), ()) for item in inputs if not isinstance(item, str)]))
        for item in inputs:
            if isinstance(item, str):
                answer = next(texts)
                columns = [answer[f"entity_{name}"][: answer["entity_count"]] for name in _ENTITY]
                yield [Entity(*row) for row in zip(*columns, strict=True)]
            else:
                yield next(sentences).entities(" ".join(item), joined_offsets(item), self._plain)

    def _ask(
        self, signature: str, items: Sequence[str | list[str]], progress: Callable[[Iterable], Iterable] = iter
    ) -> list[Mapping[str, Any]]:
        """The outputs of a signature for every item, in order; items of about the same length go together."""
        sizes = [utf8_size(item) for item in items]
        order = sorted(range(len(items)), key=sizes.__getitem__)
        answers: list[Mapping[str, Any]] = [{}] * len(items)
        for batch in progress(list(self._batches(order, sizes))):
            for index, answer in zip(batch, self._answers(signature, [items[i] for i in batch]), strict=True):
                answers[index] = answer
        return answers

    def _batches(self, order: Iterable[int], sizes: Sequence[int]) -> Iterator[list[int]]:
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

    def _answers(self, signature: str, items: list) -> list[Mapping[str, Any]]:
        """The answers to a batch; what the server finds too large goes again in halves."""
        rows = items if signature == "serving_default" else _rectangle(items)
        try:
            outputs = self._try(signature, rows)
        except Refusal as error:
            if len(items) == 1:
                text = items[0] if isinstance(items[0], str) else " ".join(items[0])
                raise UserError(
                    f"{self.address}: {text[:40]!r}… ({utf8_size(text):,} bytes) is too large for the server ({error}): "
                    "split it, or raise the server's limit"
                ) from error
            half = len(items) // 2
            return self._answers(signature, items[:half]) + self._answers(signature, items[half:])
        wrong = [n for n in _OUTPUTS[signature] if not isinstance(outputs.get(n), list) or len(outputs[n]) != len(items)]
        if wrong:
            raise self._mistake(f"{signature} gave no {', '.join(wrong)} for {len(items)} texts", _NOT_TFNER)
        if signature == "words":  # without the empty word in front
            outputs = {name: [row[1:] for row in outputs[name]] for name in _OUTPUTS[signature]}
        return [{name: outputs[name][i] for name in _OUTPUTS[signature]} for i in range(len(items))]

    def _try(self, signature: str, rows: list) -> Mapping[str, list]:
        """Sends a request until it is answered. Raises Refusal where it is too large, UserError for every other end."""
        end = time.monotonic() + self.deadline
        tries, wait = 1, _FIRST_WAIT
        while True:
            try:
                return self._server.predict(signature, _INPUTS[signature], rows, max(end - time.monotonic(), 0.001))
            except Refusal as error:
                refusal = error
            if refusal.kind == TOO_LARGE:
                raise refusal
            loading = refusal.kind == NOT_FOUND and self._is_loading(refusal, max(end - time.monotonic(), 0.001))
            if not loading and (refusal.kind != UNAVAILABLE or tries == TRIES):
                raise self._explained(signature, refusal)
            pause = wait * random.uniform(0.5, 1)  # clients that were refused together do not come back together
            if time.monotonic() + pause > end:
                if loading:
                    raise self._mistake(f"the model is still loading after {self.deadline:g} seconds", "try again later")
                raise self._explained(signature, refusal)
            time.sleep(pause)
            tries, wait = tries + 1, min(2 * wait, _LONGEST_WAIT)

    def _is_loading(self, refusal: Refusal, seconds: float) -> bool:
        """Why the server does not find the model: True where it is about to. Raises UserError where it is not."""
        address = self.address
        if address.label and "label" in str(refusal):
            return False
        try:
            states = self._server.states(seconds)
        except Refusal as error:
            if error.kind == UNAVAILABLE:
                return True
            raise self._mistake(
                f"the server has no model {address.model!r} ({error})", "take a name from its configuration"
            ) from error
        wanted = states if address.version is None else {address.version: states.get(address.version)}
        # available: it has become so in this moment; what a label stands for is not known here, and other versions may be
        coming = {"START", "LOADING"} if address.label else {"START", "LOADING", "AVAILABLE"}
        if coming.intersection(wanted.values()):
            return True
        which = f"version {address.version}" if address.version is not None else "any version"
        which = f"a version labelled {address.label}" if address.label else which
        served = ", ".join(str(v) for v, state in sorted(states.items()) if state == "AVAILABLE") or "none"
        raise self._mistake(f"the server does not serve {which} of {address.model!r}", f"these are served: {served}")

    def _explained(self, signature: str, refusal: Refusal) -> UserError:
        """What a refusal means and what to do about it."""
        reason = str(refusal)
        if refusal.kind == UNAVAILABLE:
            return self._mistake(f"no answer ({reason})", "check host and port, and whether the server runs or is overloaded")
        if refusal.kind == TOO_LATE:
            return self._mistake(
                f"no answer in time ({reason}; the deadline is {self.deadline:g} seconds)",
                "send smaller requests, or wait longer with ServedTagger(address, deadline=..., texts=...)",
            )
        if self.address.label and "label" in reason:
            return self._mistake(f"no version has the label {self.address.label!r} ({reason})", "set it in models.config")
        if refusal.kind == INVALID and "ignature" in reason:
            return self._mistake(f"the model has no signature {signature} ({reason})", _NOT_TFNER)
        if refusal.kind == INVALID and "padding is turned off" in reason:
            return self._mistake(
                "requests of several lengths met in a batch", "set pad_variable_length_inputs: true in batching.config"
            )
        if refusal.kind == INVALID:
            return self._mistake(f"the server refuses the request ({reason})", "change the text, or the server's settings")
        if refusal.kind == FAILED:
            return self._mistake(f"the server failed ({reason})", "look into its log")
        return self._mistake(f"the answer is not TF Serving's ({reason})", "check the address and what listens there")

    def _mistake(self, what: str, remedy: str) -> UserError:
        return UserError(f"{self.address}: {what}: {remedy}")


def _rectangle(sentences: Sequence[list[str]]) -> list[list[str]]:
    """Sentences as rows of equal length, padded with empty strings, an empty word in front of each.

    Where TF Serving batches requests of different widths (`pad_variable_length_inputs`), it fills the narrower up with
    their own first element. A sentence's first word would then stand behind it again and again, and be read as its context;
    an empty word changes nothing.
    """
    width = max(map(len, sentences))
    return [["", *words, *[""] * (width - len(words))] for words in sentences]
