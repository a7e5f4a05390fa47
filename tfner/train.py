"""`python -m tfner.train`: fine-tunes one variant on a corpus, scores it, and exports it as the next version."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfner.config import PRESETS, Config, add_flags, make_config
from tfner.evaluation.scores import Scores, read_scores
from tfner.folder import (
    CHECKPOINTS,
    HISTORY,
    SCORES,
    TRAINING,
    clear_drafts,
    is_locked,
    of_task,
    publish,
    read_history,
    read_settings,
)
from tfner.tagging.load import outdated_exports
from tfner.terminal import Parser, command, print_json, quiet_imports, quote
from tfner.training.request import TAGGING, check_request, check_resume, find_finished, find_interrupted


@dataclass(frozen=True)
class Trained:
    """The result of a training: the folder of the exported version, a row for each epoch, and scores by task and split.

    Where several processes train together, only the first one has scores.
    """

    folder: Path
    history: list[dict[str, float]]
    tasks: Mapping[str, Mapping[str, Scores]]

    @property
    def scores(self) -> Mapping[str, Scores]:
        """The scores of the first task by split."""
        return next(iter(self.tasks.values()), {})


def train(config: Config, say: Callable[[str], None] = print, resume: bool = False) -> Trained:
    """Trains, scores validation and test, and exports.

    Ctrl-C and SIGTERM end the training after the current step with a checkpoint, from which it can be resumed.

    Args:
        config: the settings.
        say: called with each line for the terminal.
        resume: continue the interrupted training in the output folder. Where the newest training there is finished and has the
            same settings, return its result; where there is none, begin one.

    Raises:
        UserError: for a request that cannot be carried out; nothing is written then. Also for a training that cannot go on.
    """
    corpus = check_request(config)
    number = check_resume(config) if resume else None
    if resume and number is None and (finished := find_finished(config)):
        return _finished(config, finished, say)
    offer = None if resume else find_interrupted(config)
    with quiet_imports():
        from tfner.exports import saved_model
        from tfner.training.run import TrainingRun

    run = TrainingRun(config, corpus, say, number)
    state = config.folder / TRAINING / str(offer)
    if offer and not is_locked(state):
        run.say(f"an interrupted training with these settings is in {state}: --resume goes on")
    elif resume and number is None:
        run.say(f"no interrupted training in {config.folder}: a new one begins")
    folder = config.folder / str(run.number)
    try:
        run.fit()
        if run.devices.chief:
            run.score()
            publish(folder, saved_model.writer(run.trained(), say), remedy=run.remedy())
            for line in outdated_exports(config.folder):
                say(line)
            example = "My name is Ahmed and I work at Unice in Nice."
            say(f'\nexported to {folder}; next: python -m tfner.predict {quote(config.folder)} "{example}"')
        run.close()
    finally:
        run.unlock()
    return Trained(folder, run.history, run.scores)


def _finished(config: Config, number: int, say: Callable[[str], None]) -> Trained:
    """The result of a training that is finished. Removes what is left of it, in case it was killed before it did so itself."""
    model = config.folder
    clear_drafts(model)
    folder, state = model / str(number), model / TRAINING / str(number)
    say(f"this training is finished: {folder}; without --resume a new one begins")
    before = read_settings(state)[0]
    if other := ["--" + name.replace("_", "-") for name in TAGGING if getattr(config, name) != getattr(before, name)]:
        say(f"ignored: {', '.join(other)}; python -m tfner.export {quote(model)} makes a version with these settings")
    shutil.rmtree(state / CHECKPOINTS, ignore_errors=True)
    history = [{name: float(value) for name, value in row.items()} for row in read_history(state / HISTORY)]
    return Trained(folder, history, {task: read_scores(of_task(state, config, task) / SCORES) for task in config.tasks})


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("train", "Fine-tune an encoder for token classification, score it, and export it.")
    parser.add_argument(
        "--preset",
        metavar="|".join(PRESETS),
        help="settings that other flags override; paper is that of the study's model 1 [demo with the embedded encoder, "
        "standard with others]",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue the interrupted training in the output folder, if there is one"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to standard error")
    add_flags(parser)
    arguments = vars(parser.parse_args(argv))
    as_json, preset, resume = (arguments.pop(name) for name in ("json", "preset", "resume"))
    config = make_config(preset, **{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()})
    if config.encoder == "demo":  # its products are too small to be divided among cores
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    file = sys.stderr if as_json else sys.stdout
    trained = train(config, lambda line: print(line, file=file, flush=True), resume)
    if as_json and trained.scores:
        tasks = {task: {split: s.to_json() for split, s in scores.items()} for task, scores in trained.tasks.items()}
        scores = {"scores": tasks[config.tasks[0]], **({"tasks": tasks} if len(tasks) > 1 else {})}
        print_json({"folder": str(trained.folder), "history": trained.history, **scores})


if __name__ == "__main__":
    raise SystemExit(main())
