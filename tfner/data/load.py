"""Reads a corpus from files, the Hugging Face hub or the embedded generator.

Takes what the user names and returns a `Corpus` with IOB2 tags (plain for pos). `Corpus.notes` records everything that a reader
decided. Word pieces and tensors are made in `tfner.modeling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from tfner.config import TASKS, UNSEEN_LABELS, Config
from tfner.corpus import Corpus, Sentence, with_labels, with_train_share
from tfner.data import table
from tfner.data.conll import NoUsualColumn, read_columns
from tfner.data.files import CONLL_EXTENSIONS, JSON_EXTENSIONS, RawSentence, read_text, split_files, splits_in_name
from tfner.data.jsonl import read_jsonl
from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError, setting
from tfner.labels import LabelSet, breaks, iob2, scheme, split_tag, standard_tags

_FILE_EXTENSIONS = (*JSON_EXTENSIONS, *CONLL_EXTENSIONS, ".txt", ".tsv", ".csv", ".train", ".testa", ".testb")


def load_corpus(
    spec: str | Path,
    task: str = "ner",
    tag_column: int | None = None,
    text_encoding: str | None = None,
    one_document: bool = False,
    label_list: Sequence[str] | None = None,
    unseen_labels: str = "error",
) -> Corpus:
    """Reads a corpus.

    Its labels are those of the train split, or of all splits where there is none.

    Args:
        spec: `"demo"` (the embedded corpus), a file, a folder with a file per split, or a name on the Hugging Face hub. Files
            are CoNLL columns, JSON if their names end in `.jsonl` or `.json`, or tables if they end in `.csv` and have a
            header.
        task: one of `TASKS`.
        tag_column: for columns, the column of the tags, from 1, or negative from the end.
        text_encoding: for files, their encoding.
        one_document: makes each split that has no document marks one document.
        label_list: for JSON lines, the names of ids.
        unseen_labels: what to do with labels that do not occur in train: `"error"` stops, `"keep"` adds them.

    Raises:
        UserError: where the arguments or the data are wrong.
    """
    for name, value, known in (("task", task, TASKS), ("unseen_labels", unseen_labels, UNSEEN_LABELS)):
        if value not in known:
            raise UserError(f"{setting(name, value)}: expected one of {', '.join(known)}")
    if spec == "demo":
        return demo_corpus(task)
    read = _read(spec, task, tag_column, text_encoding, label_list)
    return _corpus(spec, task, *read, one_document, unseen_labels)


_Raw = Mapping[str, tuple[str, list[RawSentence]]]
"""For each split its source, for messages, and its sentences."""


def _read(
    spec: str | Path,
    task: str,
    tag_column: int | None = None,
    text_encoding: str | None = None,
    label_list: Sequence[str] | None = None,
) -> tuple[_Raw, list[str]]:
    """The sentences of files or of a data set on the hub, and notes. Raises UserError where there is nothing of this name."""
    path = Path(spec).expanduser()
    if path.exists():
        return _read_files(path, task, tag_column, text_encoding, label_list)
    if _looks_like_a_path(spec):
        raise UserError(
            "no such file or folder: expected a folder with train, valid and test files (CoNLL columns or JSON lines), one "
            "such file, a name on the Hugging Face hub such as conll2003, or demo for the embedded corpus",
            spec,
        )
    from tfner.data.hub import read_hub  # imports the datasets library, which files do not need

    return read_hub(str(spec), task)


def _corpus(spec: str | Path, task: str, raw: _Raw, notes: Sequence[str], one_document: bool, unseen_labels: str) -> Corpus:
    splits, more = _convert(raw, task, one_document)
    return with_labels(Corpus(str(spec), task, splits, LabelSet(("O",)), (*notes, *more)), unseen_labels)


def read_annotation(
    path: str | Path, task: str, sentences: Sequence[Sentence], tag_column: int | None = None, text_encoding: str | None = None
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The tags of another annotation of sentences, in IOB2 (plain for pos), and notes on what the reader decided.

    Args:
        path: a file, in any format that `load_corpus` reads.
        task: one of `TASKS`.
        sentences: the sentences, whose words the file has to have.
        tag_column: as for `load_corpus`.
        text_encoding: as for `load_corpus`.

    Raises:
        UserError: where the file cannot be read, or has other words, with its line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError("expected a file with the words of the split and their other tags, found none", path)
    files, notes = _read_files(path, task, tag_column, text_encoding, None)
    ((source, raw),) = files.values()
    for number, (own, expected) in enumerate(zip(raw, sentences, strict=False), start=1):
        if own.words != expected.words:
            pairs = [*zip(own.words, expected.words, strict=False)]
            at = next((i for i, (one, other) in enumerate(pairs) if one != other), len(pairs))
            words = [
                sentence.words[at] if at < len(sentence.words) else "the end of the sentence" for sentence in (expected, own)
            ]
            raise UserError(
                f"expected the words of the split, and {words[0]!r} as word {at + 1} of sentence {number}, found {words[1]!r}: "
                "give an annotation of the same sentences",
                source,
                own.where(min(at, len(own.words) - 1)),
            )
    if len(raw) != len(sentences):
        raise UserError(
            f"expected the {len(sentences):,} sentences of the split, found {len(raw):,}: give an annotation of the same ones",
            source,
        )
    tags, more = _convert_tags(source, raw, task)
    return tags, [*notes, *more]


def corpus_of(config: Config) -> Corpus:
    """The corpus that settings name. Raises UserError as `load_corpus` does, and where they name none."""
    if not config.corpus:
        raise UserError(f"this model was trained elsewhere, on a corpus that is not known: give one with {setting('corpus')}")
    corpora = (
        _corpora(config) if len(config.tasks) > 1 and config.corpus != "demo" else [_of_task(config, t) for t in config.tasks]
    )
    if config.train_share != 1:
        corpora = [with_train_share(one, config.train_share) for one in corpora]
    first, *others = corpora
    notes = (f"{other.task}: {note}" for other in others for note in other.notes if note not in first.notes)
    return replace(first, others=tuple(others), notes=(*first.notes, *notes))


def _of_task(config: Config, task: str) -> Corpus:
    return load_corpus(
        config.corpus,
        task,
        config.tag_column,
        config.text_encoding,
        config.one_document,
        unseen_labels=config.unseen_labels,
    )


def _corpora(config: Config) -> list[Corpus]:
    """The corpus of each of several tasks. Raises UserError where they do not have the same words and tags of their own."""
    tasks, spec = config.tasks, config.corpus
    if config.tag_column is not None:
        raise UserError(
            f"{setting('tag_column', config.tag_column)}: each of the tasks {', '.join(tasks)} has a column of its own: leave "
            "it out"
        )
    read = {}
    for task in tasks:
        try:
            read[task] = _read(spec, task, text_encoding=config.text_encoding)
        except NoUsualColumn as error:
            raise UserError(f"{error.expected}: {_SEVERAL}", error.path, error.line) from error
    first, others = tasks[0], tasks[1:]
    for one, other in combinations(tasks, 2):
        pair = [[s.tags for _, sentences in read[task][0].values() for s in sentences] for task in (one, other)]
        if pair[0] == pair[1]:
            raise UserError(f"{setting('task', config.task)}: {one} and {other} have the same tags: {_SEVERAL}", spec)
    for other in others:
        for split, (source, sentences) in read[first][0].items():
            _, its = read[other][0].get(split, ("", []))
            pairs = zip(sentences, its, strict=False)
            at = next((i for i, (a, b) in enumerate(pairs) if (a.words, a.document) != (b.words, b.document)), None)
            if at is not None or len(sentences) != len(its):
                where = f"sentence {at + 1}" if at is not None else "the end of the shorter one"
                raise UserError(
                    f"{setting('task', config.task)}: expected the same words for {first} and {other}, but they differ from "
                    f"{where} on: train a model for each",
                    source,
                )
    return [_corpus(spec, task, *read[task], config.one_document, config.unseen_labels) for task in tasks]


_SEVERAL = (
    "give each task tags of its own, in four columns (word POS chunk NER), or in JSON lines with ner_tags, pos_tags and "
    "chunk_tags"
)
"""What to do about a corpus that lacks the tags of one of several tasks."""


def _looks_like_a_path(spec: str | Path) -> bool:
    """Whether a name that does not exist is meant as a path. Names on the hub are NAME or OWNER/NAME."""
    text = str(spec)
    return (
        isinstance(spec, Path)
        or text.startswith((".", "~", "/"))
        or "\\" in text
        or text.count("/") > 1
        or text.endswith(("/", *_FILE_EXTENSIONS))
        or ("/" in text and Path(text).parent.is_dir())
    )


def _read_files(
    path: Path, task: str, tag_column: int | None, text_encoding: str | None, label_list: Sequence[str] | None
) -> tuple[dict[str, tuple[str, list[RawSentence]]], list[str]]:
    """The file's name and the sentences of each split of a file or a folder, and notes."""
    notes: list[str] = []
    if path.is_dir():
        files = split_files(path)
    else:
        named = splits_in_name(path.name)
        if len(named) != 1:
            notes.append(f"{path.name}: the name does not say which split it is, so it is read as train")
        files = {named.pop() if len(named) == 1 else "train": path}
    raw: dict[str, tuple[str, list[RawSentence]]] = {}
    for split, file in files.items():
        text, note = read_text(file, text_encoding)
        notes += [note] if note else []
        own: list[str] = []
        if file.suffix.lower() in JSON_EXTENSIONS:
            raw[split] = str(file), read_jsonl(text, file, task, label_list, own.append)
        elif file.suffix.lower() == table.EXTENSION and table.is_table(text):
            if tag_column is not None:
                raise UserError(
                    f"{setting('tag_column', tag_column)}: the header of a table names its columns: leave the flag out", file
                )
            raw[split] = str(file), table.read_table(text, file, task)
        else:
            raw[split] = str(file), read_columns(text, file, task, tag_column, own.append)
        notes += [f"{split}: {line}" for line in own]
    return raw, notes


