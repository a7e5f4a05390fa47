"""Data sets of the Hugging Face hub, through the datasets library, which only this module imports.

Takes a name and returns a `RawSentence` per sentence, by split. Ids become the names that the features of the data set give
them, whatever their order. Tag schemes and labels are left to `tfner.data.load`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfner.connection import hub_answers, unreachable
from tfner.corpus import SPLITS
from tfner.data.files import RawSentence, number_documents, splits_in_name
from tfner.errors import UserError, one_line, setting

_REPOSITORIES = {"conll2003": "tomaarsen/conll2003"}  # unlike the original, its rows name their documents
_PARQUET = "refs/convert/parquet"  # where the hub keeps its own Parquet copy of data sets that come as a script
_DOCUMENT_COLUMN = "document_id"
_ALTERNATIVES = (
    f"use files instead ({setting('corpus', 'FOLDER')}, a folder with train, valid and test files) or the embedded corpus "
    f"({setting('corpus', 'demo')})"
)


def read_hub(name: str, task: str) -> tuple[dict[str, tuple[str, list[RawSentence]]], list[str]]:
    """The source's name and the sentences of each split, and notes. Without the hub, they come from the local cache.

    Raises UserError where the data set cannot be loaded, needs a log-in or a configuration, or does not have the columns.
    """
    repository = _REPOSITORIES.get(name, name)
    notes = [f"{name}: read from {repository} on the Hugging Face hub"] if repository != name else []
    found, cached = _load(name, repository)
    if cached:
        notes.append(f"{name}: the hub cannot be reached, so the data set is read from the local cache")
    splits, more = raw_splits(found, repository, task)
    return splits, notes + more


def _load(name: str, repository: str) -> tuple[Mapping[str, Any], bool]:
    """A `DatasetDict`, and whether it is from the cache because the hub cannot be reached."""
    import datasets

    offline = datasets.config.HF_HUB_OFFLINE
    cached = offline or not hub_answers()
    datasets.config.HF_HUB_OFFLINE = cached  # without this, load_dataset retries for 23 s before it reads its cache
    try:
        try:
            return datasets.load_dataset(repository), cached
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            return datasets.load_dataset(repository, revision=_PARQUET), cached
    except datasets.exceptions.DatasetNotFoundError as error:
        raise UserError(f"no such file or folder, and {one_line(error)}: check the name, or {_ALTERNATIVES}", name) from None
    except OSError as error:
        raise unreachable(name, "data set", _ALTERNATIVES, None if cached else error) from None
    except (ValueError, datasets.exceptions.DatasetsError) as error:  # a missing configuration, a bad name, damaged files
        raise UserError(f"the datasets library cannot load it ({one_line(error)}): {_ALTERNATIVES}", name) from None
    finally:
        datasets.config.HF_HUB_OFFLINE = offline


def raw_splits(found: Mapping[str, Any], name: str, task: str) -> tuple[dict[str, tuple[str, list[RawSentence]]], list[str]]:
    """The source's name and the sentences of each split of a `DatasetDict`, and notes. Rows without tokens are left out.

    Splits are matched by name (train; validation or dev; test). Others are left out, with a note.

    Args:
        found: the `DatasetDict`.
        name: its name, for messages.
        task: the task of the tags.

    Raises:
        UserError: where no split matches, two match the same, or columns are missing or hold something else.
    """
    splits: dict[str, tuple[str, list[RawSentence]]] = {}
    for split in SPLITS:
        keys = [key for key in found if splits_in_name(key) == {split}]
        if len(keys) > 1:
            raise UserError(f"expected one {split} split, found {', '.join(keys)}: save the right one as a file", name)
        if keys:
            splits[split] = f"{name} {keys[0]}", _sentences(found[keys[0]], f"{name} {keys[0]}", task)
    unused = [key for key in found if len(splits_in_name(key)) != 1]
    if not splits:
        raise UserError(f"expected splits {', '.join(SPLITS)}, found {', '.join(unused)}: save them as files", name)
    note = f"{name}: left out the splits {', '.join(unused)}, as their names mention neither train, validation nor test"
    return splits, [note] if unused else []


def _sentences(rows: Any, source: str, task: str) -> list[RawSentence]:
    """The sentences of one `Dataset`; their lines are its rows, counted from 1."""
    tag_column, names = _tag_feature(rows, source, task)
    table = rows[:]
    documents = number_documents(table.get(_DOCUMENT_COLUMN, [None] * len(rows)))
    found = []
    for number, (words, tags, document) in enumerate(zip(table["tokens"], table[tag_column], documents, strict=True), start=1):
        if len(words) != len(tags):
            counts = f"tokens: {len(words)}, tags: {len(tags)}"
            raise UserError(
                f"expected one tag per token, found {counts}: save the data set as files and correct it", source, number
            )
        if names:
            if not all(0 <= tag < len(names) for tag in tags):
                raise UserError(
                    f"expected ids from 0 to {len(names) - 1}, found {tags}: check that the split is labelled", source, number
                )
            tags = [names[tag] for tag in tags]
        if words:
            found.append(RawSentence(tuple(words), tuple(tags), document, number, step=0))
    return found


def _tag_feature(rows: Any, source: str, task: str) -> tuple[str, Sequence[str] | None]:
    """The column of the tags of a `Dataset`, and the names of its ids, or None where it holds names."""
    keys = (f"{task}_tags", "tags")
    column = next((key for key in keys if key in rows.features), None)
    if column is None or "tokens" not in rows.features:
        raise UserError(
            f"expected the columns tokens and {' or '.join(keys)}, found {', '.join(rows.features)}: choose another "
            f"{setting('task')} or data set, or save it as JSON lines with these keys",
            source,
        )
    feature = rows.features[column]
    feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    names = getattr(feature, "names", None)
    if names is None and getattr(feature, "dtype", None) not in ("string", "large_string"):
        raise UserError(
            f"expected label names, or ids with names, in column {column}, found {feature}: save the data set as JSON lines "
            "with a labels.json beside it",
            source,
        )
    return column, names
