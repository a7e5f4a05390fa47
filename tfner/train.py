"""``python -m tfner.train``: fine-tunes one variant on a corpus, scores it, and exports it as the next version.

A ``Config`` goes in; a training state and a SavedModel come out, and rows on the terminal on the way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tfner.config import PRESETS, Config, add_flags, make_config
from tfner.corpus import Corpus, corpus_of
from tfner.errors import UserError
from tfner.evaluation.scores import INTERVAL_SAMPLES, Scores, format_scores, score
from tfner.folder import TRAINING, check_output, next_number, publish
from tfner.terminal import command, print_json, quiet_imports


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the exported version's folder, the rows of its epochs, and its scores by split."""

    folder: Path
    history: list[dict[str, float]]
    scores: dict[str, Scores]


def train(config: Config, say: Callable[[str], None] = print) -> Trained:
    """Trains, scores validation and test, exports.

    Ctrl-C ends the epochs; the best weights so far are still scored and exported.

    Args:
        say: is given every line for the terminal.

    Raises:
        UserError: for whatever is wrong with the request; nothing is written then.
    """
    check_output(config.folder)
    if config.tensorboard and not find_spec("tensorboard"):
        raise UserError("--tensorboard: TensorBoard is not installed: pip install -e '.[tensorboard]'")
    corpus = corpus_of(config)
    for split in ("train", "validation"):
        if split not in corpus.splits:
            raise UserError(
                f"{config.corpus}: no {split} split, found {', '.join(corpus.splits)}: add a file with "
                f"{'train' if split == 'train' else 'valid or dev'} in its name to the folder"
            )
    with quiet_imports():
        import tensorflow as tf
        import tf_keras as keras

        from tfner.exports import saved_model as bundle
        from tfner.modeling import variants as models
        from tfner.modeling.batches import training_batches
        from tfner.modeling.losses import MaskedAccuracy, MaskedCrossentropy, MaskedLoss
        from tfner.modeling.pretrained import encoder_source, load_encoder_config, load_tokenizer, piece_limit
        from tfner.tagging.tagger import Tagger, make_encoder
        from tfner.training import optimizers
        from tfner.training.callbacks import EpochReport, Interrupt, SaveBest, logits_function

    keras.utils.set_random_seed(config.seed)
    source = encoder_source(config.encoder)
    tokenizer = load_tokenizer(source)
    encoder = make_encoder(tokenizer, corpus.labels, config, piece_limit(load_encoder_config(source), tokenizer))
    model = models.build_model(config.variant, source, len(corpus.labels), config)
    for line in describe(config, corpus, models.parameter_counts(model)):
        say(line)

    encoded = encoder.encode(corpus.splits["train"])
    for line in encoded.kept.warnings():
        say(f"train: {line}")
    if config.context == "document" and all(s.document is None for s in corpus.splits["train"]):
        say("train: no document marks (-DOCSTART- lines), so every row is a single sentence; --one-document joins a whole file")
    rows_a_step = max(1, round(config.batch_size * len(encoded.rows) / len(corpus.splits["train"])))
    steps = -(-len(encoded.rows) // rows_a_step)
    peak, total = config.learning_rate or config.head_learning_rate, steps * config.epochs
    model.get_layer(models.ENCODER).trainable = config.learning_rate > 0
    optimizer = optimizers.AdamW(
        optimizers.WarmupLinearDecay(peak, round(total * config.warmup), total),
        weight_decay=config.weight_decay,
        new_variables=models.new_variables(model),
        new_factor=config.head_learning_rate / peak,
        global_clipnorm=config.clip_norm or None,
    )
    model.compile(optimizer, MaskedCrossentropy(), metrics=[MaskedLoss(), MaskedAccuracy()])
    model.optimizer.build(model.trainable_variables)  # or the step would be traced twice, once to make these variables

    number = next_number(config.folder)
    state = config.folder / TRAINING / str(number)
    state.mkdir(parents=True)
    bundle.begin_state(state, config, corpus.labels, source, tokenizer)
    words = sum(encoded.lengths)
    logits = logits_function(model)
    report = EpochReport(logits, encoder, corpus.splits["validation"], words, state / bundle.HISTORY, say)
    mode = "min" if config.monitor == "val_loss" else "max"
    stopping = keras.callbacks.EarlyStopping(config.monitor, patience=config.patience, mode=mode, restore_best_weights=True)
    callbacks = [report, stopping, SaveBest(stopping, state / bundle.WEIGHTS)]
    if config.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(config.tensorboard))
    batches = training_batches(encoded.rows, rows_a_step, encoder.pad_id, config.seed)
    try:
        with Interrupt() as interrupt:
            model.fit(batches, epochs=config.epochs, steps_per_epoch=steps, verbose=0, callbacks=[*callbacks, interrupt])
    except KeyboardInterrupt:
        report.close()
        say("interrupted: going on with the best weights so far (once more to leave at once)")
    if stopping.best_weights is not None:
        model.set_weights(stopping.best_weights)
    else:
        model.save_weights(state / bundle.WEIGHTS)

    tagger = Tagger(lambda ids, mask: tf.nn.softmax(logits(ids, mask)).numpy(), encoder, config)
    scores = {}
    for split in ("validation", "test"):
        if split in corpus.splits:
            sentences = corpus.splits[split]
            predicted = [tagged.tags for tagged in tagger.predict(sentences)]
            scores[split] = score([s.tags for s in sentences], predicted, corpus.labels, INTERVAL_SAMPLES)
            say(f"\n{split} split\n{format_scores(scores[split])}")
    bundle.write_scores(state / bundle.SCORES, scores)
    for line in tagger.kept.warnings():
        say(f"validation and test: {line}")
    if models.for_inference(model):
        logits = logits_function(model)
    folder = publish(
        config.folder / str(number), lambda draft: bundle.write_saved_model(draft, logits, encoder, config, state, scores, say)
    )
    say(
        f'\nexported to {folder}; next: python -m tfner.predict {config.folder} "My name is Ahmed and I work at Unice in Nice."'
    )
    return Trained(folder, report.rows, scores)


def describe(config: Config, corpus: Corpus, parameters: dict[str, int]) -> list[str]:
    """What is about to be used, in a few lines: encoder, corpus with its counts, variant, the study's setting."""
    embedded = " (embedded: small, starts untrained)" if config.encoder == "demo" else ""
    counts = "; ".join(
        f"{split} {c['sentences']:,} sentences, {c['words']:,} words"
        + ("" if corpus.labels.plain else f", {sum(c['entities'].values()):,} entities")
        for split, c in corpus.counts().items()
    )
    paper = (
        ""
        if config.encoder == PRESETS["paper"]["encoder"]
        else (
            "the study's own setting (bert-base-cased, CoNLL-2003 from the hub): "
            f"python -m tfner.train --variant {config.variant} --preset paper"
        )
    )
    lines = [
        f"encoder  {config.encoder}{embedded}, {parameters['encoder']:,} parameters",
        f"corpus   {config.corpus} ({config.task}): {counts}",
        f"variant  {config.variant}, {parameters['new']:,} new parameters; learning rate {config.learning_rate:g}, new layers "
        f"{config.head_learning_rate:g}; {config.epochs} epochs, {config.batch_size} sentences a step; seed {config.seed}",
        *corpus.notes,
        paper,
    ]
    return [line for line in lines if line]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m tfner.train", description="Fine-tune an encoder for token classification.")
    parser.add_argument(
        "--preset",
        metavar="|".join(PRESETS),
        help="settings that flags then override [demo with the embedded "
        "encoder, standard otherwise]; paper is the study's own experiment",
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
