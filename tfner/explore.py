"""`python -m tfner.explore`: counts a corpus and shows its notes and its first sentences with their tags.

Takes what `load_corpus` takes and returns text for a terminal, or prints counts as JSON. Nothing is written to disk.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence

from tfner.config import Config, add_flags
from tfner.corpus import SPLITS, Corpus, Sentence
from tfner.data.load import corpus_of
from tfner.errors import UserError, setting
from tfner.terminal import Parser, command, print_json, table

_ZERO_WIDTH_JOINER = "\u200d"  # joins emoji; other invisible characters are shown as escapes


def explore(corpus: Corpus, sentences: int = 3, width: int = 80) -> str:
    """The report on a corpus: a table of counts, notes, and the first sentences of its first split with tags under the words.

    Args:
        corpus: the corpus.
        sentences: how many sentences to show.
        width: the width of their lines in terminal columns.
    """
    parts = [f"{corpus.name}, {corpus.task}: {len(corpus.labels)} labels", _counts_table(corpus)]
    if corpus.notes:
        parts.append("\n".join(f"note: {note}" for note in corpus.notes))
    split = next(split for split in SPLITS if split in corpus.splits)
    for number, sentence in enumerate(corpus.splits[split][:sentences], start=1):
        parts.append(f"{split} {number}\n{_aligned(sentence, width)}")
    return "\n\n".join(parts)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("explore", "Count a corpus and show its sentences.")
    parser.add_argument(
        "corpus",
        nargs="?",
        default=Config.corpus,
        help="file, folder, name on the Hugging Face hub, or demo (the embedded corpus) [%(default)s]",
    )
    add_flags(parser, ("task", "tag_column", "text_encoding", "one_document"))
    parser.add_argument("--sentences", type=int, default=3, metavar="N", help="sentences to show [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    arguments = vars(parser.parse_args(argv))
    sentences, as_json = arguments.pop("sentences"), arguments.pop("json")
    if sentences < 0:
        raise UserError(f"{setting('sentences', sentences)}: expected at least 0")
    corpus = corpus_of(Config(**arguments, unseen_labels="keep"))  # a label that train does not have is shown too
    if as_json:
        print_json(corpus.counts())
    else:
        print(explore(corpus, sentences, shutil.get_terminal_size().columns))


def _counts_table(corpus: Corpus) -> str:
    """The counts as a table with a column per split and a row per type."""
    counts = corpus.counts()
    rows: list[list[str]] = [["", *counts]]
    for name in ("sentences", "documents", "words"):
        rows.append([name, *("-" if of[name] is None else f"{of[name]:,}" for of in counts.values())])
    if corpus.task != "pos":  # for pos it is the number of words
        rows.append(["entities" if corpus.task == "ner" else "chunks"])
        rows[-1] += [f"{sum(of['entities'].values()):,}" for of in counts.values()]
    rows += [[f"  {kind}", *(f"{of['entities'][kind]:,}" for of in counts.values())] for kind in corpus.labels.types]
    return table(rows)


def _aligned(sentence: Sentence, width: int) -> str:
    """The words of a sentence with their tags under them, in pairs of lines of at most `width` terminal columns.

    A word that is wider has a pair of lines to itself.
    """
    lines: list[list[str]] = []
    used = 0  # terminal columns used in the last pair of lines
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
    """The text with invisible characters, such as a no-break or zero-width space, as escapes."""
    shown = (c if c.isprintable() or c == _ZERO_WIDTH_JOINER else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown) or "''"


def _columns(text: str) -> int:
    """The terminal columns that a text takes: two for wide East Asian characters and emoji, none for marks and joiners."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


if __name__ == "__main__":
    raise SystemExit(main())
