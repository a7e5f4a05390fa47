"""An export for another runtime, in any precision, that is kept only if it passes the gate.

Takes a `TrainedModel` and the ways to write its graph, and returns a function that fills a folder. `onnx` and `openvino` know
the ways.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from tfner.contents import note_contents
from tfner.contract import Signature
from tfner.exports.card import model_card
from tfner.exports.description import describe_export, write_description
from tfner.exports.gate import Gate, Way, refusal
from tfner.folder import CARD
from tfner.tagging.tagger import RowTagger
from tfner.training.state import TrainedModel


def writer(
    trained: TrainedModel,
    format: str,
    signature: Signature,
    ways: Mapping[str, Callable[[], Generator[Way, float, None]]],
    load: Callable[[Path], RowTagger],
    precision: str,
    gate: Gate,
) -> Callable[[Path], None]:
    """Returns a function that fills a folder with an export.

    Args:
        trained: the model.
        format: a key of `EXPORT_FORMATS`.
        signature: what the graph takes and returns.
        ways: for each precision, the fastest and least exact first, the ways to write the graph.
        load: loads such a folder.
        precision: a key of `ways`.
        gate: decides whether an export is kept. The function raises UserError where it is not.
    """

    def write(folder: Path) -> None:
        write_description(folder, trained, list(signature.inputs))

        def measured_in(name: str) -> Mapping[str, Any] | None:
            describe_export(folder, trained, name, {})
            return gate.first_that_passes(folder, ways[name](), load)

        measured = measured_in(precision)
        if measured is None:
            others = ((name, measured_in(name)) for name in list(ways)[list(ways).index(precision) + 1 :])
            raise refusal(gate, precision, next(((name, found) for name, found in others if found), None))
        describe_export(folder, trained, precision, measured)
        (folder / CARD).write_text(model_card(trained, format, [signature], measured=measured), "utf-8")
        note_contents(folder)

    return write
