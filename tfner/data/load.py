"""Reads a corpus from files, from the Hugging Face hub or from the embedded generator.

Takes what the user names and returns a `Corpus` whose tags are IOB2 (plain for POS). Whatever a reader had to decide is
recorded in `Corpus.notes`. Word pieces and tensors are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfner.config import TASKS, Config
from tfner.corpus import Corpus, Sentence, with_labels
from tfner.data.conll import read_columns
from tfner.data.files import RawSentence, read_text, split_files, splits_in_name
from tfner.data.jsonl import read_jsonl
from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError
from tfner.labels import LabelSet, iob2, scheme, split_tag

_JSON_EXTENSIONS = (".jsonl", ".json")
_FILE_EXTENSIONS = (*_JSON_EXTENSIONS, ".txt", ".conll", ".tsv", ".csv", ".iob", ".iob2", ".bio", ".train", ".testa", ".testb")


def load_corpus(
    spec: str | Path,
    task: str = "ner",
    tag_column: int | None = None,
    text_encoding: str | None = None,
    one_document: bool = False,
    label_list: Sequence[str] | None = None,
    unseen_labels: str = "error",
) -> Corpus:
    """Reads a corpus: `"demo"` (the embedded one), a file, a folder with a file per split, or a name on the hub.

    Files are CoNLL columns, or JSON lines if they end in `.jsonl` or `.json`. `tag_column` (from 1, or negative from
    the end) and `text_encoding` are for files, `label_list` for JSON lines with ids. `one_document` makes each split
    without document marks one document. The labels are those of the train split, or of all splits where there is none;
    `unseen_labels` says what becomes of others: `"error"`, or `"keep"`, which adds them.

    Raises UserError for all that is wrong with the request or the data.
    """
    if task not in TASKS:
        raise UserError(f"task {task!r}: expected one of {', '.join(TASKS)}")
    if unseen_labels not in ("error", "keep"):
        raise UserError(f"unseen_labels {unseen_labels!r}: expected error or keep")
    path = Path(spec).expanduser()
    if spec == "demo":
        return demo_corpus(task)
    if path.exists():
        written, notes = _read_files(path, task, tag_column, text_encoding, label_list)
    elif _looks_like_a_path(spec):
        raise UserError(
            f"{spec}: no such file or folder; expected a folder with train, valid and test files (CoNLL columns or JSON "
            "lines), one such file, a name on the Hugging Face hub such as conll2003, or demo for the embedded corpus"
        )
    else:
        from tfner.data.hub import read_hub  # brings the datasets library, which only the hub needs

        written, notes = read_hub(str(spec), task)
    splits: dict[str, tuple[Sentence, ...]] = {}
    for split, (source, sentences) in written.items():
        tags, note = _convert(source, sentences, task)
        notes += [f"{split}: {note}"] if note else []
        splits[split] = tuple(
            Sentence(s.words, t, 0 if one_document and s.document is None else s.document)
            for s, t in zip(sentences, tags, strict=True)
        )
    return with_labels(Corpus(str(spec), task, splits, LabelSet(("O",)), tuple(notes)), unseen_labels)


def corpus_of(config: Config) -> Corpus:
    """The corpus that settings name. Raises UserError as `load_corpus` does."""
    return load_corpus(
        config.corpus,
        config.task,
        config.tag_column,
        config.text_encoding,
        config.one_document,
        unseen_labels=config.unseen_labels,
    )


def _looks_like_a_path(spec: str | Path) -> bool:
    """Whether a name that does not exist was meant as a path: names on the hub are NAME or OWNER/NAME."""
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
    """Per split its file's name and sentences, and notes, from a file or a folder."""
    notes: list[str] = []
    if path.is_dir():
        files = split_files(path)
    else:
        named = splits_in_name(path.name)
        if len(named) != 1:
            notes.append(f"{path.name}: its name does not say which split it is, taken as train")
        files = {named.pop() if len(named) == 1 else "train": path}
    written: dict[str, tuple[str, list[RawSentence]]] = {}
    for split, file in files.items():
        text, note = read_text(file, text_encoding)
        notes += [note] if note else []
        if file.suffix.lower() in _JSON_EXTENSIONS:
            written[split] = str(file), read_jsonl(text, file, task, label_list)
        else:
            written[split] = str(file), read_columns(text, str(file), task, tag_column)
    return written, notes


def _convert(source: str, sentences: Sequence[RawSentence], task: str) -> tuple[list[tuple[str, ...]], str | None]:
    """The tags of each sentence in IOB2 (plain tags as they are), and a note where that changed or decided something.

    Raises UserError for an unknown tag, with its file and line.
    """
    tags = [s.tags for s in sentences]
    if task == "pos":
        return tags, None
    for bad in {tag for sentence in tags for tag in sentence}:
        try:
            split_tag(bad)
        except UserError as error:
            line = next(s.where(s.tags.index(bad)) for s in sentences if bad in s.tags)
            raise UserError(f"{source}:{line}: {error}; for another column of the file use --tag-column") from None
    try:
        found = scheme(tags)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if found == "IOB2":
        return tags, None
    converted = [tuple(iob2(sentence)) for sentence in tags]
    if found == "IOB":
        pairs = [pair for old, new in zip(tags, converted, strict=True) for pair in zip(old, new, strict=True)]
        orphans = sum(old != new for old, new in pairs)
        return converted, f"IOB1 and IOB2 are mixed: {orphans} I- that continued nothing became B-, as in IOB2"
    return converted, f"tags converted from {found} to IOB2"
