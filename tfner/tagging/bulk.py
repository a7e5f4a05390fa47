"""Tags files of any size into a folder, and goes on after an interruption: no record is lost and none is tagged twice.

Takes a tagger and files and writes `part-00000.jsonl` and so on, each whole or absent, `rejects.jsonl` with the records that
cannot be tagged, and `manifest.json`. Reading files is left to `data.sources`, the forms of results to `outputs`, and
the folder to `job_folder`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tfner.contents import CONTENTS
from tfner.data.inputs import Record, together
from tfner.data.sources import check_file, file_records, identify
from tfner.data.words import as_text
from tfner.errors import UserError
from tfner.folder import EXTRA, digest
from tfner.tagging import outputs
from tfner.tagging.job_folder import JobFolder
from tfner.tagging.tagger import Tagger, TextTooLarge, utf8_size

CHUNK = 4_000
"""Records that are tagged together: enough to group rows by length. A document is not cut, unless there are twice as many."""
PART = 20_000
"""Records of a part, and the rest of their last chunk. An interruption loses the work of one part, and of what engines have
begun."""
READER = 4
"""Another number wherever the same files would give other records, so that no job goes on with them."""
MOST_CHARACTERS = 1_000_000
"""The longest text that is tagged: a longer one is more likely a mistake, and takes memory."""


@dataclass
class Chunk:
    """Records that are tagged together.

    Attributes:
        records: how many there are.
        good: those that can be tagged and are not yet, each with the name of its file.
        tagged: how many are.
        rejects: the lines for the others in `REJECTS`.
        moved: the bytes that were read for it.
        notes: lines for everything that was guessed and is not certain.
    """

    records: int = 0
    good: list[tuple[str, Record]] = field(default_factory=list)
    tagged: int = 0
    rejects: list[str] = field(default_factory=list)
    moved: int = 0
    notes: list[str] = field(default_factory=list)

    def tag(self, tagger: Tagger, format: str) -> list[Any]:
        """Tags the records and lets go of them; returns their results, from `outputs.render`.

        A record that cannot be written in the format, or a text that is too large for the server of the model, is rejected.
        """
        good = []
        for file, record in self.good:
            if problem := outputs.unwritable(record, format):
                self.rejects.append(_reject(file, record, problem))
            else:
                good.append((file, record))
        rendered = self._rendered(tagger, good, format)
        self.good, self.tagged = [], len(rendered)
        return rendered

    def _rendered(self, tagger: Tagger, good: Sequence[tuple[str, Record]], format: str) -> list[Any]:
        try:
            return outputs.render(tagger, [record for _, record in good], format)
        except TextTooLarge as error:
            if len(good) == 1:
                self.rejects.append(_reject(*good[0], error))
                return []
            half = len(good) // 2
            return self._rendered(tagger, good[:half], format) + self._rendered(tagger, good[half:], format)


@dataclass(frozen=True)
class Source:
    """Files of records, and how they are read, as for `data.sources.file_records`."""

    files: Sequence[Path]
    kind: str | None = None
    encoding: str | None = None
    column: str = "text"

    def chunks(self, skip: int = 0) -> Iterator[Chunk]:
        """The records of all files in order, without the first `skip`. Raises UserError where there are fewer."""
        moved: list[int] = []
        notes: list[str] = []
        root = os.path.commonpath([file.absolute().parent for file in self.files])
        names = [os.path.relpath(file.absolute(), root) for file in self.files]
        records = (
            (name, record)
            for name, file in zip(names, self.files, strict=True)
            for record in file_records(file, self.kind, self.encoding, self.column, moved.append, notes.append)
        )
        skipped = sum(1 for _ in islice(records, skip))
        if skipped != skip:
            raise UserError(f"expected the {skip:,} records that are tagged already, found {skipped:,}: restore the files")
        for some in together(records, CHUNK, 2 * CHUNK, lambda one: one[1].document):
            chunk = Chunk(len(some), moved=sum(moved), notes=[*notes])
            moved.clear()
            notes.clear()
            for file, record in some:
                problem = record.problem or _problem(record)
                if problem is None:
                    chunk.good.append((file, record))
                else:
                    chunk.rejects.append(_reject(file, record, problem))
            yield chunk
        if moved or notes:
            yield Chunk(moved=sum(moved), notes=notes)


Engine = Callable[[Tagger, Source, int, str], Iterator[tuple[Chunk, list[Any]]]]
"""Takes a tagger, a source, the number of records to skip, and a format; yields each chunk, in order, with its results."""


def in_this_process(tagger: Tagger, source: Source, skip: int, format: str) -> Iterator[tuple[Chunk, list[Any]]]:
    """The engine that tags with the tagger itself."""
    for chunk in source.chunks(skip):
        yield chunk, chunk.tag(tagger, format)


def tag_files(
    tagger: Tagger,
    source: Source,
    folder: Path,
    format: str = "jsonl",
    moved: Callable[[int], None] | None = None,
    say: Callable[[str], None] = print,
    engine: Engine = in_this_process,
) -> dict[str, int]:
    """Tags the records of files, in order, and continues where an earlier call was interrupted.

    Args:
        tagger: the tagger.
        source: the files, and how they are read.
        folder: where to write.
        format: a key of `outputs.OUTPUT_FORMATS`.
        moved: called with numbers of bytes whose records are tagged, for showing the progress.
        say: called with a line for everything that was guessed and is not certain.
        engine: what tags the chunks. All engines write the same files, and one may go on where another stopped.

    Returns:
        The numbers of `records`, of those that were `tagged`, and of those that were `rejected`.

    Raises:
        UserError: where the folder belongs to something else, a file cannot be read at all, or there is no room to write.
    """
    names = ("runtime", "precision", "sentences", "decode", "task")
    settings = {"reader": READER, "format": source.kind, "text_encoding": source.encoding, "text_column": source.column}
    job = {
        "model": {
            "weights": tagger.weights or tagger.name,
            "contents": _contents(tagger),
            **{name: getattr(tagger, name) for name in names},
            **tagger.calibration.to_values(),
        },
        "input": [identify(file) for file in source.files],
        "settings": {**settings, "output_format": format, "chunk": CHUNK, "part": PART},
    }
    for file in source.files:
        check_file(file, source.column)
    output = JobFolder(folder, job)
    part: list[tuple[Chunk, list[Any]]] = []
    try:
        for chunk, rendered in engine(tagger, source, output.counts["records"], format):
            for note in chunk.notes:
                say(note)
            if moved:
                moved(chunk.moved)
            part.append((chunk, rendered))
            if sum(one.records for one, _ in part) >= PART:
                _add(output, part, format)
                part = []
        if any(one.records for one, _ in part):
            _add(output, part, format)
        output.finish()
    finally:
        output.release()
    counts = output.counts
    assert counts["records"] == counts["tagged"] + counts["rejected"]
    return counts


def _contents(tagger: Tagger) -> str | None:
    """The checksum of what an export holds besides its weights, which all exports of a model share. None for an address."""
    folder = Path(tagger.name)
    return next((digest(path) for path in (folder / EXTRA / CONTENTS, folder / CONTENTS) if path.is_file()), None)


def _add(output: JobFolder, part: Sequence[tuple[Chunk, list[Any]]], format: str) -> None:
    tagged, rejects = sum(chunk.tagged for chunk, _ in part), [line for chunk, _ in part for line in chunk.rejects]
    counts = {"records": sum(chunk.records for chunk, _ in part), "tagged": tagged, "rejected": len(rejects)}
    rendered = [one for _, some in part for one in some]
    output.add(lambda path: outputs.write(path, rendered, format), format, rejects, counts)


def _problem(record: Record) -> UserError | None:
    """Why a record cannot be tagged, or None if it can."""
    size = len(as_text(record.item))
    if size > MOST_CHARACTERS:
        return UserError(f"expected a text of at most {MOST_CHARACTERS:,} characters, found {size:,}: split it")
    try:
        utf8_size(record.item)
    except UserError as error:
        return error
    return None


def _reject(file: str, record: Record, problem: UserError) -> str:
    """The line of a record that cannot be tagged."""
    reason = UserError(problem.message).for_command_line()
    row = {"file": file, "line": record.line, "reason": reason, "record": record.source or record.item}
    return outputs.to_json({**row, "fields": record.fields} if record.fields else row)
