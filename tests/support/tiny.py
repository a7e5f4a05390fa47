"""Tiny random encoders on disk for tests: every size differs, every weight is drawn at random, so that a swap shows.

Weights are drawn much larger than a model's initial ones (biases and norms as well), so that no part of a model is close to
doing nothing. Nothing here needs the network.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_TEXT = "EU rejects German call to boycott British lamb . Peter Blackburn said in Nice"
_PIECES = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] EU rejects German call to boycott British la ##mb . Peter Blackburn said in Nice U ##nice "
    "un ##believ ##able ##s ##z x y"
)
WORDS, PIECES = _TEXT.split(), _PIECES.split()
POSITIONS = 40

SIZES = {
    "bert": {"vocab_size": len(PIECES) + 2, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
    | {"intermediate_size": 28, "max_position_embeddings": POSITIONS, "type_vocab_size": 2},
    "distilbert": {"vocab_size": len(PIECES) + 2, "dim": 20, "n_layers": 4, "n_heads": 2, "hidden_dim": 44}
    | {"max_position_embeddings": POSITIONS + 1},
    "roberta": {"hidden_size": 18, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 50}
    | {"max_position_embeddings": POSITIONS + 4, "type_vocab_size": 1, "pad_token_id": 1},
    "electra": {"vocab_size": len(PIECES) + 2, "embedding_size": 14, "hidden_size": 30, "num_hidden_layers": 3}
    | {"num_attention_heads": 5, "intermediate_size": 34, "max_position_embeddings": POSITIONS + 3, "type_vocab_size": 2},
}
"""The sizes of the config of each architecture; RoBERTa's vocabulary is as large as its tokenizer came out."""

ARCHITECTURES = tuple(SIZES)
LIKE_ROBERTA = ("camembert", "xlm-roberta")
"""Other names for RoBERTa's classes: `trained_folder` knows them too."""

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def wordpiece_tokenizer(folder: Path, kind: str = "bert"):
    """A fast cased WordPiece tokenizer of `PIECES`, of the class that belongs to an architecture."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(PIECES) + "\n", "utf-8")
    name = {"bert": "BertTokenizerFast", "distilbert": "DistilBertTokenizerFast", "electra": "ElectraTokenizerFast"}[kind]
    return getattr(transformers, name)(str(vocabulary), do_lower_case=False)


def byte_level_tokenizer(folder: Path):
    """A fast RoBERTa tokenizer, byte-level BPE trained on a few sentences, as RoBERTa's own without `add_prefix_space`."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    trained = ByteLevelBPETokenizer(add_prefix_space=True)
    text = [" ".join(WORDS), "Peter rejects the unbelievable call in Nice .", "German lamb and British lambs"] * 3
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(text, vocab_size=340, min_frequency=2, special_tokens=special, show_progress=False)
    files = trained.save_model(str(folder))
    return RobertaTokenizerFast(*files)


def unigram_tokenizer(folder: Path):
    """A fast XLM-RoBERTa tokenizer: SentencePiece's unigram model, of pieces of `WORDS` and single letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import XLMRobertaTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = [*WORDS, "x", "Unice", "unbelievable"]
    parts = {part for word in words for part in ("\u2581" + word[:3], word[3:]) if part}
    pieces = dict.fromkeys(("<s>", "<pad>", "</s>", "<unk>", "<mask>"), 0.0)
    pieces |= dict.fromkeys(sorted({*"".join(words), "▁"}), -9.0) | dict.fromkeys(sorted(parts), -2.0)
    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=3))
    parts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Sequence(parts), decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer)


def model_folder(folder: Path, kind: str, seed: int = 7, **sizes) -> Path:
    """Writes a folder with config, tokenizer and random weights (safetensors) of an architecture and returns it."""
    import transformers

    own = {"roberta": byte_level_tokenizer, "xlm-roberta": unigram_tokenizer}.get(kind)
    tokenizer = own(folder) if own else wordpiece_tokenizer(folder, kind)
    tokenizer.save_pretrained(folder)
    usual = SIZES["roberta" if kind in LIKE_ROBERTA else kind]
    config = transformers.AutoConfig.for_model(kind, **({"vocab_size": len(tokenizer) + 3} | usual | sizes))
    model = transformers.TFAutoModel.from_config(config)
    model(model.dummy_inputs)
    scatter(model, seed)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def scatter(model, seed: int) -> None:
    """Gives every weight of a built model a random value of its own: factors around 1, everything else around 0."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        around = 1.0 if "gamma" in variable.name else 0.0
        variable.assign(generator.normal(around, 0.3, variable.shape))


