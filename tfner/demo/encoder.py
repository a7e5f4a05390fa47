"""The embedded encoder: a small untrained BERT with a vocabulary from the embedded corpus.

Takes a folder, by default in the user's cache, and writes an ordinary transformers model folder there. Its weights are random,
from a seed, with two exceptions: attention heads start by looking at the neighbours of a word, and words start alike that occur
beside the same words in the embedded corpus. No tag is used, and nothing is trained.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError
from tfner.folder import publish

ENCODER_SEED = 0
OFTEN, OFTEN_CAPITALISED = 3, 60
"""How often a word in lower case, or any other word, has to occur in train to become one piece."""
SHARED_BY = 5
"""How many words have to share a beginning or an ending for it to become a piece."""
ENCODER: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 512,
    "initializer_range": 0.02,
}
POSITION_UNITS = 32
"""Units of a hidden vector that initially hold only the position. This is also the size of a head."""
POSITION_SCALE = 0.04
LOOK_AT = (-1, 1, -2, 2)
"""For each head, the distance in pieces at which it initially looks."""
SHARPNESS = 1.2
"""How strongly it looks there: the factor of its queries and keys."""
KERNEL_SCALE = 0.5
WORD_SCALE = 0.04
"""The standard deviation of word embeddings."""
NEIGHBOURS = (-2, -1, 1, 2)
"""The distances in pieces at which the neighbours of a piece are counted for its embedding."""
NEIGHBOUR_SMOOTHING = 0.75
"""The power of the frequency of a neighbour, from Levy, Goldberg & Dagan 2015."""
_FILES = ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def demo_encoder(folder: str | Path | None = None) -> Path:
    """The folder of the embedded encoder, written on the first call.

    Its files are the same in every process, and nobody's random state is changed. Several processes may call this at once.

    Args:
        folder: where to write it. By default it is a subfolder of the user's cache (`$XDG_CACHE_HOME` or `~/.cache`).

    Raises:
        UserError: where the folder holds other files, or cannot be written.
    """
    if folder is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "tfner" / f"demo-encoder-{_fingerprint()}"
    folder = Path(folder)
    if _complete(folder):
        return folder
    try:
        _remove_incomplete(folder)
        publish(folder, _write_encoder)
    except (OSError, UserError) as error:
        if _complete(folder):  # another process was faster
            return folder
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"the embedded encoder cannot be written here ({error.strerror or error}): set the environment variable "
            "XDG_CACHE_HOME to a folder that can be written",
            folder,
        ) from error
    return folder


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _FILES)


def _remove_incomplete(folder: Path) -> None:
    """Removes a folder with only some of the files. Raises UserError where it holds others."""
    if not folder.is_dir():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in (*_FILES, "special_tokens_map.json"))
    if others:
        raise UserError(
            f"expected a new folder for the embedded encoder, found {', '.join(others[:5])}: choose another folder", folder
        )
    shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it too


def _fingerprint() -> str:
    """A short hash of everything that determines the encoder's files."""
    settings = repr((sorted(ENCODER.items()), ENCODER_SEED, POSITION_UNITS, POSITION_SCALE, LOOK_AT, SHARPNESS, KERNEL_SCALE))
    settings += repr((WORD_SCALE, NEIGHBOURS, NEIGHBOUR_SMOOTHING))
    return hashlib.sha256("\n".join(["2", settings, *_vocabulary()]).encode()).hexdigest()[:12]


def _vocabulary() -> list[str]:
    """The word pieces in the order of their ids, from the train split of `demo_corpus()`.

    They are the special tokens; every printable ASCII and Latin-1 character, alone and as a continuation, so that no ordinary
    word becomes [UNK]; frequent words; and beginnings and endings that several words share. Rare words, which include most
    names, are split into pieces, so the model learns to read names that it has not seen.
    """
    words = Counter(word for sentence in demo_corpus().splits["train"] for word in sentence.words)
    pieces = [word for word, count in words.items() if count >= (OFTEN if word.islower() else OFTEN_CAPITALISED)]
    shared: Counter[str] = Counter()
    for word in words:
        if word.isalpha():
            shared.update(word[:n] for n in (2, 3, 4) if len(word) > n)
            shared.update(f"##{word[-n:]}" for n in (2, 3, 4) if len(word) > n)
    pieces += [piece for piece, count in shared.items() if count >= SHARED_BY]
    characters = [chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x100)) if code != 0xAD]
    return list(dict.fromkeys(_SPECIAL + characters + [f"##{c}" for c in characters] + sorted(pieces)))


def _write_encoder(folder: Path) -> None:
    """Writes the files of the model, without TensorFlow."""
    from safetensors.numpy import save_file
    from transformers import BertConfig, BertTokenizerFast

    vocabulary = _vocabulary()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary), encoding="utf-8")
    limit = ENCODER["max_position_embeddings"]
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, strip_accents=False, model_max_length=limit)
    tokenizer.save_pretrained(folder)
    BertConfig(vocab_size=len(vocabulary), architectures=["BertModel"], **ENCODER).save_pretrained(folder)
    encoded = tokenizer([list(s.words) for s in demo_corpus().splits["train"]], is_split_into_words=True)["input_ids"]
    words = _word_vectors(encoded, len(vocabulary), ENCODER["hidden_size"] - POSITION_UNITS)
    save_file(_initial_weights(words), folder / "model.safetensors", metadata={"format": "pt"})


