"""Contenders in tagging. Each turn tags all sentences of a file, or single sentences.

    python tagging.py KIND MODEL SENTENCES

SENTENCES is a JSON file of lists of words. KIND is one of

- `tagger-words`, `tagger-text`: MODEL is a model that tfner exported, for any runtime;
- `graph-text`: MODEL is a SavedModel that tfner exported;
- `pipeline-N`, `sorted-pipeline-N`: MODEL is a folder for transformers, tagged in batches of N, in the order of the file or
  sorted by length; tfner need not be installed;
- `onnx`: MODEL is a folder with `model.onnx`.

The word of a turn is `all` or `one`. `all` returns the seconds, and for each sentence the entities found as (type, start, end),
in characters of the words joined by spaces. `one` returns the seconds of 100 calls, each with one sentence of 20 words.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from turns import answer, ready

BATCH = 32


def entities(words: list[str], tags: list[str]) -> list[tuple[str, int, int]]:
    """Entities as (type, start, end), in characters of the words joined by spaces."""
    from tfner.labels import spans
    from tfner.tagging.tagger import joined_offsets

    offsets = joined_offsets(words)
    return [(kind, offsets[first][0], offsets[end - 1][1]) for kind, first, end in spans(tags)]


def tagger(model: str, from_text: bool):
    """tfner's `Tagger`, given text or split words."""
    from tfner.tagging.load import load_tagger

    loaded = load_tagger(model, "auto" if (Path(model) / "tfner.json").is_file() else "tensorflow")

    def tag(sentences):
        inputs = [" ".join(words) for words in sentences] if from_text else sentences
        return [[(e.type, e.start, e.end) for e in found] for found in loaded.tag_many(inputs)]

    return tag


def graph(model: str):
    """The exported graph alone, called as TF Serving calls it: requests of 64 texts, in the order of the file."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the operations of the graph

    from tfner.folder import resolve

    loaded = tf.saved_model.load(str(resolve(model)))
    run = loaded.signatures["serving_default"]

    def tag(sentences):
        found = []
        for i in range(0, len(sentences), 64):
            out = {k: v.numpy() for k, v in run(text=tf.constant([" ".join(words) for words in sentences[i : i + 64]])).items()}
            for j, count in enumerate(out["entity_count"]):
                columns = (out[f"entity_{name}"][j, :count].tolist() for name in ("type", "start", "end"))
                found.append([(kind.decode(), start, end) for kind, start, end in zip(*columns, strict=True)])
        return found

    tag.model = loaded
    return tag


def pipeline(model: str, batch: int, by_length: bool):
    """The transformers pipeline in PyTorch. The label of a word is that of its first piece.

    It does not sort its inputs, so the longest of a batch decides the time of all; with `by_length`, they are sorted for it.
    """
    from transformers import pipeline as make

    run = make("token-classification", model=model, aggregation_strategy="first", device="cpu")

    def tag(sentences):
        texts = [" ".join(words) for words in sentences]
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if by_length else range(len(texts))
        results = dict(zip(order, run([texts[i] for i in order], batch_size=batch), strict=True))
        return [[(e["entity_group"], e["start"], e["end"]) for e in results[i]] for i in range(len(texts))]

    return tag


def onnx(model: str):
    """ONNX Runtime with the same fast tokenizer, sentences sorted by length, and the minimal code that returns entities."""
    import onnxruntime
    from transformers import AutoTokenizer

    session = onnxruntime.InferenceSession(str(Path(model) / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = AutoTokenizer.from_pretrained(model)
    config = json.loads((Path(model) / "config.json").read_text("utf-8"))
    names = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]

    def tag(sentences):
        encodings = tokenizer(sentences, is_split_into_words=True)
        lengths = np.array([len(ids) for ids in encodings["input_ids"]])
        order, found = np.argsort(-lengths), [None] * len(sentences)
        for start in range(0, len(order), BATCH):
            numbers = order[start : start + BATCH]
            ids = np.zeros((len(numbers), lengths[numbers[0]]), np.int64)
            mask = np.zeros_like(ids)
            for row, number in enumerate(numbers):
                ids[row, : lengths[number]], mask[row, : lengths[number]] = encodings["input_ids"][number], 1
            best = session.run(None, {"input_ids": ids, "attention_mask": mask})[0].argmax(-1)
            for row, number in enumerate(numbers):
                tags, last = ["O"] * len(sentences[number]), None
                for position, word in enumerate(encodings.word_ids(int(number))):
                    if word is not None and word != last:
                        tags[word] = names[best[row, position]]
                    last = word
                found[number] = entities(sentences[number], tags)
        return found

    return tag


def main() -> None:
    """Loads the contender, warms it up, and takes turns."""
    kind, model, file = sys.argv[1:]
    sentences = json.loads(Path(file).read_text("utf-8"))
    makers = {"tagger-words": lambda: tagger(model, False), "tagger-text": lambda: tagger(model, True)}
    makers |= {"graph-text": lambda: graph(model), "onnx": lambda: onnx(model)}
    name, _, batch = kind.partition("pipeline-")
    tag = pipeline(model, int(batch), bool(name)) if batch else makers[name]()
    twenty = [(words * 20)[:20] for words in sentences[:100]]
    tag(sentences[:200])
    tag(twenty[:1])
    word = ready()
    while True:
        start = time.perf_counter()
        if word == "all":
            found = tag(sentences)
            word = answer({"seconds": time.perf_counter() - start, "found": found})
        else:
            times = []
            for one in twenty:
                start = time.perf_counter()
                tag([one])
                times.append(time.perf_counter() - start)
            word = answer({"times": times})


if __name__ == "__main__":
    main()
