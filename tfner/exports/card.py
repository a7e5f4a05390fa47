"""The model card of an export, in Markdown with the metadata of the Hugging Face hub.

Takes a trained model and the signatures of its export and fills in the template `card.md`. It needs no network: nothing is
validated by the hub.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from tfner import __version__
from tfner.config import DECODERS, VARIANTS
from tfner.contract import Signature
from tfner.evaluation.scores import format_scores
from tfner.folder import CONFIG, DESCRIPTION, HISTORY, read_history, read_settings
from tfner.training.state import TrainedModel

TEMPLATE = Path(__file__).with_name("card.md")
LIBRARIES = {"savedmodel": "tfner", "transformers": "transformers", "onnx": "onnx", "openvino": "openvino"}
"""The library that loads each format, by the name that the hub uses."""
PIPELINE_TAG = "token-classification"


def model_card(
    trained: TrainedModel,
    format: str,
    signatures: Sequence[Signature] = (),
    pieces_only: str | None = None,
    measured: Mapping[str, Any] | None = None,
) -> str:
    """The model card of an export.

    Args:
        trained: the model; its history is read from its training state.
        format: a key of `config.EXPORT_FORMATS`.
        signatures: what the export takes and returns.
        pieces_only: why a SavedModel does not take raw text, or None if it does.
        measured: what `gate` measured, or None where it measured nothing.
    """
    config = trained.config
    data = ModelCardData(
        library_name=LIBRARIES[format],
        pipeline_tag=PIPELINE_TAG,
        model_name=f"{config.variant} on {config.corpus}" if config.corpus else None,
        eval_results=_results(trained) or None,
        ignore_metadata_errors=False,
    )
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        config=config,
        format=format,
        variant=VARIANTS[config.variant],
        decoder=DECODERS[config.decode],
        scored_by=read_settings(trained.state)[0].decode,
        version=__version__,
        epochs=len(read_history(trained.state / HISTORY)),
        settings_file=CONFIG if format == "savedmodel" else DESCRIPTION,
        scores={task: {split: format_scores(s) for split, s in own.items()} for task, own in trained.scores.items()},
        tasks=trained.heads,
        plain=trained.row_encoder.labels.plain,
        signatures=signatures,
        pieces_only=pieces_only,
        measured=measured,
    )
    return str(card).rstrip("\n") + "\n"


def _results(trained: TrainedModel) -> list[EvalResult]:
    """F1 of each task and split for the metadata, or accuracy for labels that are not entities."""
    corpus = trained.config.corpus
    return [
        EvalResult(
            task_type=PIPELINE_TAG,
            dataset_type=corpus,
            dataset_name=f"{corpus} ({task})",
            dataset_config=task if len(trained.heads) > 1 else None,
            dataset_split=split,
            metric_type="accuracy" if one.plain else "f1",
            metric_name="accuracy of words" if one.plain else "F1 of entities",
            metric_value=round(one.accuracy if one.plain else one.overall.f1, 6),
        )
        for task, own in trained.scores.items()
        for split, one in own.items()
    ]
