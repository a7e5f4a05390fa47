"""A training in three steps: prepare, fit, score.

Takes a `Config` and its corpus and returns a `TrainedModel`. The state is written to `NAME/training/N` during the training, so
that it can be resumed. `tfner.exports` exports the result.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.config import AUTO, MONITORS, PRECISIONS, Config
from tfner.contents import note_contents
from tfner.corpus import Corpus
from tfner.errors import UserError, one_line, setting
from tfner.evaluation.scores import Scores
from tfner.folder import (
    CALIBRATION,
    CHECKPOINTS,
    HISTORY,
    TRAINING,
    WEIGHTS,
    check_free,
    claim_state,
    interrupted_states,
    lock_state,
    of_task,
    write_json,
)
from tfner.modeling.batches import plan_training
from tfner.modeling.pipeline import Share, pass_seed, training_batches
from tfner.modeling.pretrained import encoder_source, load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import EncodedRows, row_encoders, with_labels_of
from tfner.modeling.variants import build_model, classifier_note, logits_function, parameter_counts
from tfner.tagging.in_memory import InMemoryTagger
from tfner.tagging.tagger import Head
from tfner.terminal import quote
from tfner.training.calibrate import calibrate
from tfner.training.checkpoints import Checkpoints, Progress
from tfner.training.devices import choose_precision, find_devices, precision_note
from tfner.training.optimizers import make_optimizer
from tfner.training.report import EpochReport, progress_bar, summary_lines
from tfner.training.request import MAY_DIFFER, as_before
from tfner.training.schedule import AdaptiveSchedule, FixedSchedule, Schedule, best_epoch, default_rates
from tfner.training.scoring import score_splits
from tfner.training.signals import StopSignals
from tfner.training.state import TrainedModel, begin_state, change_settings, load_state, save_weights
from tfner.training.step import StepResult, train_step

_COPIES = 5
"""The least disk space, in multiples of the weights: the best ones, a checkpoint with two values of the optimizer each, an
export."""


class TrainingRun:
    """One training. Creating it prepares everything: devices, random seed, model, rows, optimizer, state on disk.

    Args:
        config: the settings.
        corpus: the corpus that `check_request` returned for these settings.
        say: called with each line for the terminal.
        resume: the number of the interrupted training to continue, or None for a new one.

    Raises:
        UserError: if the encoder cannot be loaded or does not fit the settings, or the training cannot be resumed. Nothing is
            written then.
    """

    def __init__(self, config: Config, corpus: Corpus, say: Callable[[str], None] = print, resume: int | None = None):
        self.devices = find_devices(config.strategy, say)
        resume = int(self.devices.agree(resume or 0)) or None
        self.corpus, self.say = corpus, say if self.devices.chief else lambda line: None
        self._trained: TrainedModel | None = None
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        source = encoder_source(config.encoder)
        tokenizer, encoder_config = load_tokenizer(source), load_encoder_config(source)
        if resume:
            config = as_before(config, config.folder / TRAINING / str(resume))
        self.config = config = self._agreed(resolved(config, encoder_config.hidden_size))
        self.labels = {task: one.labels for task, one in corpus.tasks.items()}
        self.row_encoders = row_encoders(tokenizer, self.labels, config, piece_limit(encoder_config, tokenizer))
        self.row_encoder = next(iter(self.row_encoders.values()))
        with self.devices.strategy.scope():
            sizes = [len(labels) for labels in self.labels.values()]
            names = corpus.labels.names if len(sizes) == 1 else ()
            self.model = build_model(config.variant, source, sizes, config, names=names)
        for line in summary_lines(config, corpus, parameter_counts(self.model), self.devices.names):
            self.say(line)
        for note in (precision_note(config.precision), classifier_note(config.variant, source, names)):
            if note:
                self.say(note)
        self.rows = self._encode()
        self.batch_rows = max(1, round(config.batch_size * len(self.rows.rows) / len(corpus.splits["train"])))
        """Rows per step: fewer than `batch_size` with document context, where a row holds several sentences."""
        self.steps = -(-len(self.rows.rows) // self.batch_rows)
        """Steps per epoch."""
        self.schedule: Schedule = (
            AdaptiveSchedule(self.steps, config.warmup)
            if config.epochs == AUTO
            else FixedSchedule(int(config.epochs), self.steps, config.warmup, config.patience)
        )
        with self.devices.strategy.scope():
            self._optimizer, self._peak = make_optimizer(self.model, config)
        columns = [encoder.columns for encoder in self.row_encoders.values()] if len(sizes) > 1 else []
        self._step = train_step(self.model, self._optimizer, self.devices.strategy, config.xla, config.freeze_layers, columns)
        self._logits = logits_function(self.model)
        self._best_weights: list[np.ndarray] | None = None
        self._begin(source, tokenizer, resume)

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of the epochs so far."""
        return self.progress.history

    def fit(self) -> None:
        """Trains until the last epoch or early stopping, and gives the model the weights of the best epoch.

        On SIGINT and SIGTERM a checkpoint is written after the current step, and KeyboardInterrupt or SystemExit is raised.

        Raises:
            UserError: if the loss or a gradient is not finite, or another process was lost.
        """
        if self.devices.chief:
            self._report.begin(self.history)
        batches = self._batches()
        self._saved = time.monotonic()
        with StopSignals() as self._signals, self.devices.naming_lost_processes():
            while self._goes_on():
                self._epoch(batches)
            if self.devices.any_of(self._signals.received is not None):  # while the last epoch was scored
                self._interrupt()
        if self._best_weights is not None:
            self.model.set_weights(self._best_weights)

    def seconds_per_step(self, steps: int = 12) -> float:
        """The mean time of some steps, after two that are not counted. The weights change: do not train afterwards."""
        batches, stop = self._batches(), False
        for _ in range(2):
            self._step(batches, stop)
        start = time.perf_counter()
        for _ in range(min(steps, self.steps)):
            self._step(batches, stop)
        return (time.perf_counter() - start) / min(steps, self.steps)

    def score(self) -> Mapping[str, Scores]:
        """Calibrates the model as its settings say, and scores the validation split, and the test split if there is one.

        The scores, the predicted tags and some measures are saved in the state.

        Returns:
            The scores of the first task by split.
        """
        measures = {
            "parameters": parameter_counts(self.model),
            "devices": self.devices.names,
            "precision": self.config.precision,
        }
        heads: dict[str, Head] = {}
        scores: dict[str, Mapping[str, Scores]] = {}
        for task, corpus in self.corpus.tasks.items():
            if self.corpus.others:
                self.say(f"\ntask {task}")
            place, head = of_task(self.state, self.config, task), Head(self.row_encoders[task])
            uncalibrated = InMemoryTagger(self._logits, {task: head}, self.config)
            head = Head(head.row_encoder, calibrate(uncalibrated, self.config, corpus.splits["validation"], self.say))
            write_json(place / CALIBRATION, head.calibration.to_values())
            heads[task] = head
            tagger = InMemoryTagger(self._logits, {task: head}, self.config)
            scores[task] = score_splits(tagger, corpus, place, measures, self.say)
        self._trained = TrainedModel(self.model, heads, self.config, self.state, scores)
        return next(iter(scores.values()))

    def trained(self) -> TrainedModel:
        """The model with what belongs to it, as the exporters take it."""
        if self.devices.share.replicas > 1:  # an exporter needs variables of one device
            return load_state(self.state)
        assert self._trained  # `score` was called
        return self._trained

    @property
    def scores(self) -> Mapping[str, Mapping[str, Scores]]:
        """For each task the scores by split; empty before `score`."""
        return self._trained.scores if self._trained else {}

    def remedy(self) -> str:
        """What to do where the disk has no room for the exported model."""
        if self.number in interrupted_states(self.config.folder):
            return "make room there; the same command with --resume then exports the model"
        if (self.state / WEIGHTS).is_file():
            return f"make room there; python -m tfner.export {quote(self.config.folder)} then exports the model"
        return "make room there, and train again, as the weights had no room either"

    def close(self) -> None:
        """Removes the checkpoints of a training whose model is exported, and lets the other processes end."""
        if self.devices.chief:
            shutil.rmtree(self.state / CHECKPOINTS, ignore_errors=True)
        self.unlock()
        try:
            self.devices.agree(0)
        except UserError as error:
            if not self.devices.chief:
                raise
            self.say(f"the model is exported; {error}")

    def unlock(self) -> None:
        """Lets another run continue this training, in this process too."""
        if self.devices.chief:
            self._lock.release()

    # preparation

    def _agreed(self, config: Config) -> Config:
        """The settings with the precision of the chief, whose processor may differ."""
        names = list(PRECISIONS)
        return replace(config, precision=names[int(self.devices.agree(names.index(config.precision)))])

    def _encode(self) -> EncodedRows:
        train = self.corpus.splits["train"]
        of_tasks = []
        for task, corpus in self.corpus.tasks.items():
            extents = np.random.default_rng(self.config.seed) if self.config.context == "mixed" else None
            of_tasks.append(self.row_encoders[task].encode(corpus.splits["train"], extents))
        encoded = with_labels_of(of_tasks)
        for line in encoded.report.warnings():
            self.say(f"train: {line}")
        if self.row_encoder.packs and all(s.document is None for s in train):
            self.say(
                "train: no document marks (-DOCSTART- lines), so every row is a single sentence; --one-document joins a "
                "whole file"
            )
        return encoded

    def _begin(self, source: str, tokenizer: Any, resume: int | None) -> None:
        """Creates the state on disk, or restores it."""
        same = {name: value for name, value in asdict(self.config).items() if name not in MAY_DIFFER}
        self.devices.check_same("the settings", json.dumps(same))
        self.progress = Progress(data=_checksum(self.rows, self.corpus))
        self.devices.check_same("the sentences", self.progress.data)
        folder, number = self.config.folder, resume
        if self.devices.chief:
            if not resume:
                check_free("output", folder, 4 * self.model.count_params() * _COPIES)
            number = number or claim_state(folder)
        self.number = int(self.devices.agree(number or 0))
        """The number of the training state, and of the version that is exported from it."""
        self.state = folder / TRAINING / str(self.number)
        if self.devices.chief:
            self._lock = lock_state(self.state)
            self._report = EpochReport(
                self._logits,
                self.row_encoders,
                {task: corpus.splits["validation"] for task, corpus in self.corpus.tasks.items()},
                sum(self.rows.lengths),
                self.state / HISTORY,
                self.say,
                self.config.tensorboard,
                self.config.decode,
            )
        self._checkpoints = Checkpoints(self.state, self.say, model=self.model, optimizer=self._optimizer)
        if resume:
            try:
                self._restore()
                if self.devices.chief:
                    change_settings(self.state, self.config)
            except UserError:
                self.unlock()
                raise
        elif self.devices.chief:
            begin_state(self.state, self.config, self.labels, source, tokenizer)
            note_contents(self.state)

    def _restore(self) -> None:
        if self.devices.chief:
            self._checkpoints.clean()
        progress = self._checkpoints.newest()
        self.devices.check_same("the newest checkpoint", progress.name)
        if progress.data != self.progress.data:
            raise UserError(
                f"{setting('corpus', self.config.corpus)}: its sentences are not those of the interrupted training: "
                "restore the corpus, or train again without resuming",
                self.state,
            )
        if progress.best:
            self._checkpoints.read(progress.best)
            self._keep_best()
        if progress.best != progress.name:
            self._checkpoints.read(progress.name)
        self.progress = progress
        self.say(f"resumed {self._place()}")

    def _batches(self) -> Iterator[Any]:
        share, at = self.devices.share, (self.progress.epoch, self.progress.step)

        def data(_: Any = None) -> tf.data.Dataset:
            own = Share(share.replicas, share.own, self.config.accumulate_steps)
            grid = self.row_encoder.max_pieces if self.config.xla else None
            return training_batches(self.rows.rows, self.batch_rows, self.row_encoder.pad_id, self.config.seed, at, own, grid)

        return iter(data() if share.replicas == 1 else self.devices.strategy.distribute_datasets_from_function(data))

    # training

    def _goes_on(self) -> bool:
        epochs = self.schedule.epochs(self.progress.values)
        return epochs is None or self.progress.epoch < epochs

    def _epoch(self, batches: Iterator[Any]) -> None:
        progress = self.progress
        start = time.perf_counter() - progress.seconds
        with progress_bar(progress.epoch, self.steps, progress.step, not self.devices.chief) as bar:
            while progress.step < self.steps:
                step = progress.epoch * self.steps + progress.step
                self._optimizer.learning_rate = self._peak * self.schedule.share(step)
                result = self._step(batches, self._signals.received is not None)
                self._check(result)
                progress.add(result)
                progress.seconds = time.perf_counter() - start
                bar.update()
                if progress.step % 10 == 0:
                    bar.set_postfix_str(progress.means(), refresh=False)
                if result.stops:
                    self._interrupt()
                if 0 < self.config.checkpoint_minutes * 60 < time.monotonic() - self._saved:
                    self._checkpoint()
        self._end_epoch()

    def _check(self, result: StepResult) -> None:
        if math.isfinite(result.loss) and math.isfinite(result.norm):
            return
        progress = self.progress
        plan = plan_training([len(row) for row in self.rows.rows], self.batch_rows, pass_seed(self.config.seed, progress.epoch))
        rows = [self.rows.rows[i] for i in plan[progress.step]]
        numbers = sorted({int(n) for row in rows for n in row.sentences if n >= 0})
        what = f"the loss is {result.loss:g}" if not math.isfinite(result.loss) else f"the gradients have norm {result.norm:g}"
        first = " ".join(self.corpus.splits["train"][numbers[0]].words)
        self._checkpoint()
        raise UserError(
            f"epoch {progress.epoch + 1}, step {progress.step + 1}: {what}, so training stopped before this step changed the "
            f"weights; its training sentences are {', '.join(str(n + 1) for n in numbers)}, the first of them {first[:80]!r}: "
            "lower --learning-rate or --head-learning-rate, or train in --precision float32"
        )

    def _end_epoch(self) -> None:
        """Scores the epoch, decides whether to go on, and writes weights and checkpoint."""
        progress, monitor = self.progress, self.config.monitor
        logs: dict[str, float] = {monitor: 0.0}
        if self.devices.chief:
            logs = self._report.end_epoch(progress.loss / max(1.0, progress.number), progress.seconds)
        value = self.devices.agree(logs[monitor])
        progress.values.append(value if MONITORS[monitor] == "max" else -value)
        progress.end_epoch()
        if best_epoch(progress.values) == progress.epoch:
            progress.best = progress.name
            self._keep_best()
        self._checkpoint()

    def _keep_best(self) -> None:
        """Keeps the current weights as those of the best epoch, in memory and in the state."""
        self._best_weights = self.model.get_weights()
        if not self.devices.chief:
            return
        try:
            save_weights(self.state, self.model)
        except OSError as error:
            self.say(f"the best weights cannot be written ({one_line(error)}); the training goes on")

    def _checkpoint(self) -> bool:
        """Writes a checkpoint. False if it cannot be written."""
        saved = self._checkpoints.save(self.progress) if self.devices.chief else True
        self._saved = time.monotonic()
        return saved

    def _interrupt(self) -> None:
        start = "here" if self._checkpoint() else "the last checkpoint"
        self.say(f"stopped {self._place()}: the same command with --resume goes on from {start}")
        self._signals.stop()

    def _place(self) -> str:
        progress = self.progress
        within = f"in epoch {progress.epoch + 1}, after step {progress.step} of {self.steps}"
        return within if progress.step else f"after epoch {progress.epoch}"


def resolved(config: Config, width: int) -> Config:
    """The settings with numbers in place of `auto`, for an encoder with this hidden size."""
    rate, new_rate = default_rates(width)
    return replace(
        config,
        learning_rate=rate if config.learning_rate == AUTO else config.learning_rate,
        head_learning_rate=new_rate if config.head_learning_rate == AUTO else config.head_learning_rate,
        precision=choose_precision(width) if config.precision == AUTO else config.precision,
    )


def _checksum(rows: EncodedRows, corpus: Corpus) -> str:
    """A checksum of the training rows and of the validation sentences."""
    digest = hashlib.sha256()
    for row in rows.rows:
        digest.update(row.ids.tobytes() + row.labels.tobytes())
    for one in corpus.tasks.values():
        for sentence in one.splits["validation"]:
            digest.update(repr((sentence.words, sentence.tags)).encode())
    return digest.hexdigest()
