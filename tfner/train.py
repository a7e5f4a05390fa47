"""`python -m tfner.train`: fine-tunes one variant on a corpus, scores it, and exports it as the next version."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfner.config import PRESETS, Config, add_flags, make_config
from tfner.evaluation.scores import Scores
from tfner.folder import publish
from tfner.terminal import Parser, command, print_json, quiet_imports, quote
from tfner.training.request import check_request


@dataclass(frozen=True)
class Trained:
    """The result of a training: the folder of the exported version, a row for each epoch, and the scores by split."""

    folder: Path
    history: list[dict[str, float]]
    scores: dict[str, Scores]


def train(config: Config, say: Callable[[str], None] = print) -> Trained:
    """Trains, scores validation and test, and exports.

    Ctrl-C ends the training; the best weights so far are still scored and exported.

    Args:
        config: the settings.
        say: called with each line for the terminal.

    Raises:
        UserError: for a request that cannot be carried out. Nothing is written then.
    """
    corpus = check_request(config)
    with quiet_imports():
        from tfner.exports import saved_model
        from tfner.training.run import TrainingRun

    run = TrainingRun(config, corpus, say)
    run.fit()
    run.score()
    folder = publish(config.folder / str(run.number), saved_model.writer(run.trained(), say))
    example = "My name is Ahmed and I work at Unice in Nice."
    say(f'\nexported to {folder}; next: python -m tfner.predict {quote(config.folder)} "{example}"')
    return Trained(folder, run.history, run.scores)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("train", "Fine-tune an encoder for token classification, score it, and export it.")
    parser.add_argument(
        "--preset",
        metavar="|".join(PRESETS),
        help="settings that other flags override; paper is the study's own experiment [demo with the embedded encoder, "
        "standard with others]",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to standard error")
    add_flags(parser)
    arguments = vars(parser.parse_args(argv))
    as_json, preset = arguments.pop("json"), arguments.pop("preset")
    config = make_config(preset, **{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()})
    trained = train(config, say=lambda line: print(line, file=sys.stderr if as_json else sys.stdout, flush=True))
    if as_json:
        scores = {split: s.to_json() for split, s in trained.scores.items()}
        print_json({"folder": str(trained.folder), "history": trained.history, "scores": scores})


if __name__ == "__main__":
    raise SystemExit(main())
