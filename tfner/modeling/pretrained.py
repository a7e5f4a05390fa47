"""The config and the tokenizer of an encoder, from a model folder, the Hugging Face hub or the embedded encoder.

Takes the encoder's name; returns transformers objects. Its weights are loaded in `variants`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tfner.connection import hub_answers, unreachable
from tfner.errors import UserError, one_line, setting
from tfner.folder import (
    CHECKPOINTS,
    CONFIG,
    DESCRIPTION,
    ENCODER,
    SAVED_MODEL,
    TRAINING,
    WEIGHTS,
    digest,
    read_json,
    versions,
)
from tfner.modeling.tokenizer import require_fast
from tfner.terminal import quote

Loaded = TypeVar("Loaded")

CLASSES = {
    "bert": ("BertForTokenClassification", "bert"),
    "camembert": ("CamembertForTokenClassification", "roberta"),
    "distilbert": ("DistilBertForTokenClassification", "distilbert"),
    "electra": ("ElectraForTokenClassification", "electra"),
    "roberta": ("RobertaForTokenClassification", "roberta"),
    "xlm-roberta": ("XLMRobertaForTokenClassification", "roberta"),
}
"""For each model type, the class with the architecture of `finetune` (encoder, dropout, one linear layer on the last hidden
states), and the name of the encoder in that class."""

_MOST = {
    "hidden_size": 2**16,
    "num_hidden_layers": 1000,
    "num_attention_heads": 2**10,
    "intermediate_size": 2**18,
    "vocab_size": 2**24,
    "type_vocab_size": 2**16,
    "embedding_size": 2**16,
}
"""The largest sizes of an encoder that are taken from its config, before memory is asked for."""
_MOST_VALUES = 2**32  # 16 GiB in float32


def encoder_source(name: str | Path) -> str:
    """The folder or hub name to load an encoder from.

    For `demo` it is the embedded encoder, made in the cache on first use; for a model that tfner trained, the export for
    transformers of its newest weights.

    Raises UserError for a path that is not a model folder, and for a trained model that has, or can have, no such export.
    """
    name = str(name)
    if name == "demo":
        from tfner.demo.encoder import demo_encoder  # generates a corpus first, which other encoders do not need

        return str(demo_encoder())
    path = Path(name).expanduser()
    if state := newest_state(path):
        exported = _export_of(path, state)
        if exported is None:
            variant, kind = read_json(state / CONFIG)["variant"], load_encoder_config(str(state / ENCODER)).model_type
            if variant == "head" or kind not in CLASSES:
                raise UserError(
                    f"{setting('encoder', name)}: expected a model of variant finetune or replace with an encoder of type "
                    f"{', '.join(CLASSES)}, which can be exported as an encoder, found {variant} with {kind}: choose another "
                    "model, or give the encoder that it was trained from"
                )
            raise UserError(
                f"{setting('encoder', name)}: this is a model of tfner, and its newest weights are not exported as an encoder: "
                f"do it with python -m tfner.export {quote(path)} --format transformers"
            )
        return str(exported)
    if (path / SAVED_MODEL).is_file():
        model = quote(path.absolute().parent)
        raise UserError(f"{setting('encoder', name)}: this is an exported version: give the model's folder, {model}")
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(
                f"{setting('encoder', name)}: expected a folder with config.json, tokenizer files and weights, but "
                "config.json is missing: choose another folder, or save the model there again with save_pretrained"
            )
        if any(path.glob("pytorch_model*.bin")) and not any(path.glob("*.safetensors")) and not any(path.glob("tf_model*.h5")):
            raise UserError(
                f"{setting('encoder', name)}: its weights are a pickle (pytorch_model.bin), which can run any code when it is "
                "read, so tfner does not read it: save the model as safetensors, with save_pretrained of transformers 4.35 or "
                "later and PyTorch, on a machine that may run it"
            )
        return str(path)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        found = "this is a file" if path.exists() else "there is no such folder"
        raise UserError(
            f"{setting('encoder', name)}: expected a folder with config.json, a name on the Hugging Face hub, or demo, but "
            f"{found}"
        )
    return name


def from_hub_or_folder(name: str, what: str, load: Callable[..., Loaded]) -> Loaded:
    """Calls `load(name)`, one of transformers' `from_pretrained` functions, and turns its failures into UserErrors.

    Args:
        name: a model folder or hub name.
        what: what is loaded, for messages: "config", "tokenizer" or "weights".
        load: takes `name` and options of transformers.

    Raises:
        UserError: where the hub cannot be reached, the name is unknown, or files are missing or damaged.
    """
    options = {"trust_remote_code": False}  # without it, transformers asks whether code of the model may run
    if not Path(name).is_dir() and not hub_answers():
        options["local_files_only"] = True  # uses the cache of transformers
    try:
        return load(name, **options)
    except Exception as error:
        # transformers raises these types for all of the above, and tokenizers a bare Exception for a damaged tokenizer.json
        if not isinstance(error, (OSError, ValueError, KeyError, TypeError)) and type(error) is not Exception:
            raise
        if Path(name).is_dir():
            raise UserError(
                f"the {what} cannot be loaded ({one_line(error)}): save the model there again with save_pretrained, or "
                "choose another encoder",
                name,
            ) from error
        remedy = (
            f"give a local folder with {setting('encoder', 'FOLDER')}, or use the embedded encoder with "
            f"{setting('encoder', 'demo')}"
        )
        raise unreachable(name, what, remedy, error) from error


def load_tokenizer(source: str) -> Any:
    """The fast tokenizer of a model folder or hub name, set up for words (with `add_prefix_space` where it has that option).

    Raises UserError for a slow tokenizer and for one that cannot be loaded.
    """
    from transformers import AutoTokenizer

    load: Any = AutoTokenizer.from_pretrained
    tokenizer = from_hub_or_folder(source, "tokenizer", load)
    require_fast(tokenizer)
    if getattr(tokenizer, "add_prefix_space", True) is False:  # byte-level BPE, whose words begin with a space
        tokenizer = load(source, add_prefix_space=True, trust_remote_code=False)
    return tokenizer


def load_encoder_config(source: str) -> Any:
    """The transformers config of a model folder or hub name.

    Raises UserError where it cannot be loaded, or has a size that no encoder has.
    """
    from transformers import AutoConfig

    config = from_hub_or_folder(source, "config", AutoConfig.from_pretrained)
    for size, most in _MOST.items():
        value = getattr(config, size, 1)
        least = 0 if size == "num_hidden_layers" else 1  # all layers may have been dropped
        if type(value) is not int or not least <= value <= most:
            raise UserError(
                f"config.json: expected {size} from {least} to {most:,}, found {reprlib.repr(value)}: choose another encoder",
                source,
            )
    values = getattr(config, "vocab_size", 1) * getattr(config, "hidden_size", 1)
    positions = getattr(config, "max_position_embeddings", None) or 1
    if values > _MOST_VALUES or type(positions) is not int or not 1 <= positions <= 2**20:
        raise UserError(
            f"config.json: expected at most {_MOST_VALUES:,} values in the table of word pieces and {2**20:,} positions, found "
            f"{values:,} and {reprlib.repr(positions)}: choose another encoder",
            source,
        )
    return config


def newest_state(model: Path) -> Path | None:
    """The newest training state of a model whose training is finished, or None if the folder has none."""
    states = [model / TRAINING / str(number) for number in reversed(versions(model / TRAINING))]
    return next((s for s in states if (s / WEIGHTS).is_file() and not (s / CHECKPOINTS).exists()), None)


def _export_of(model: Path, state: Path) -> Path | None:
    """The newest export for transformers of the weights of a training state, or None where there is none."""
    exports = [model / "transformers" / str(number) for number in reversed(versions(model / "transformers"))]
    exports = [folder for folder in exports if (folder / DESCRIPTION).is_file()]
    if not exports:
        return None
    wanted = digest(state / WEIGHTS)
    return next((folder for folder in exports if description_of(folder).get("weights") == wanted), None)


def description_of(source: str | Path) -> Mapping[str, Any]:
    """What tfner knows of an encoder that it exported for transformers; nothing of other encoders."""
    path = Path(source) / DESCRIPTION
    found: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return found


def own_temperature(source: str | Path) -> float:
    """What the classification layer that an encoder comes with was divided by, as tfner does at an export; usually 1."""
    return float(description_of(source).get("calibration", {}).get("temperature", 1.0))


def piece_limit(config: Any, tokenizer: Any) -> int:
    """The longest row in pieces that an encoder can take: its positions, or 512 where it has no position embeddings."""
    positions = getattr(config, "max_position_embeddings", None) or 512
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= config.pad_token_id + 1  # their positions start after the padding index
    return int(min(positions, tokenizer.model_max_length))
