"""Texts of random pieces through an exported graph and through the tagger in Python: both have to find the same.

    python benchmarks/fuzz/graph.py saved_models/head [--texts 10000] [--seed 1]

Words, offsets, labels and entities have to be equal, scores to 1e-3. Some texts are bytes that are not UTF-8. Prints the number
of texts and of differences; the exit status is 1 if there is any.
"""

from __future__ import annotations

import argparse
import random

import numpy as np

from tfner.contract import ENTITY_FIELDS, TEXT
from tfner.serving.servable import load_servable
from tfner.tagging.load import load_tagger

PIECES = [
    "Nice",
    "Ahmed",
    "Unice",
    "U.S.",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\x85",
    "\u2028",
    "\xa0",
    ".",
    "!",
    "?",
    "...",
    "'s",
    "n't",
]
PIECES += [
    "-",
    "@",
    "#",
    "http://a.b/c",
    "é",
    "e\u0301",
    "ß",
    "İ",
    "🇫🇷",
    "🇫",
    "👍🏽",
    "\u200d",
    "日",
    "。",
    "한",
    "ا",
    "\u202e",
    "\ufeff",
]
PIECES += ["1", "1,000.5", "$", "&amp;", "(", ")", '"', "’", "a" * 150, "x " * 200, "\0", "\ufffd", "[SEP]", "##s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of an exported model")
    parser.add_argument("--texts", type=int, default=10_000, help="how many texts [10000]")
    parser.add_argument("--seed", type=int, default=1, help="seed of the texts [1]")
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    graph, tagger = load_servable(arguments.model), load_tagger(arguments.model, "tensorflow")
    different = 0
    for start in range(0, arguments.texts, 50):
        texts = [data_of(generator) for _ in range(min(50, arguments.texts - start))]
        array = np.empty(len(texts), object)
        array[:] = texts
        found = graph.call(TEXT.name, {"text": array})
        read = [data.decode("utf-8", "replace").replace("\0", "\ufffd") for data in texts]
        for i, (text, entities) in enumerate(zip(read, tagger.tag_many(read), strict=True)):
            count = found["entity_count"][i]
            rows = list(zip(*(found[f"entity_{name}"][i][:count].tolist() for name in ENTITY_FIELDS), strict=True))
            expected = [
                tuple(value.encode() if isinstance(value, str) else value for value in (getattr(e, n) for n in ENTITY_FIELDS))
                for e in entities
            ]
            if not alike(rows, expected):
                different += 1
                print(f"{text!r}:\n  graph  {rows}\n  Python {expected}")
    print(f"{arguments.texts:,} texts, {different} of them different")
    raise SystemExit(different > 0)


def data_of(generator: random.Random) -> bytes:
    """A text of up to 40 pieces, or of up to 60 random bytes."""
    if generator.random() < 0.1:
        return generator.randbytes(generator.randrange(60))
    return "".join(generator.choices(PIECES, k=generator.randrange(40))).encode()


def alike(rows: list[tuple], expected: list[tuple]) -> bool:
    """Whether entities are equal, and their scores to 1e-3."""
    if len(rows) != len(expected):
        return False
    return all(
        abs(a - b) <= 1e-3 if isinstance(a, float) else a == b
        for one, other in zip(rows, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


if __name__ == "__main__":
    main()
