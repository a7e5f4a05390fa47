"""The model card that travels with an exported model: what it is, how it was trained, how good it is, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfner import __version__
from tfner.config import VARIANTS, Config
from tfner.evaluation.scores import Scores, format_scores
from tfner.labels import LabelSet

_TEXT_SIGNATURES = """\
## Signature `serving_default`

Takes raw text and does everything in the graph: words, word pieces, overlapping windows for long texts (nothing is cut),
labels, entities. Input `text`, string, shape (batch,), UTF-8 (NUL and invalid bytes count as U+FFFD). All outputs are dense,
padded with 0 and empty strings; offsets are half-open and count Unicode characters of the text, or words.

| output | type, shape | |
|---|---|---|
| `entity_count` | int32 (batch,) | entities of each text |
| `entity_text`, `entity_type` | string (batch, most entities) | the entity as the text has it, its type |
| `entity_score` | float32 (batch, most entities) | mean probability of its words' labels |
| `entity_start`, `entity_end` | int32 (batch, most entities) | characters |
| `entity_first_word`, `entity_end_word` | int32 (batch, most entities) | words |
| `word_count` | int32 (batch,) | words of each text |
| `word_text`, `word_label` | string (batch, most words) | the word, its label |
| `word_score` | float32 (batch, most words) | probability of that label |
| `word_start`, `word_end` | int32 (batch, most words) | characters |

## Signature `words`

For text that is split already. Input `words`, string, shape (batch, words), sentences filled up with empty strings; outputs
`label`, string, and `score`, float32, both (batch, words).

"""

_PIECES = """\
## Signature `pieces`

`input_ids` and `attention_mask`, int32, shape (batch, length), from the tokenizer in `tokenizer/`; gives `probabilities`,
float32, shape (batch, length, labels). The prediction of a word is that of its first word piece.

"""

_USE = """\
## Use

```python
from tfner.tagging.tagger import Tagger

Tagger.load(FOLDER).tag(TEXT)
```

`tf.saved_model.load` needs `import tensorflow_text` before it. TF Serving has these operations built in.
"""


def model_card(
    config: Config,
    labels: LabelSet,
    scores: Mapping[str, Scores],
    history: Sequence[Mapping[str, str]],
    pieces_only: str | None = None,
) -> str:
    """A model card in Markdown; `pieces_only` is why the model takes no raw text, where it does not."""
    parts = [
        f"# {config.variant}: {config.task} on {config.corpus}\n",
        f"Trained by tfner {__version__}. Variant `{config.variant}`: {VARIANTS[config.variant]}. Encoder `{config.encoder}`, "
        f"corpus `{config.corpus}`, {len(history)} epochs, learning rate {config.learning_rate:g} (new layers "
        f"{config.head_learning_rate:g}), {config.batch_size} sentences a step, seed {config.seed}. "
        "All settings: `config.json`.\n",
        f"Labels, by id: {', '.join(f'{i} `{name}`' for i, name in enumerate(labels.names))}.\n",
    ]
    for split, s in scores.items():
        parts.append(f"## Scores on the {split} split\n\n```\n{format_scores(s)}\n```\n")
    if pieces_only:
        parts.append(f"This model takes no raw text: {pieces_only}. `Tagger` tokenizes in Python.\n")
    else:
        parts.append(_TEXT_SIGNATURES)
    return "\n".join([*parts, _PIECES, _USE])
