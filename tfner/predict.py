"""`python -m tfner.predict`: tags texts given on the command line, in a file, or on standard input.

Takes texts or split sentences and prints their entities, in the order of the input, as lines for people or as JSON. The formats
of the input are defined in `tfner.data.inputs`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tfner.config import AUTO, DECODE_HELP, DECODERS, INPUT_FORMATS, RUNTIMES, SENTENCES, SENTENCES_HELP, TASKS, add_runtime
from tfner.data.inputs import Record, together, valid
from tfner.data.sources import file_records, find_files, stream_records
from tfner.data.words import as_text
from tfner.errors import UserError, setting
from tfner.labels import Entity
from tfner.tagging.bulk import Engine, Source, in_this_process, tag_files
from tfner.tagging.job_folder import REJECTS
from tfner.tagging.load import load_tagger
from tfner.tagging.outputs import OUTPUT_FORMATS, as_lines, render, tag_records
from tfner.tagging.tagger import TEXTS_PER_CHUNK, Tagger
from tfner.terminal import Parser, command, counted, filled, use_utf_8

STANDARD_INPUT = "standard input"
_COLOURS = (36, 33, 32, 35, 34, 31)  # cyan, yellow, green, magenta, blue, red


def predict(
    model: str | Path,
    inputs: Iterable[str | Sequence[str]],
    chunk: int | None = None,
    runtime: str = AUTO,
    sentences: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    decode: str | None = None,
    task: str | None = None,
) -> Iterator[tuple[str, list[Entity]]]:
    """Tags any number of texts or split sentences; yields each text with its entities, in order.

    Args:
        model: the folder of a version, a folder of versions, whose highest is used, or the address of a served model.
        inputs: texts (strings) and split sentences (sequences of words).
        chunk: how many inputs are read and tagged together [as many as `Tagger.tag_many` takes].
        runtime: what runs the model, as for `load_tagger`.
        sentences: how texts are divided into sentences, as for `load_tagger`.
        say: called with a line that says which runtime was chosen, unless it is TensorFlow, and at the end with the tagger's
            warnings.
        decode: how tags are chosen, as for `load_tagger`.
        task: the task to tag for, as for `load_tagger`.

    Raises:
        UserError: where the model does not exist, or an input cannot be tagged.
    """
    with load_tagger(model, runtime, sentences, decode, task) as tagger:
        _say_runtime(tagger, say)
        inputs, again = tee(inputs)
        for item, entities in zip(again, tagger.tag_many(inputs, chunk or TEXTS_PER_CHUNK), strict=True):
            yield as_text(item), entities
        for line in tagger.warnings():
            say(line)


def _say_runtime(tagger: Tagger, say: Callable[[str], None]) -> None:
    if tagger.runtime not in (None, "tensorflow"):
        say(f"tagging with {RUNTIMES[tagger.runtime]}, {tagger.precision} ({tagger.name})")


def highlight(text: str, entities: Sequence[Entity], colours: bool) -> str:
    """The text with its entities marked as `[text]TYPE`, with or without colours for a terminal."""
    types = sorted({e.type for e in entities})
    parts, position = [], 0
    for e in entities:
        marked = f"[{e.text}]{e.type}"
        if colours:
            marked = f"\x1b[{_COLOURS[types.index(e.type) % len(_COLOURS)]};1m{marked}\x1b[0m"
        parts += [text[position : e.start], marked]
        position = e.end
    return "".join([*parts, text[position:]])


def format_entities(text: str, entities: Sequence[Entity], colours: bool = False) -> str:
    """The highlighted text, and a line for each of its entities."""
    return "\n".join([highlight(text, entities, colours), *map(entity_line, entities)])


def entity_line(entity: Entity) -> str:
    """One entity as a line: type, score, text, words and characters, and whether it is accepted, if it is not."""
    words = (
        f"word {entity.first_word}"
        if entity.end_word == entity.first_word + 1
        else f"words {entity.first_word}-{entity.end_word}"
    )
    line = f"  {entity.type:<8} {entity.score:.4f}  {entity.text}  ({words}, characters {entity.start}-{entity.end})"
    return line if entity.accepted else f"{line}, not accepted"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = _parser()
    arguments = parser.parse_intermixed_args(argv)
    if arguments.texts and arguments.file:
        parser.error("expected texts or --file, got both")
    if arguments.json and arguments.output_format not in (None, "jsonl"):
        parser.error("expected --json or --output-format, got both")
    if arguments.output:
        _tag_files(parser, arguments)
        return
    format = "jsonl" if arguments.json else arguments.output_format
    if format == "parquet" or arguments.engine != "local":
        given = "--output-format parquet" if format == "parquet" else "--engine"
        parser.error(f"{given} needs --output")
    interactive = not arguments.texts and not arguments.file and sys.stdin.isatty()
    quiet = bool(arguments.texts) or not sys.stderr.isatty() or sys.stdout.isatty()
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    say = partial(print, file=sys.stderr, flush=True)
    if interactive:
        say(f"type a text and press Enter; {'Ctrl-Z and Enter end' if os.name == 'nt' else 'Ctrl-D ends'}")
    records = valid(_records(arguments, say))
    records = chain(list(islice(records, 1)), records)  # a file that cannot be read is known before the model is loaded
    chunk = 1 if interactive else TEXTS_PER_CHUNK
    show = partial(tqdm, unit="text", disable=quiet, file=sys.stderr)
    with _load(arguments) as tagger:
        _say_runtime(tagger, say)
        chunks = together(records, chunk, 1 if interactive else 2 * chunk)
        if format:
            use_utf_8()
            rendered = chain.from_iterable(render(tagger, some, format) for some in chunks)
            sys.stdout.writelines(as_lines(show(rendered), format))
        else:
            tagged = (zip(some, tag_records(tagger, some), strict=True) for some in chunks)
            for record, entities in show(chain.from_iterable(tagged)):
                print(format_entities(as_text(record.item), entities, colours))
        for line in tagger.warnings():
            say(line)


def _load(arguments: argparse.Namespace) -> Tagger:
    return load_tagger(arguments.model, arguments.runtime, arguments.sentences, arguments.decode, arguments.task)


def _records(arguments: argparse.Namespace, say: Callable[[str], None]) -> Iterable[Record]:
    """The texts on the command line, the records of a file, or those of standard input."""
    if arguments.texts:
        return (Record(text, 1) for text in arguments.texts)
    if arguments.file:
        path = Path(arguments.file).expanduser()
        if path.is_dir() or not path.exists():
            find_files(arguments.file)
            raise UserError(f"expected one file: several are tagged with {setting('output', 'FOLDER')}", path)
        return file_records(path, arguments.format, arguments.text_encoding, arguments.text_column, say=say)
    standard: Any = getattr(sys.stdin, "buffer", sys.stdin)
    return stream_records(standard, arguments.format, arguments.text_encoding or "utf-8", STANDARD_INPUT, say)


def _tag_files(parser: Parser, arguments: argparse.Namespace) -> None:
    """Tags files into a folder."""
    if not arguments.file:
        parser.error("--output needs --file")
    if arguments.engine != "ray" and (arguments.actors is not None or arguments.ray_address):
        parser.error("--actors and --ray-address need --engine ray")
    say = partial(print, file=sys.stderr)
    files = find_files(arguments.file, arguments.output, say)
    source = Source(files, arguments.format, arguments.text_encoding, arguments.text_column)
    engine: Engine = in_this_process
    if arguments.engine == "ray":
        from tfner.tagging.on_ray import on_ray

        engine = on_ray(arguments.actors, arguments.ray_address)
    with _load(arguments) as tagger:
        _say_runtime(tagger, say)
        size = sum(file.stat().st_size for file in files)
        with tqdm(total=size, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
            format = arguments.output_format or "jsonl"
            counts = tag_files(tagger, source, Path(arguments.output), format, bar.update, engine=engine)
        warnings = tagger.warnings()
    for line in warnings:
        print(line)
    rejected = f", {counts['rejected']:,} rejected (see {REJECTS})" if counts["rejected"] else ""
    records, read = counted(counts["records"], "record"), counted(len(files), "file")
    print(f"{records} of {read}: {counts['tagged']:,} tagged{rejected}, in {arguments.output}")


def _parser() -> Parser:
    parser = Parser("predict", "Tag texts with a trained model.")
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head, or address of a served one")
    parser.add_argument("texts", nargs="*", metavar="text", help="texts to tag [--file, or standard input]")
    parser.add_argument(
        "--task",
        choices=TASKS,
        metavar="|".join(TASKS),
        help="task to tag for, of a model that was trained for several [the first of them]",
    )
    add_runtime(parser)
    group = parser.add_argument_group("input")
    formats = ", ".join(f"{name} ({what})" for name, what in INPUT_FORMATS.items())
    group.add_argument(
        "--file",
        type=filled,
        metavar="FILE",
        help="file to read; with --output also a folder, or a pattern such as 'logs/*.jsonl'",
    )
    group.add_argument(
        "--format",
        choices=tuple(INPUT_FORMATS),
        metavar="|".join(INPUT_FORMATS),
        help=f"format of the input: {formats} [recognized from its first lines and its name]",
    )
    group.add_argument(
        "--text-encoding", type=_encoding, metavar="NAME", help="encoding of the input [utf-8, or what a file begins with]"
    )
    group.add_argument(
        "--sentences",
        choices=tuple(SENTENCES),
        metavar="|".join(SENTENCES),
        help=f"{SENTENCES_HELP} [as the model says]",
    )
    group.add_argument(
        "--decode", choices=tuple(DECODERS), metavar="|".join(DECODERS), help=f"{DECODE_HELP} [as the model says]"
    )
    group.add_argument("--text-column", default="text", metavar="NAME", help="column of the texts in Parquet files [text]")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print a JSON object per text, one a line")
    output.add_argument(
        "--output-format",
        choices=tuple(OUTPUT_FORMATS),
        metavar="|".join(OUTPUT_FORMATS),
        help="what to print instead of text, or format of the files in --output: "
        + ", ".join(f"{name} ({what})" for name, what in OUTPUT_FORMATS.items())
        + " [with --output: jsonl]",
    )
    output.add_argument(
        "--output",
        type=filled,
        metavar="FOLDER",
        help="folder to tag files of any size into; after an interruption, the same command goes on",
    )
    engines = parser.add_argument_group("many processes, with --output")
    engines.add_argument(
        "--engine",
        default="local",
        choices=("local", "ray"),
        metavar="local|ray",
        help="what tags: this process, or actors of Ray, on this machine or a cluster [local]",
    )
    engines.add_argument("--actors", type=int, metavar="N", help="actors of Ray [as many as there are cores]")
    engines.add_argument("--ray-address", metavar="ADDRESS", help="address of a Ray cluster [RAY_ADDRESS, or this machine]")
    return parser


def _encoding(name: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)  # raises LookupError for an unknown codec, or one that is not for text
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError(f"unknown encoding {name!r}: expected one such as utf-8 or latin-1") from None
    return name


if __name__ == "__main__":
    raise SystemExit(main())
