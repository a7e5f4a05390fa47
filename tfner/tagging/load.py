"""Loads the tagger of a model that is named by its folder or its address.

The kind of tagger follows from the name alone. Callers use only the interface of `Tagger`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfner.tagging.tagger import Tagger


def load_tagger(model: str | Path, **options: Any) -> Tagger:
    """Loads a tagger.

    Args:
        model: the folder of an exported version, a folder of versions, whose highest is used, or the address of a served
            model, `http://HOST:8501/v1/models/NAME` or `grpc://HOST:8500/NAME`.
        options: for an address, the keyword arguments of `ServedTagger`, such as `deadline`; a folder has none.

    Raises:
        UserError: where the model does not exist, its files are incomplete or damaged, or its server does not answer.
    """
    if is_address(model):
        from tfner.tagging.served import ServedTagger

        return ServedTagger(str(model), **options)
    from tfner.tagging.saved_model import SavedModelTagger

    return SavedModelTagger(model, **options)


def is_address(model: str | Path) -> bool:
    """Whether a model is named by the address of a server, not by a folder."""
    return "://" in str(model)
