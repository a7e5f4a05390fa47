"""Data sets of the Hugging Face hub, through the datasets library, which is imported only here and only when asked for.

In goes a name, out come `RawSentence` sentences by split. Ids become the names that the features give them; nothing is
assumed about their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfner.data.files import RawSentence, number_documents, splits_in_name
from tfner.errors import UserError, one_line

_REPOSITORIES = {"conll2003": "tomaarsen/conll2003"}  # unlike the original's, its rows say which document they are of
_PARQUET = "refs/convert/parquet"  # where the hub keeps its own Parquet copy of data sets that come as a script
_DOCUMENT_COLUMN = "document_id"
_TIMEOUT = 10  # seconds until the hub counts as out of reach
_ALTERNATIVES = "use files instead (--corpus FOLDER with train, valid and test files) or the embedded corpus (--corpus demo)"


def read_hub(name: str, task: str) -> tuple[dict[str, tuple[str, list[RawSentence]]], list[str]]:
    """Per split its source's name and sentences, and notes; out of the local cache if the hub is out of reach.

    Raises UserError, after about ten seconds at most, if the hub is out of reach and nothing is cached, and for a data set
    that is not there, needs a log-in or a choice, or has no such columns.
    """
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    repository = _REPOSITORIES.get(name, name)
    notes = [f"{name}: read from {repository} on the Hugging Face hub"] if repository != name else []
    offline = datasets.config.HF_HUB_OFFLINE
    try:
        HfApi().dataset_info(repository, timeout=_TIMEOUT)
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(
            f"{name}: neither a file or folder here nor a public data set on the Hugging Face hub; mend the name, "
            f"or {_ALTERNATIVES}"
        ) from None
    except OSError:  # what requests and huggingface_hub raise for every kind of failed connection
        datasets.config.HF_HUB_OFFLINE = True  # or load_dataset would try for 23 s before it looks into its cache
        notes.append(f"{name}: the hub is out of reach, read from the local cache")
    try:
        try:
            found = datasets.load_dataset(repository)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            found = datasets.load_dataset(repository, revision=_PARQUET)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise UserError(f"{name}: {one_line(error)}; mend the name, or {_ALTERNATIVES}") from None
    except OSError:
        raise UserError(
            f"{name}: not a file or folder here, and the Hugging Face hub is out of reach; "
            f"mend the connection or the name, or {_ALTERNATIVES}"
        ) from None
    except (ValueError, datasets.exceptions.DatasetsError) as error:  # a choice between configurations, broken files
        raise UserError(f"{name}: the datasets library cannot load it ({one_line(error)}); {_ALTERNATIVES}") from None
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    written, more = raw_splits(found, repository, task)
    return written, notes + more


def raw_splits(found: Mapping[str, Any], name: str, task: str) -> tuple[dict[str, tuple[str, list[RawSentence]]], list[str]]:
    """A `DatasetDict` as sentences by split, with notes; `name` stands for it in messages.

    Its splits are matched by name (train; validation or dev; test), others are left out, and a note says so. Rows without
    tokens are passed over.

    Raises UserError for columns that are missing or hold something else, and where no split matches.
    """
    notes: list[str] = []
    written: dict[str, tuple[str, list[RawSentence]]] = {}
    for split in ("train", "validation", "test"):
        keys = [key for key in found if splits_in_name(key) == {split}]
        if len(keys) > 1:
            raise UserError(f"{name}: expected one {split} split, found {', '.join(keys)}; save the one you mean as a file")
        if keys:
            written[split] = f"{name} {keys[0]}", _sentences(found[keys[0]], f"{name} {keys[0]}", task)
    unused = [key for key in found if len(splits_in_name(key)) != 1]
    if not written:
        raise UserError(f"{name}: expected splits train, validation and test, found {', '.join(unused)}")
    if unused:
        notes.append(f"{name}: left out {', '.join(unused)}, which are neither train, validation nor test")
    return written, notes


def _sentences(rows: Any, source: str, task: str) -> list[RawSentence]:
    """The sentences of one `Dataset`; their lines are its rows, counted from 1."""
    keys = (f"{task}_tags", "tags")
    tag_column = next((key for key in keys if key in rows.features), None)
    if tag_column is None or "tokens" not in rows.features:
        raise UserError(
            f"{source}: expected columns tokens and {' or '.join(keys)}, found {', '.join(rows.features)}; "
            "choose another --task or data set, or save it as JSON lines with these keys"
        )
    feature = rows.features[tag_column]
    feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    names = getattr(feature, "names", None)
    if names is None and getattr(feature, "dtype", None) not in ("string", "large_string"):
        raise UserError(
            f"{source}: column {tag_column} holds {feature}, expected label names or ids with names; save it as JSON lines "
            "with a labels.json beside it"
        )
    columns = rows[:]
    documents = number_documents(columns.get(_DOCUMENT_COLUMN, [None] * len(rows)))
    found = []
    for number, (words, tags, document) in enumerate(
        zip(columns["tokens"], columns[tag_column], documents, strict=True), start=1
    ):
        if len(words) != len(tags):
            raise UserError(f"{source}:{number}: expected one tag per token, found {len(words)} tokens and {len(tags)} tags")
        if names:
            if not all(0 <= tag < len(names) for tag in tags):
                raise UserError(f"{source}:{number}: expected ids 0 to {len(names) - 1}, found {tags}; is the split labelled?")
            tags = [names[tag] for tag in tags]
        if words:
            found.append(RawSentence(tuple(words), tuple(tags), document, number, step=0))
    return found
