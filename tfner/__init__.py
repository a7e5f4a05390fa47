"""Fine-tunes pretrained BERT-family encoders for token classification with TensorFlow, in three variants, and serves them.

The public names are imported on first use, so that `import tfner` loads neither TensorFlow nor transformers. The verbs
(`tfner.train`, `tfner.evaluate`, ...) are modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Config": "tfner.config",
    "Entity": "tfner.labels",
    "LabelSet": "tfner.labels",
    "Tagger": "tfner.tagging.tagger",
    "load_corpus": "tfner.data.load",
    "load_tagger": "tfner.tagging.load",
}
__all__ = ["Config", "Entity", "LabelSet", "Tagger", "load_corpus", "load_tagger"]

if TYPE_CHECKING:
    from tfner.config import Config
    from tfner.data.load import load_corpus
    from tfner.labels import Entity, LabelSet
    from tfner.tagging.load import load_tagger
    from tfner.tagging.tagger import Tagger


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tfner' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
