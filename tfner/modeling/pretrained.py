"""Where an encoder comes from: a model folder, the Hugging Face hub, or the embedded one; its config and its tokenizer.

In goes a name, out come transformers objects, or one line that says what is wrong with the name. Weights are `models`'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from tfner.errors import UserError, one_line


def require_fast(tokenizer) -> None:
    """Raises UserError for a slow tokenizer: only fast ones say which word a piece comes from."""
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"{type(tokenizer).__name__} is a slow tokenizer, which cannot say which word a piece comes from: expected a "
            "fast one; save its folder again with AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...), or "
            "choose another encoder"
        )


def encoder_source(name: str | Path) -> str:
    """The folder or hub name to load an encoder from; `demo` is the embedded one, made in the cache when first needed.

    Raises UserError for a path that is no model folder.
    """
    name = str(name)
    if name == "demo":
        from tfner.demo.encoder import demo_encoder  # generates a corpus first, which other encoders do not need

        return str(demo_encoder())
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(
                f"{name}: expected a model folder with config.json, tokenizer files and weights; config.json is missing"
            )
        return str(path)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(
            f"{name}: no such model folder; give a folder with config.json, a name on the Hugging Face hub, or demo"
        )
    return name


def from_hub_or_folder(name: str, what: str, load: Callable):
    """Calls `load(name)`, one of transformers' `from_pretrained`, and tells a failure in one line.

    Raises UserError when the hub is out of reach, the name is unknown, or files are missing or damaged.
    """
    options = {} if Path(name).is_dir() or _hub_answers() else {"local_files_only": True}  # what is cached loads all the same
    try:
        return load(name, **options)
    except Exception as error:
        # what transformers raises for all of these, and the bare Exception that tokenizers raises for a damaged tokenizer.json
        if not isinstance(error, (OSError, ValueError, KeyError, TypeError)) and type(error) is not Exception:
            raise
        if Path(name).is_dir():
            raise UserError(f"{name}: its {what} cannot be loaded: {one_line(error, 300)}") from error
        raise UserError(
            f"the {what} of {name!r} cannot be loaded from the Hugging Face hub (out of reach, or no such model): give a "
            f"local folder with --encoder FOLDER, or use the embedded encoder with --encoder demo ({one_line(error)})"
        ) from error


@functools.cache
def _hub_answers() -> bool:
    """Whether the hub can be reached; asked once, as transformers itself would try for 23 s, file by file."""
    import requests
    from huggingface_hub import constants

    try:
        requests.head(constants.ENDPOINT, timeout=5)
    except OSError:
        return False
    return True


def load_tokenizer(source: str):
    """The fast tokenizer of a model folder or hub name, ready for words (`add_prefix_space` set where a tokenizer needs it).

    Raises UserError for a slow tokenizer or one that cannot be loaded.
    """
    from transformers import AutoTokenizer

    tokenizer = from_hub_or_folder(source, "tokenizer", AutoTokenizer.from_pretrained)
    require_fast(tokenizer)
    if getattr(tokenizer, "add_prefix_space", True) is False:  # byte-level BPE: words come without their leading space
        tokenizer = AutoTokenizer.from_pretrained(source, add_prefix_space=True)
    return tokenizer


def load_encoder_config(source: str):
    """The transformers config of a model folder or hub name. Raises UserError where it cannot be loaded."""
    from transformers import AutoConfig

    return from_hub_or_folder(source, "config", AutoConfig.from_pretrained)


def piece_limit(config, tokenizer) -> int:
    """The longest row, in pieces, that an encoder's position embeddings allow (512 where it has none)."""
    positions = getattr(config, "max_position_embeddings", None) or 512
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= config.pad_token_id + 1  # their positions start behind the padding index
    return min(positions, tokenizer.model_max_length)
