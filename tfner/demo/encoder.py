"""The embedded encoder: a small BERT with a vocabulary made from the embedded corpus, which has learnt nothing yet.

In goes nothing, out comes an ordinary transformers model folder in the user's cache. Its weights are drawn from a seed, but for
heads that start at a word's neighbours: it knows no language, and learns all it will know in the training.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError

ENCODER_SEED = 0
OFTEN, OFTEN_CAPITALISED = 3, 60  # times in train: a word becomes one piece
SHARED_BY = 5  # words with a beginning or ending in common: it becomes a piece
ENCODER = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
    "initializer_range": 0.02,
}
POSITION_UNITS = 32  # of a hidden vector: kept for the position at the start; a head's size
POSITION_SCALE = 0.04
LOOK_AT = (-1, 1, -2, 2)  # places from a word at which the heads start to look
SHARPNESS = 1.2  # of that look, as a factor of queries and keys
KERNEL_SCALE = 0.5
_FILES = ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def demo_encoder(folder: Path | None = None) -> Path:
    """The folder of the embedded encoder, made on the first call: a small cased BERT that has learnt nothing yet.

    Its WordPiece vocabulary comes from the train split of `demo_corpus()`, its weights from a seed (`_initial_weights` says
    how), the same in every process and without touching anyone's random state. `folder` is where to put it; by default a
    subfolder of the user's cache (`$XDG_CACHE_HOME` or `~/.cache`). It is written beside and renamed into place, and
    used again when complete.

    Raises UserError where the folder cannot be written.
    """
    if folder is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "tfner" / f"demo-encoder-{_fingerprint()}"
    folder = Path(folder)
    if _complete(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"the embedded encoder needs a folder to write to, but {folder.parent} cannot be written ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder that can"
        ) from error
    try:
        _write_encoder(beside)
        beside.chmod(0o755)
        if folder.is_dir() and not _complete(folder):
            others = sorted(path.name for path in folder.iterdir() if path.name not in (*_FILES, "special_tokens_map.json"))
            if others:
                raise UserError(f"{folder} holds something else ({others[0]}): name a new folder for the embedded encoder")
            shutil.rmtree(folder)
        try:
            beside.rename(folder)
        except OSError:
            if not _complete(folder):  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _FILES)


def _fingerprint() -> str:
    """Changes with whatever decides the encoder's contents."""
    settings = repr((sorted(ENCODER.items()), ENCODER_SEED, POSITION_UNITS, POSITION_SCALE, LOOK_AT, SHARPNESS, KERNEL_SCALE))
    return hashlib.sha256("\n".join(["1", settings, *_vocabulary()]).encode()).hexdigest()[:12]


def _vocabulary() -> list[str]:
    """Word pieces in the order of their ids, from the train split of `demo_corpus()`.

    Special tokens; every printable ASCII and Latin-1 character alone and as a continuation (so that no ordinary word becomes
    [UNK] whole); words that occur often; beginnings and endings that several words share. Rare words, most names among them,
    come in pieces, so that the model learns to read names it has not seen.
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
    """Writes the model folder: no TensorFlow, and nobody's random state, is needed for it."""
    from safetensors.numpy import save_file
    from transformers import BertConfig, BertTokenizerFast

    vocabulary = _vocabulary()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary), encoding="utf-8")
    limit = ENCODER["max_position_embeddings"]
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, strip_accents=False, model_max_length=limit)
    tokenizer.save_pretrained(folder)
    BertConfig(vocab_size=len(vocabulary), architectures=["BertModel"], **ENCODER).save_pretrained(folder)
    save_file(_initial_weights(len(vocabulary)), folder / "model.safetensors", metadata={"format": "pt"})


def _initial_weights(vocabulary_size: int) -> dict[str, np.ndarray]:
    """Seeded start values for a BERT by PyTorch's names, float32; kernels have shape (outputs, inputs).

    Kernels are normal with deviation `KERNEL_SCALE`/sqrt(inputs), LayerNorms ones, biases zeros. Word embeddings leave the
    first `POSITION_UNITS` units free; there positions are sines and cosines, and in every layer the heads start with
    queries and keys that meet `LOOK_AT` places from a word. A few thousand sentences do not teach a random BERT where a
    word's neighbours are; this start does.
    """
    rng = np.random.default_rng(ENCODER_SEED)
    units, hidden, wide = POSITION_UNITS, ENCODER["hidden_size"], ENCODER["intermediate_size"]
    pairs, size = units // 2, hidden // ENCODER["num_attention_heads"]
    frequencies = np.pi * 0.01 ** (np.arange(pairs) / (pairs - 1))  # radians per place
    angles = np.arange(ENCODER["max_position_embeddings"])[:, None] * frequencies
    weights: dict[str, np.ndarray] = {}

    def dense(name: str, outputs: int, inputs: int) -> np.ndarray:
        weights[f"{name}.weight"] = rng.normal(scale=KERNEL_SCALE * inputs**-0.5, size=(outputs, inputs)).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(outputs, np.float32)
        return weights[f"{name}.weight"]

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)

    def turn(places: int) -> np.ndarray:
        """Maps the position units of place p to those of p + places; shape (units, units)."""
        cos, sin = np.diag(np.cos(places * frequencies)), np.diag(np.sin(places * frequencies))
        return np.block([[cos, sin], [-sin, cos]])

    for kind, rows in (("word", vocabulary_size), ("token_type", 2)):
        table = rng.normal(scale=0.02, size=(rows, hidden)).astype(np.float32)
        table[:, :units] = 0
        weights[f"embeddings.{kind}_embeddings.weight"] = table
    positions = np.zeros((len(angles), hidden), np.float32)
    positions[:, :units] = POSITION_SCALE * np.hstack([np.sin(angles), np.cos(angles)])
    weights["embeddings.position_embeddings.weight"] = positions
    norm("embeddings.LayerNorm")
    for layer in range(ENCODER["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key = (dense(f"{name}.attention.self.{part}", hidden, hidden) for part in ("query", "key"))
        for head, places in enumerate(LOOK_AT):
            rows = slice(head * size, (head + 1) * size)
            for kernel, start in ((query, turn(places)), (key, np.eye(units))):
                kernel[rows] *= 0.25
                kernel[rows, :units] = SHARPNESS * start
        dense(f"{name}.attention.self.value", hidden, hidden)
        dense(f"{name}.attention.output.dense", hidden, hidden)
        norm(f"{name}.attention.output.LayerNorm")
        dense(f"{name}.intermediate.dense", wide, hidden)
        dense(f"{name}.output.dense", hidden, wide)
        norm(f"{name}.output.LayerNorm")
    dense("pooler.dense", hidden, hidden)
    return weights