def exported_model(folder: Path, kind: str = "bert", name: str = "finetune", seed: int = 7) -> Path:
    """Exports a random model of a variant, as after a training; returns the folder of the version.

    Its logits are spread and centred, so that words of one sentence get different labels.
    """
    from tfner import export
    from tfner import folder as folders
    from tfner.config import make_config
    from tfner.labels import CONLL_TYPES, LabelSet
    from tfner.modeling.pretrained import load_tokenizer
    from tfner.modeling.variants import build_model
    from tfner.training import state as states
    from tfner.training.report import COLUMNS

    source = str(model_folder(folder / f"{kind}-encoder", kind, seed))
    config = make_config(variant=name, encoder=source, learning_rate=1e-3, head_learning_rate=1e-3, output=str(folder / name))
    labels = LabelSet.from_types(CONLL_TYPES)
    state = folder / name / "training" / "1"
    state.mkdir(parents=True)
    states.begin_state(state, config, {config.task: labels}, source, load_tokenizer(source))
    (state / folders.HISTORY).write_text(",".join(COLUMNS) + "\n", "utf-8")
    model = build_model(name, source, len(labels), config)
    scatter(model, seed)
    kernel, bias = model.weights[-2:]
    kernel.assign(8 * kernel)
    logits = model(dict(zip(("input_ids", "attention_mask"), random_inputs([30] * 8, len(PIECES)), strict=True)))
    bias.assign_sub(np.mean(logits, axis=(0, 1)))
    model.save_weights(state / folders.WEIGHTS)
    return export.export(folder / name)


def labelled_corpus(folder: Path) -> Path:
    """Writes a corpus of columns whose tags are those of `LABELS`, and returns its folder."""
    folder.mkdir()
    for split in ("train", "validation"):
        tags = [LABELS[i % len(LABELS)] for i in range(len(WORDS))]
        (folder / f"{split}.txt").write_text("".join(f"{w} {t}\n" for w, t in zip(WORDS, tags, strict=True)) + "\n", "utf-8")
    return folder


def random_inputs(lengths: list[int], vocabulary: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Padded ids and mask of rows of random pieces; padding is filled with random ids too, as the mask alone must hide it."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(5, vocabulary, (len(lengths), max(lengths))).astype(np.int32)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int32)
    return ids, mask


def trained_folder(folder: Path, kind: str, variant: str, **settings) -> Path:
    """What a training of a tiny encoder on `LABELS` leaves, with random weights everywhere."""
    from tfner import folder as folders
    from tfner.config import make_config
    from tfner.evaluation import scores
    from tfner.labels import LabelSet
    from tfner.modeling.pretrained import load_tokenizer
    from tfner.modeling.variants import build_model
    from tfner.training import state as states

    encoder = model_folder(folder / "encoder", "roberta" if kind in LIKE_ROBERTA else kind)
    if kind in LIKE_ROBERTA:
        config = json.loads((encoder / "config.json").read_text("utf-8"))
        (encoder / "config.json").write_text(json.dumps({**config, "model_type": kind}), "utf-8")
    config = make_config(
        "standard", variant=variant, encoder=str(encoder), learning_rate=1e-3, head_learning_rate=1e-3, dropout=0.3, **settings
    )
    model = build_model(variant, str(encoder), len(LABELS), config)
    scatter(model, 11)
    state = folder / "model" / "training" / "1"
    state.mkdir(parents=True)
    states.begin_state(state, config, {config.task: LabelSet(LABELS)}, str(encoder), load_tokenizer(str(encoder)))
    model.save_weights(state / folders.WEIGHTS)
    (state / folders.HISTORY).write_text("epoch,loss,val_loss,f1\n1,0.5,0.4,0.25\n", "utf-8")
    scores.write_scores(state / folders.SCORES, {})
    return folder / "model"