def _word_vectors(sentences: Sequence[Sequence[int]], number: int, size: int) -> np.ndarray:
    """A vector for each piece such that pieces with the same neighbours have similar ones; shape (number, size), float32.

    Positive pointwise mutual information of pieces and their neighbours at each distance, its singular vectors scaled by the
    square roots of their values, every row of length 1 (Levy, Goldberg & Dagan 2015). A piece that never occurs gets zeros.

    Args:
        sentences: the ids of the pieces of each sentence.
        number: the number of pieces.
        size: the number of units of a vector.
    """
    beside = [np.zeros((number, number)) for _ in NEIGHBOURS]
    for sentence in map(np.asarray, sentences):
        for distance, table in zip(NEIGHBOURS, beside, strict=True):
            start, end = max(0, -distance), len(sentence) - max(0, distance)
            np.add.at(table, (sentence[start:end], sentence[start + distance : end + distance]), 1)
    counts = np.hstack(beside)
    neighbours = counts.sum(0) ** NEIGHBOUR_SMOOTHING
    expected = counts.sum(1, keepdims=True) * neighbours / neighbours.sum()
    information = np.log(np.divide(counts, expected, out=np.ones_like(counts), where=counts > expected))
    values, vectors = np.linalg.eigh(information @ information.T)  # singular values, squared, in ascending order
    vectors = vectors[:, : -size - 1 : -1] * np.maximum(values[: -size - 1 : -1], 0) ** 0.25
    vectors *= np.where(vectors.sum(0) < 0, -1, 1)  # otherwise the signs depend on the library
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: np.ndarray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)
    return units.astype(np.float32)


def _initial_weights(words: np.ndarray) -> dict[str, np.ndarray]:
    """The initial weights of a BERT from a seed, float32, by PyTorch's names; kernels have shape (outputs, inputs).

    Kernels are normal with standard deviation `KERNEL_SCALE` / sqrt(inputs), LayerNorms are ones, biases are zeros. Word
    embeddings are zero in the first `POSITION_UNITS` units, where positions are sines and cosines, and hold the vectors `words`
    in the others. In every layer, the queries and keys of the heads match at the distances `LOOK_AT`. A few thousand sentences
    do not teach a random BERT where the neighbours of a word are, nor what rare words have in common, so the weights encode it.
    """
    rng = np.random.default_rng(ENCODER_SEED)
    units, hidden, wide = POSITION_UNITS, ENCODER["hidden_size"], ENCODER["intermediate_size"]
    pairs, size = units // 2, hidden // ENCODER["num_attention_heads"]
    frequencies = np.pi * 0.01 ** (np.arange(pairs) / (pairs - 1))  # radians per piece
    angles = np.arange(ENCODER["max_position_embeddings"])[:, None] * frequencies
    weights: dict[str, np.ndarray] = {}

    def dense(name: str, outputs: int, inputs: int) -> np.ndarray:
        weights[f"{name}.weight"] = rng.normal(scale=KERNEL_SCALE * inputs**-0.5, size=(outputs, inputs)).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(outputs, np.float32)
        return weights[f"{name}.weight"]

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)

    known = words.any(1)
    table = rng.normal(scale=WORD_SCALE, size=(len(words), hidden)).astype(np.float32)
    table[known, units:] = WORD_SCALE / words[known].std() * words[known]
    table[:, :units] = 0
    weights["embeddings.word_embeddings.weight"] = table
    weights["embeddings.token_type_embeddings.weight"] = np.zeros((2, hidden), np.float32)
    positions = np.zeros((len(angles), hidden), np.float32)
    positions[:, :units] = POSITION_SCALE * np.hstack([np.sin(angles), np.cos(angles)])
    weights["embeddings.position_embeddings.weight"] = positions
    norm("embeddings.LayerNorm")
    for layer in range(ENCODER["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key = (dense(f"{name}.attention.self.{part}", hidden, hidden) for part in ("query", "key"))
        for head, places in enumerate(LOOK_AT):
            own = slice(head * size, (head + 1) * size)
            for kernel, start in ((query, _shift(places * frequencies)), (key, np.eye(units))):
                kernel[own] *= 0.25
                kernel[own, :units] = SHARPNESS * start
        dense(f"{name}.attention.self.value", hidden, hidden)
        dense(f"{name}.attention.output.dense", hidden, hidden)
        norm(f"{name}.attention.output.LayerNorm")
        dense(f"{name}.intermediate.dense", wide, hidden)
        dense(f"{name}.output.dense", hidden, wide)
        norm(f"{name}.output.LayerNorm")
    dense("pooler.dense", hidden, hidden)
    return weights


def _shift(angles: np.ndarray) -> np.ndarray:
    """Rotates pairs of position units by angles (radians, shape (pairs,)); shape (2 pairs, 2 pairs)."""
    cos, sin = np.diag(np.cos(angles)), np.diag(np.sin(angles))
    return np.block([[cos, sin], [-sin, cos]])
