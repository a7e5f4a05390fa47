"""Tags files of any size into a folder, and goes on after an interruption: no record is lost and none is tagged twice.

Takes a tagger and files and writes `part-00000.jsonl` and so on, each whole or absent, `rejects.jsonl` with the records that
cannot be tagged, and `manifest.json`. Reading files is left to `data.sources`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfner.data.inputs import Record
from tfner.data.sources import file_records, identify
from tfner.errors import UserError, setting
from tfner.folder import write_json, write_whole
from tfner.labels import Entity
from tfner.tagging.tagger import Tagger, divide, utf8_size

MANIFEST, REJECTS = "manifest.json", "rejects.jsonl"
OUTPUT_FORMATS = {"jsonl": "JSON lines", "conll": "CoNLL columns", "parquet": "Parquet"}
"""What a part can be, and its name."""
PART = 20_000
"""Records of a part. An interruption loses at most the work of one part."""
MOST_CHARACTERS = 1_000_000
"""The longest text that is tagged: a longer one is more likely a mistake, and takes memory."""


class Output:
    """The folder that a job writes to.

    Args:
        folder: a new or empty folder, or one that the same job wrote to before.
        job: what identifies the job, as JSON.

    Raises:
        UserError: where the folder holds anything else, another job writes to it, or one did before.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any]):
        self.folder = folder
        self.manifest: dict[str, Any] = {"job": dict(job), "parts": [], "rejects_bytes": 0, "complete": False}
        if folder.is_file():
            raise UserError(f"{setting('output', folder)}: expected a folder, but it is a file: choose another name")
        known = (folder / MANIFEST).is_file()
        other = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
        if other and not known:
            raise UserError(
                f"{setting('output', folder)}: expected a new folder, or one that this command wrote to before, found "
                f"{', '.join(other[:5])}: choose another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError("another command writes to this folder: wait for its end, or choose another", folder) from None
        if known:
            self._restore(dict(job))
        else:
            self.save()  # before anything else: a folder without it is not ours

    @property
    def parts(self) -> list[dict[str, int]]:
        """For each part that is done: its records, those that were tagged, and those that were rejected."""
        return list(self.manifest["parts"])

    @property
    def counts(self) -> dict[str, int]:
        """The sums of all parts."""
        return {name: sum(part[name] for part in self.parts) for name in ("records", "tagged", "rejected")}

    def add(self, write: Callable[[Path], object], ending: str, rejects: Sequence[str], counts: dict[str, int]) -> None:
        """Adds a part. Wherever this is interrupted, the part is either there and counted, or written again."""
        write_whole(self.folder / f"part-{len(self.parts):05}.{ending}", write)
        with (self.folder / REJECTS).open("ab") as file:
            file.write("".join(line + "\n" for line in rejects).encode())
            end = file.tell()
        self.manifest |= {"parts": [*self.parts, counts], "rejects_bytes": end}
        self.save()

    def save(self) -> None:
        """Writes the manifest."""
        write_whole(self.folder / MANIFEST, lambda path: write_json(path, self.manifest))

    def release(self) -> None:
        """Lets other commands write to the folder."""
        self._lock.release()

    def _restore(self, job: dict[str, Any]) -> None:
        path = self.folder / MANIFEST
        try:
            found = json.loads(path.read_text("utf-8"))
            before, _, size = (found[name] for name in ("job", "parts", "rejects_bytes"))
        except (ValueError, KeyError, TypeError) as error:
            self.release()
            raise UserError("the manifest is damaged: choose another folder, or remove this one", path) from error
        differing = sorted(name for name in {*before, *job} if before.get(name) != job.get(name))
        if differing:
            self.release()
            raise UserError(
                f"{setting('output', self.folder)}: another job wrote to this folder, with another {' and '.join(differing)}: "
                "choose another folder"
            )
        self.manifest = found
        if (self.folder / REJECTS).exists():
            with (self.folder / REJECTS).open("r+b") as file:
                file.truncate(size)  # of a part that was not counted


def tag_files(
    tagger: Tagger,
    files: Sequence[Path],
    folder: Path,
    kind: str | None = None,
    format: str = "jsonl",
    encoding: str | None = None,
    column: str = "text",
    moved: Callable[[int], None] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, int]:
    """Tags the records of files, in order, and continues where an earlier call was interrupted.

    Args:
        tagger: the tagger.
        files: the files.
        folder: where to write.
        kind: the format of the files, one of `INPUT_FORMATS` [recognized].
        format: a key of `OUTPUT_FORMATS`.
        encoding: of their text [recognized].
        column: the column of the texts in Parquet files.
        moved: called with numbers of bytes that were read, for showing the progress.
        say: called with a line for everything that was guessed and is not certain.

    Returns:
        The numbers of `records`, of those that were `tagged`, and of those that were `rejected`.

    Raises:
        UserError: where the folder belongs to something else, a file cannot be opened, or there is no room to write.
    """
    names = ("runtime", "precision", "sentences")
    job = {
        "model": {"weights": tagger.weights or tagger.name, **{name: getattr(tagger, name) for name in names}},
        "input": [identify(file) for file in files],
        "settings": {"format": kind, "output_format": format, "text_encoding": encoding, "text_column": column, "part": PART},
    }
    output = Output(folder, job)
    try:
        records = chain.from_iterable(
            ((file, record) for record in file_records(file, kind, encoding, column, moved, say)) for file in files
        )
        done = sum(part["records"] for part in output.parts)
        skipped = sum(1 for _ in islice(records, done))
        if skipped != done:
            raise UserError(
                f"expected the {done:,} records that are tagged already, found {skipped:,}: restore the files", folder
            )
        while part := list(islice(records, PART)):
            _tag_part(tagger, part, output, format)
        output.manifest["complete"] = True
        output.save()
    except OSError as error:
        raise UserError(
            f"{setting('output', folder)}: cannot be written ({error.strerror}): make room; the same command then goes on"
        ) from error
    finally:
        output.release()
    counts = output.counts
    assert counts["records"] == counts["tagged"] + counts["rejected"]
    return counts


def as_json(item: str | Sequence[str], entities: Sequence[Entity], fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An input and its entities as an object for `json.dumps`, with the fields that it came with. Offsets count characters and
    words, half-open."""
    text = item if isinstance(item, str) else " ".join(item)
    return {**(fields or {}), "text": text, "entities": [{**asdict(e), "score": round(e.score, 6)} for e in entities]}


def _tag_part(tagger: Tagger, part: Sequence[tuple[Path, Record]], output: Output, format: str) -> None:
    good: list[Record] = []
    rejects = []
    for file, record in part:
        problem = record.problem or _problem(record)
        if problem is None:
            good.append(record)
        else:
            row = {
                "file": file.name,
                "line": record.line,
                "reason": str(problem.message),
                "record": record.source or record.item,
            }
            rejects.append(json.dumps({**row, "fields": record.fields} if record.fields else row, default=str))
    write = {"jsonl": _write_jsonl, "conll": _write_conll, "parquet": _write_parquet}[format]
    counts = {"records": len(part), "tagged": len(good), "rejected": len(rejects)}
    output.add(lambda path: write(path, tagger, good), format, rejects, counts)


def _problem(record: Record) -> UserError | None:
    """Why a record cannot be tagged, or None if it can."""
    if len(record.item) > MOST_CHARACTERS:
        return UserError(f"expected a text of at most {MOST_CHARACTERS:,} characters, found {len(record.item):,}: split it")
    try:
        utf8_size(record.item)
    except UserError as error:
        return error
    return None


def _write_jsonl(path: Path, tagger: Tagger, records: Sequence[Record]) -> None:
    # half surrogate pairs in other fields are written as JSON escapes, as they were read
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for record, entities in zip(records, tagger.tag_many(record.item for record in records), strict=True):
            file.write(json.dumps(as_json(record.item, entities, record.fields), ensure_ascii=False) + "\n")


def _write_conll(path: Path, tagger: Tagger, records: Sequence[Record]) -> None:
    sentences = [s for number, record in enumerate(records) for s in divide(record.item, tagger.sentences, number)[1]]
    with path.open("w", encoding="utf-8") as file:
        for sentence, tagged in zip(sentences, tagger.predict(sentences), strict=True):
            file.write("".join(f"{word}\t{tag}\n" for word, tag in zip(sentence.words, tagged.tags, strict=True)) + "\n")


def _write_parquet(path: Path, tagger: Tagger, records: Sequence[Record]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("writing Parquet needs pyarrow, which is not installed: pip install pyarrow") from error
    text, number, score = pyarrow.string(), pyarrow.int32(), pyarrow.float64()
    kinds = {
        "type": text,
        "text": text,
        "start": number,
        "end": number,
        "score": score,
        "first_word": number,
        "end_word": number,
    }
    schema = pyarrow.schema({"text": text, "entities": pyarrow.list_(pyarrow.struct(kinds.items())), "fields": text})
    rows = []
    for record, entities in zip(records, tagger.tag_many(record.item for record in records), strict=True):
        row = as_json(record.item, entities)
        rows.append({**row, "fields": json.dumps(record.fields, ensure_ascii=False, default=str)})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)