def _convert(
    raw: Mapping[str, tuple[str, list[RawSentence]]], task: str, one_document: bool
) -> tuple[dict[str, tuple[Sentence, ...]], list[str]]:
    """The sentences of each split with IOB2 tags (plain tags for pos), and notes."""
    notes: list[str] = []
    splits: dict[str, tuple[Sentence, ...]] = {}
    for split, (source, sentences) in raw.items():
        tags, own = _convert_tags(source, sentences, task)
        notes += [f"{split}: {note}" for note in own]
        splits[split] = tuple(
            Sentence(s.words, t, 0 if one_document and s.document is None else s.document)
            for s, t in zip(sentences, tags, strict=True)
        )
    return splits, notes


def _convert_tags(source: str, sentences: Sequence[RawSentence], task: str) -> tuple[list[tuple[str, ...]], Sequence[str]]:
    """The tags of each sentence in IOB2 (plain tags as they are), and notes on what was converted.

    Raises UserError for an unknown tag, with its file and line.
    """
    tags = [s.tags for s in sentences]
    if task == "pos":
        return tags, ()
    usual = standard_tags({tag for sentence in tags for tag in sentence})
    notes = []
    if other := sorted(tag for tag in usual if usual[tag] != tag):
        notes.append(f"tags are read as usually written: {', '.join(f'{tag} as {usual[tag]}' for tag in other[:3])}")
        sentences = [s._replace(tags=tuple(usual[tag] for tag in s.tags)) for s in sentences]
        tags = [s.tags for s in sentences]
    for bad in {tag for sentence in tags for tag in sentence}:
        try:
            split_tag(bad)
        except UserError as error:
            line = next(s.where(s.tags.index(bad)) for s in sentences if bad in s.tags)
            message = f"{error.message}; for another column of the file use {setting('tag_column')}"
            raise UserError(message, source, line) from None
    try:
        found = scheme(tags)
    except UserError as error:
        raise UserError(error.message, source) from None
    if found == "IOB2":
        return tags, notes
    converted = [tuple(iob2(sentence)) for sentence in tags]
    if found == "IOB":
        pairs = [pair for old, new in zip(tags, converted, strict=True) for pair in zip(old, new, strict=True)]
        changed = sum(old != new for old, new in pairs)
        times = "1 I- tag that continued" if changed == 1 else f"{changed} I- tags that continued"
        return converted, [*notes, f"IOB1 and IOB2 are mixed: {times} no entity became B-, as in IOB2"]
    broken = sum(map(breaks, tags)) if found in ("BIOES", "BILOU") else 0
    tags_break = "1 tag breaks" if broken == 1 else f"{broken:,} tags break"
    where = f"; {tags_break} the rules of {found}, and entities are read as conlleval does" if broken else ""
    return converted, [*notes, f"tags converted from {found} to IOB2{where}"]
