"""The model card that travels with an exported model: what it is, how it was trained, how good it is, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfner import __version__
from tfner.config import Config
from tfner.labels import LabelSet
from tfner.scores import Scores, format_scores

_VARIANTS = {
    "finetune": "encoder, dropout, one classification layer",
    "head": "encoder, an MLP head, a classification layer",
    "replace": "encoder without its last transformer layer, dropout, one classification layer",
}


def model_card(config: Config, labels: LabelSet, scores: Mapping[str, Scores], history: Sequence[Mapping[str, str]]) -> str:
    """A model card in Markdown."""
    parts = [
        f"# {config.variant}: {config.task} on {config.corpus}\n",
        f"Trained by tfner {__version__}. Variant `{config.variant}`: {_VARIANTS[config.variant]}. Encoder `{config.encoder}`, "
        f"corpus `{config.corpus}`, {len(history)} epochs, learning rate {config.learning_rate:g} (new layers "
        f"{config.head_learning_rate:g}), {config.batch_size} sentences a step, seed {config.seed}. "
        "All settings: `config.json`.\n",
        f"Labels, by id: {', '.join(f'{i} `{name}`' for i, name in enumerate(labels.names))}.\n",
    ]
    for split, s in scores.items():
        parts.append(f"## Scores on the {split} split\n\n```\n{format_scores(s)}\n```\n")
    parts.append(
        "## Signature `pieces`\n\n`input_ids` and `attention_mask`, int32, shape (batch, length), from the tokenizer in "
        "`tokenizer/`; gives `probabilities`, float32, shape (batch, length, labels). The prediction of a word is that of its "
        "first word piece.\n\n```python\nfrom tfner.tagger import Tagger\n\nTagger.load(FOLDER).tag(TEXT)\n```\n"
    )
    return "\n".join(parts)
