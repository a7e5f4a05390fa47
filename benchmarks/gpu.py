"""Checks training on a GPU, and prints a table: python benchmarks/gpu.py [--encoder NAME] [--corpus NAME]

One operation is tried on the GPU first. Then the same steps are made on the processor in float32, and on the GPU in each
precision, with and without XLA: losses, words per second, peak memory. Without a GPU this prints one line and ends with exit
status 2; with losses that differ, with 1. `--device CPU:0` tries the script itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, NamedTuple

from tfner.config import PRECISIONS, Config, make_config
from tfner.errors import UserError
from tfner.terminal import quieten

TOLERANCES = {"float32": 0.01, "bfloat16": 0.1, "float16": 0.05}
"""How far the loss of a step may be from that in float32 on the processor, as a share of the first step's loss."""


class Measured(NamedTuple):
    """Losses of all steps in nats per word, words per second, peak memory in MiB or None."""

    losses: list[float]
    words: float
    memory: float | None


def measure(config: Config, device: str, steps: int) -> Measured:
    """Makes the same steps on one device twice; the first time, which traces and compiles, is not timed."""
    import tensorflow as tf
    import tf_keras as keras

    from tfner.data.load import corpus_of
    from tfner.modeling.pipeline import training_batches
    from tfner.modeling.pretrained import encoder_source, load_encoder_config, load_tokenizer, piece_limit
    from tfner.modeling.rows import make_row_encoder
    from tfner.modeling.variants import build_model, new_variables
    from tfner.training.optimizers import AdamW
    from tfner.training.step import StepResult, train_step

    corpus, source = corpus_of(config), encoder_source(config.encoder)
    tokenizer = load_tokenizer(source)
    encoder = make_row_encoder(tokenizer, corpus.labels, config, piece_limit(load_encoder_config(source), tokenizer))
    keras.utils.set_random_seed(config.seed)
    if "GPU" in device:
        tf.config.experimental.reset_memory_stats(device)
    with tf.device(device):
        model = build_model(config.variant, source, len(corpus.labels), config)
        optimizer: Any = AdamW(5e-5, config.weight_decay, new_variables(model), 20.0, config.clip_norm)
        if config.precision == "float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        step = train_step(model, optimizer, tf.distribute.get_strategy(), config.xla)
        rows = encoder.encode(corpus.splits["train"]).rows
        # the same few shapes with and without XLA, because masks of dropout depend on the shape
        data = training_batches(rows, config.batch_size, encoder.pad_id, config.seed, grid=encoder.max_pieces)
        # the same batches twice: every shape that is timed has been traced and compiled

        def turn() -> list[StepResult]:
            batches = iter(data)
            return [step(batches, False) for _ in range(steps)]

        results = turn()
        start = time.perf_counter()
        words = sum(result.number for result in turn())
        seconds = time.perf_counter() - start
    memory = tf.config.experimental.get_memory_info(device)["peak"] / 2**20 if "GPU" in device else None
    return Measured([r.loss / max(1.0, r.number) for r in results], words / seconds, memory)


def table(cpu: Measured, found: dict[tuple[str, bool], Measured]) -> tuple[str, bool]:
    """The measurements as Markdown, and whether all losses are near those of the processor."""
    lines = [
        "| precision | XLA | loss of the first and last step | largest difference | words/s | peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    fine = True
    for (precision, xla), one in [(("float32, processor", False), cpu), *found.items()]:
        difference = max(abs(a - b) for a, b in zip(one.losses, cpu.losses, strict=True)) / cpu.losses[0]
        near = difference <= TOLERANCES.get(precision, 0)
        fine &= near
        memory = "" if one.memory is None else f"{one.memory:,.0f}"
        verdict = f"{difference:.2%}" + ("" if near else " **too far**")
        ends = f"{one.losses[0]:.4f}, {one.losses[-1]:.4f}"
        lines.append(f"| {precision} | {'on' if xla else 'off'} | {ends} | {verdict} | {one.words:,.0f} | {memory} |")
    return "\n".join(lines), fine


def main(argv: list[str] | None = None) -> int:
    quieten()
    parser = argparse.ArgumentParser(description="Check training on a GPU, and print a table.")
    parser.add_argument("--encoder", default="demo")
    parser.add_argument("--corpus", default="demo")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50, help="steps that are timed")
    parser.add_argument("--device", default="GPU:0")
    arguments = parser.parse_args(argv)

    import tensorflow as tf

    from tfner.training.devices import describe_devices, find_devices

    gpus = tf.config.list_physical_devices("GPU")
    if "GPU" in arguments.device and not gpus:
        print("no GPU: TensorFlow finds none on this machine, so nothing was measured", file=sys.stderr)
        return 2
    try:
        find_devices("none")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"TensorFlow {tf.__version__}, {describe_devices(gpus[:1])}\n", flush=True)
    shared = {"encoder": arguments.encoder, "corpus": arguments.corpus, "batch_size": arguments.batch_size}
    cpu = measure(make_config(**shared), "CPU:0", arguments.steps)
    found = {
        (precision, xla): measure(make_config(precision=precision, xla=xla, **shared), arguments.device, arguments.steps)
        for precision in PRECISIONS
        for xla in (False, True)
    }
    text, fine = table(cpu, found)
    print(text)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
