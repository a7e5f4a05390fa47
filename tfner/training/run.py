"""A training in three steps: prepare, fit, score.

Takes a `Config` and its corpus and returns a `TrainedModel`. The state is written to `NAME/training/N` during the training.
`tfner.exports` exports the result.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tf_keras as keras

from tfner.config import MONITORS, PRESETS, Config
from tfner.corpus import Corpus
from tfner.evaluation.scores import INTERVAL_SAMPLES, Scores, format_scores, score, write_scores
from tfner.folder import HISTORY, SCORES, TRAINING, WEIGHTS, next_version
from tfner.modeling.batches import training_batches
from tfner.modeling.losses import MaskedAccuracy, MaskedCrossentropy, MaskedLoss
from tfner.modeling.pretrained import encoder_source, load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import EncodedRows, make_row_encoder
from tfner.modeling.variants import ENCODER, build_model, logits_function, new_variables, parameter_counts
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.callbacks import EpochReport, Interrupt, SaveBest
from tfner.training.optimizers import AdamW, WarmupLinearDecay
from tfner.training.state import TrainedModel, begin_state


class TrainingRun:
    """One training. Creating it prepares everything: random seed, model, rows, optimizer, state on disk.

    Args:
        config: the settings.
        corpus: the corpus that `check_request` returned for these settings.
        say: called with each line for the terminal.

    Raises:
        UserError: if the encoder cannot be loaded or does not fit the settings. Nothing is written then.
    """

    def __init__(self, config: Config, corpus: Corpus, say: Callable[[str], None] = print):
        self.config, self.corpus, self.say = config, corpus, say
        self.scores: dict[str, Scores] = {}
        keras.utils.set_random_seed(config.seed)
        source = encoder_source(config.encoder)
        self._tokenizer = load_tokenizer(source)
        limit = piece_limit(load_encoder_config(source), self._tokenizer)
        self.row_encoder = make_row_encoder(self._tokenizer, corpus.labels, config, limit)
        self.model = build_model(config.variant, source, len(corpus.labels), config)
        for line in summary_lines(config, corpus, parameter_counts(self.model)):
            say(line)
        self.rows = self._encode()
        self.batch_rows = max(1, round(config.batch_size * len(self.rows.rows) / len(corpus.splits["train"])))
        """Rows per step: fewer than `batch_size` with document context, where a row holds several sentences."""
        self.steps = -(-len(self.rows.rows) // self.batch_rows)
        """Steps per epoch."""
        self._compile()
        self.number = next_version(config.folder)
        """The number of the training state, and of the version that is exported from it."""
        self.state: Path = config.folder / TRAINING / str(self.number)
        self.state.mkdir(parents=True)
        begin_state(self.state, config, corpus.labels, source, self._tokenizer)
        self._logits = logits_function(self.model)
        self._report = EpochReport(
            self._logits, self.row_encoder, corpus.splits["validation"], sum(self.rows.lengths), self.state / HISTORY, say
        )

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of the epochs so far."""
        return self._report.rows

    def fit(self) -> None:
        """Trains until the last epoch, early stopping or Ctrl-C, and keeps the weights of the best epoch."""
        config = self.config
        stopping = keras.callbacks.EarlyStopping(
            config.monitor, patience=config.patience, mode=MONITORS[config.monitor], restore_best_weights=True
        )
        callbacks = [self._report, stopping, SaveBest(stopping, self.state / WEIGHTS)]
        if config.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(config.tensorboard))
        batches = training_batches(self.rows.rows, self.batch_rows, self.row_encoder.pad_id, config.seed)
        try:
            with Interrupt() as interrupt:
                self.model.fit(
                    batches,
                    epochs=config.epochs,
                    steps_per_epoch=self.steps,
                    verbose=0,
                    callbacks=[*callbacks, interrupt],
                )
        except KeyboardInterrupt:
            self._report.close()
            self.say("interrupted: scoring and exporting the best weights so far (Ctrl-C again stops immediately)")
        if stopping.best_weights is not None:
            self.model.set_weights(stopping.best_weights)
        else:
            self.model.save_weights(self.state / WEIGHTS)

    def score(self) -> dict[str, Scores]:
        """Scores the validation split, and the test split if the corpus has one, and saves the scores in the state."""
        tagger = InMemoryTagger(self._logits, self.row_encoder, self.config)
        for split in ("validation", "test"):
            if split not in self.corpus.splits:
                continue
            sentences = self.corpus.splits[split]
            predicted = [tagged.tags for tagged in tagger.predict(sentences)]
            self.scores[split] = score([s.tags for s in sentences], predicted, self.corpus.labels, INTERVAL_SAMPLES)
            self.say(f"\n{split} split\n{format_scores(self.scores[split])}")
        write_scores(self.state / SCORES, self.scores)
        for line in tagger.warnings():
            self.say(f"validation and test: {line}")
        return self.scores

    def trained(self) -> TrainedModel:
        """The model with what belongs to it, as the exporters take it."""
        return TrainedModel(self.model, self.row_encoder, self.config, self.state, self.scores)

    def _encode(self) -> EncodedRows:
        train = self.corpus.splits["train"]
        encoded = self.row_encoder.encode(train)
        for line in encoded.report.warnings():
            self.say(f"train: {line}")
        if self.config.context == "document" and all(s.document is None for s in train):
            self.say(
                "train: no document marks (-DOCSTART- lines), so every row is a single sentence; --one-document joins a "
                "whole file"
            )
        return encoded

    def _compile(self) -> None:
        config = self.config
        peak, total = config.learning_rate or config.head_learning_rate, self.steps * config.epochs
        self.model.get_layer(ENCODER).trainable = config.learning_rate > 0
        optimizer = AdamW(
            WarmupLinearDecay(peak, round(total * config.warmup), total),
            weight_decay=config.weight_decay,
            new_variables=new_variables(self.model),
            new_factor=config.head_learning_rate / peak,
            global_clipnorm=config.clip_norm or None,
        )
        self.model.compile(optimizer, MaskedCrossentropy(), metrics=[MaskedLoss(), MaskedAccuracy()])
        # otherwise the step is traced twice, once to create these variables
        self.model.optimizer.build(self.model.trainable_variables)


def summary_lines(config: Config, corpus: Corpus, parameters: dict[str, int]) -> list[str]:
    """The lines before a training: encoder, corpus with its counts, variant, notes, the command for the study's setting."""
    embedded = " (embedded: small, untrained)" if config.encoder == "demo" else ""
    counts = "; ".join(
        f"{split} {_number(c['sentences'], 'sentence')}, {_number(c['words'], 'word')}"
        + ("" if corpus.labels.plain else f", {sum(c['entities'].values()):,} entities")
        for split, c in corpus.counts().items()
    )
    lines = [
        f"encoder  {config.encoder}{embedded}, {parameters['encoder']:,} parameters",
        f"corpus   {config.corpus} ({config.task}): {counts}",
        f"variant  {config.variant}, {parameters['new']:,} new parameters; learning rate {config.learning_rate:g}, new layers "
        f"{config.head_learning_rate:g}; {_number(config.epochs, 'epoch')}, {_number(config.batch_size, 'sentence')} a step; "
        f"seed {config.seed}",
        *corpus.notes,
    ]
    if config.encoder != PRESETS["paper"]["encoder"]:
        lines.append(
            "the study's own setting (bert-base-cased, CoNLL-2003 from the hub): "
            f"python -m tfner.train --variant {config.variant} --preset paper"
        )
    return lines


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
