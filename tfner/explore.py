"""Shows a corpus: its counts per split and type, what its reader decided, and the first sentences with their tags.

In goes what `load_corpus` takes, out comes text for a terminal, or JSON. Nothing is changed or written.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence

from tfner.config import Config, add_flags
from tfner.corpus import SPLITS, Corpus, Sentence
from tfner.data.load import corpus_of
from tfner.errors import UserError
from tfner.terminal import Parser, command, print_json, table

_ZERO_WIDTH_JOINER = "\u200d"  # joins emoji; all other characters that print nothing are shown as escapes


def explore(corpus: Corpus, sentences: int = 3, width: int = 80) -> str:
    """The report on a corpus: a table of counts, notes, and the first `sentences` sentences of its first split with the
    tags under the words, in lines of `width` terminal columns."""
    parts = [f"{corpus.name}, {corpus.task}: {len(corpus.labels)} labels", _counts_table(corpus)]
    if corpus.notes:
        parts.append("\n".join(f"note: {note}" for note in corpus.notes))
    split = next(split for split in SPLITS if split in corpus.splits)
    for number, sentence in enumerate(corpus.splits[split][:sentences], start=1):
        parts.append(f"{split} {number}\n{_aligned(sentence, width)}")
    return "\n\n".join(parts)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command `python -m tfner.explore`."""
    parser = Parser("explore", "Count a corpus and show its sentences.")
    parser.add_argument(
        "corpus",
        metavar="SPEC",
        nargs="?",
        default="demo",
        help="a folder with train, valid and test files, a file, a name on the Hugging Face hub, or demo (the default)",
    )
    add_flags(parser, ("task", "tag_column", "text_encoding", "one_document"))
    parser.add_argument("--sentences", type=int, default=3, metavar="N", help="how many to show (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    arguments = vars(parser.parse_args(argv))
    sentences, as_json = arguments.pop("sentences"), arguments.pop("json")
    if sentences < 0:
        raise UserError(f"--sentences {sentences}: expected 0 or more")
    corpus = corpus_of(Config(**arguments, unseen_labels="keep"))  # to be looked at, not learned from
    if as_json:
        print_json(corpus.counts())
    else:
        print(explore(corpus, sentences, shutil.get_terminal_size().columns))


def _counts_table(corpus: Corpus) -> str:
    """The counts with a column per split, and a row per type below the others."""
    counts = corpus.counts()
    rows: list[list[str]] = [["", *counts]]
    for name in ("sentences", "documents", "words"):
        rows.append([name, *("-" if of[name] is None else f"{of[name]:,}" for of in counts.values())])
    if corpus.task != "pos":  # there it would be the number of words again
        rows.append(["entities" if corpus.task == "ner" else "chunks"])
        rows[-1] += [f"{sum(of['entities'].values()):,}" for of in counts.values()]
    rows += [[f"  {kind}", *(f"{of['entities'][kind]:,}" for of in counts.values())] for kind in corpus.labels.types]
    return table(rows)


def _aligned(sentence: Sentence, width: int) -> str:
    """The words of a sentence with each one's tag under it, in pairs of lines of at most `width` terminal columns (a
    longer word has a pair of its own)."""
    lines: list[list[str]] = []
    used = 0  # columns of the last pair of lines
    for word, tag in zip(map(_visible, sentence.words), map(_visible, sentence.tags), strict=True):
        columns = max(_columns(word), _columns(tag))
        if not lines or used + 1 + columns > width:
            lines += [[], []]
            used = -1
        used += 1 + columns
        for line, cell in zip(lines[-2:], (word, tag), strict=True):
            line.append(cell + " " * (columns - _columns(cell)))
    return "\n".join(" ".join(line).rstrip() for line in lines)


def _visible(text: str) -> str:
    """The text with characters that print nothing (a no-break or zero-width space) as escapes."""
    shown = (c if c.isprintable() or c == _ZERO_WIDTH_JOINER else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown) or "''"


def _columns(text: str) -> int:
    """How many terminal columns a text takes: two for wide East Asian characters and emoji, none for marks and joiners."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


if __name__ == "__main__":
    raise SystemExit(main())
