"""What is fuzzed: each target takes bytes, makes an input of them, and raises where tfner does anything but read or refuse it.

    python benchmarks/fuzz/targets.py NAME -runs=1000000 -seed=1

runs one target with atheris, whose choice of inputs follows the lines of tfner that they reach. `run.py` runs all.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tfner"]):
    from tfner.config import Config
    from tfner.corpus import Sentence
    from tfner.data.conll import DOCUMENT_MARK, columns, read_columns
    from tfner.data.inputs import read_records
    from tfner.data.jsonl import read_jsonl
    from tfner.data.sentences import sentence_starts
    from tfner.data.table import is_table, read_table
    from tfner.data.words import split_words
    from tfner.errors import UserError
    from tfner.folder import label_set
    from tfner.labels import breaks, iob2, scheme, spans, standard_tags
    from tfner.modeling.rows import make_row_encoder
    from tfner.modeling.tokenizer import WordTokenizer
    from tfner.serving.rest import RestError, Tensor, read_query, write_error

COLUMNS = ["\n", "\n", "\n\n", "\t", "\t", " ", "O", "B-PER", "I-PER", "E-X", "S-X", "M-X", "b_per", "PER", "o", "Nice", "#"]
COLUMNS += ["# ", "1", "2", "3", "1-2", "2.1", "_", DOCUMENT_MARK, "\r", "\r\n", "\ufeff", "é", "\u2028", "\x0b", "\xa0", "😀"]
COLUMNS += ["\ud83d", "\0", "1\tNice\tB-LOC\tO\n2\tis\tO\tO\n", "\t_\t_\t_\t_\t_\t_\t_\t_\n"]
JSON = ["{", "}", "[", "]", ",", ":", '"', '"tokens":', '"ner_tags":', '"text":', '"label":', '["a"]', '["O"]', '["B-X"]']
JSON += ["null", "1", "-1", "1e9", "9" * 30, "true", "NaN", '"start":', '"end":', '"labels":', '"data":', '"annotations":']
JSON += ["\\ud800", "\\u0000", "é", "\n", '{"tokens": ["Nice", "is"], "ner_tags": ["B-LOC", "O"]}\n']
JSON += ['{"text": "Nice is", "label": [[0, 4, "LOC"]]}\n', '"instances":', '"inputs":', '"signature_name":', '"b64":']
JSON += ['"words"', '"pieces"', '"input_ids":', '"attention_mask":', "[[1]]"]
SETTINGS = [f'"{name}":' for name in Config().__dict__] + JSON[:14] + ['"auto"', '"head"', "0.5", "3", '"float32"', "[20, 8]"]
TABLE = ["sentence,word,tag\n", "1,", "2,", "Nice,", "O\n", "B-LOC\n", ",", '"', '""', "\n", "\r\n", "x", "é", "\0"]
TEXT = ["Nice", " ", "\n", ".", "!", "?", "...", "'s", "-", "@", "http://", "U.S.", "é", "e\u0301", "🇫🇷", "🇫", "👍🏽", "\u200d"]
TEXT += ["日", "。", "\t", "\x85", "\u2028", "\xa0", "1", "1,000.5", "$", "&amp;", "(", ")", '"', "’", "\ufeff", "\u202e"]
TEXT += ["a" * 70]
TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BIESLU" for kind in "XY")]


def pieces_of(data: bytes, alphabet: list[str]) -> str:
    """A text of pieces that mean something, one for each byte; after a byte 255, as the bytes themselves are."""
    if data[:1] == b"\xff":
        return data[1:].decode("utf-8", "replace")
    return "".join(alphabet[byte % len(alphabet)] for byte in data)


def conll(data: bytes) -> None:
    """Corpora in columns: no word is lost but those of comments and of CoNLL-U's extra lines."""
    task, column = [("ner", None), ("pos", None), ("chunk", None), ("pos", 2), ("ner", -1)][data[0] % 5 if data else 0]
    text, notes = pieces_of(data[1:], COLUMNS), []
    try:
        found = read_columns(text, "train.txt", task, column, notes.append)
    except UserError:
        return
    lines = [line.rstrip(" \t\r\n") for line in text.split("\n")]
    lines = [line for line in lines if line and not line.isspace() and columns(line)[0] != DOCUMENT_MARK]
    comments = sum(int(note.split()[0].replace(",", "")) for note in notes if "comment" in note)
    extra = 0
    if any("numbers the words" in note for note in notes):
        extra = sum(
            len(columns(line)) == 10 and not columns(line)[0].isdecimal() and not line.startswith("#") for line in lines
        )
    words = sum(len(sentence.words) for sentence in found)
    assert words == sum(len(sentence.tags) for sentence in found)
    assert words + comments + extra == len(lines), (words, comments, extra, len(lines))
    all_lines = text.split("\n")
    for sentence in found:
        for i, word in enumerate(sentence.words):
            assert word in all_lines[sentence.where(i) - 1]
    standard(found)


def standard(found: list) -> None:
    """The tags of a corpus become IOB2, or are refused."""
    usual = standard_tags({tag for sentence in found for tag in sentence.tags})
    try:
        tags = [[usual[tag] for tag in sentence.tags] for sentence in found]
        scheme(tags)
        for sentence in tags:
            assert len(iob2(sentence)) == len(sentence)
    except UserError:
        return


def inputs(data: bytes) -> None:
    """Inputs to tag: every line, object or sentence is one record."""
    kind = ["text", "jsonl", "conll", "conllu"][data[0] % 4 if data else 0]
    text = pieces_of(data[1:], JSON if kind == "jsonl" else COLUMNS)
    lines = [line + "\n" for line in text.split("\n")]
    lines = lines[:-1] if text.endswith("\n") or not text else lines
    records = list(read_records(iter(lines), kind, "in.txt"))
    if kind == "text":
        assert len(records) == len(lines)
    elif kind == "jsonl":
        bare = [lines[0].removeprefix("\ufeff"), *lines[1:]] if lines else []
        assert len(records) == sum(not line.isspace() for line in bare)
    elif kind == "conll":
        expected = [line.rstrip(" \t\r\n") for line in lines]
        expected[:1] = [line.removeprefix("\ufeff") for line in expected[:1]]
        solid = [line for line in expected if line and not line.isspace() and columns(line)[0] != DOCUMENT_MARK]
        assert sum(len(record.item) for record in records) >= sum(not line.startswith("#") for line in solid)


def jsonl(data: bytes) -> None:
    """Corpora in JSON lines or an array, with tokens or marked spans."""
    try:
        found = read_jsonl(pieces_of(data, JSON), Path("train.jsonl"), "ner", ["O", "B-X"])
    except UserError:
        return
    assert all(len(sentence.words) == len(sentence.tags) > 0 for sentence in found)
    standard(found)


def table(data: bytes) -> None:
    """Corpora in CSV tables."""
    text = pieces_of(data, TABLE)
    if is_table(text):
        try:
            found = read_table(text, "train.csv", "ner")
        except UserError:
            return
        assert all(len(sentence.words) == len(sentence.tags) > 0 for sentence in found)


def tags(data: bytes) -> None:
    """Entities of any sequence of tags, against an independent reading of conlleval's rules."""
    sequence = [TAGS[byte % len(TAGS)] for byte in data[:64]]
    expected, start, previous = [], None, ("O", "")
    for position, tag in enumerate([*sequence, "O"]):
        prefix, _, kind = tag.partition("-")
        ends = previous[0] != "O" and (prefix in "OBSU" or previous[0] in "ESLU" or kind != previous[1])
        begins = prefix != "O" and (prefix in "BSU" or previous[0] in "OESLU" or kind != previous[1])
        if ends and start is not None:
            expected.append((previous[1], start, position))
            start = None
        start = position if begins else start
        previous = (prefix, kind)
    assert [tuple(span) for span in spans(sequence)] == expected, sequence
    converted = iob2(sequence)
    assert [tuple(span) for span in spans(converted, strict=True)] == expected, sequence
    assert breaks(sequence) >= 0


def words(data: bytes) -> None:
    """Words and sentences of a text: every character but white space is in one word, and every word in one sentence."""
    text = pieces_of(data, TEXT)
    offsets = split_words(text)
    covered = "".join(text[a:b] for a, b in offsets)
    assert covered == "".join(text.split())
    for how in ("split", "line", "none"):
        starts = list(sentence_starts(text, offsets, how))
        assert starts == sorted(set(starts)) and starts[:1] == ([0] if offsets else []), (text, how, starts)


def rows(data: bytes) -> None:
    """Sentences as rows: each word that has pieces is spoken for once, and its label comes back."""
    names = ("O", "B-X", "I-X")
    encoder = _row_encoder(8 + (data[0] % 32 if data else 0))
    sentences = []
    for part in data[1:200].split(b"\0"):
        own = tuple(TEXT[byte % len(TEXT)] for byte in part)
        sentences.append(Sentence(own, tuple(names[byte % 3] for byte in part)))
    encoded = encoder.encode(sentences)
    spoken = {}
    for row in encoded.rows:
        assert len(row) <= encoder.max_pieces
        for s, w, label in zip(row.sentences[row.speaks], row.words[row.speaks], row.labels[row.speaks], strict=True):
            assert (s, w) not in spoken
            spoken[s, w] = names[label]
    assert all(spoken[s, w] == sentences[s].tags[w] for s, w in spoken)
    assert len(spoken) + encoded.report.words_without_pieces == sum(len(sentence.words) for sentence in sentences)


def _row_encoder(pieces: int):
    if not hasattr(_row_encoder, "tokenizer"):
        from tfner.demo.encoder import demo_encoder

        _row_encoder.tokenizer = WordTokenizer.from_folder(demo_encoder())
    return make_row_encoder(_row_encoder.tokenizer, label_set(["O", "B-X", "I-X"], False), Config(max_pieces=pieces), 512)


SIGNATURES = {
    "serving_default": {"text": Tensor("DT_STRING", (-1,))},
    "words": {"words": Tensor("DT_STRING", (-1, -1))},
    "pieces": {"input_ids": Tensor("DT_INT32", (-1, -1)), "attention_mask": Tensor("DT_INT32", (-1, -1))},
}


def rest(data: bytes) -> None:
    """Requests to the server."""
    body = data[1:] if data[:1] == b"\xff" else pieces_of(data, JSON).encode("utf-8", "surrogatepass")
    try:
        read_query(body, SIGNATURES)
    except RestError as error:
        json.loads(write_error(str(error)))


def config(data: bytes) -> None:
    """Files of settings and labels."""
    text = pieces_of(data, SETTINGS)
    for read in (lambda text: Config.from_values(json.loads(text)), lambda text: label_set(json.loads(text), False)):
        with contextlib.suppress(ValueError, RecursionError):  # UserError is a ValueError
            read(text)


def folder(data: bytes) -> None:
    """The files beside an exported graph."""
    from tfner.tagging.exported import read_exported

    name = ("config.json", "labels.json", "limits.json", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json")
    name = name[data[0] % 5 if data else 0]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary)
        (path / "saved_model.pb").touch()
        extra = path / "assets.extra"
        (extra / "tokenizer").mkdir(parents=True)
        (extra / "config.json").write_text(Config().to_json())
        (extra / "labels.json").write_text('["O", "B-X", "I-X"]')
        (extra / "limits.json").write_text('{"max_pieces": 128, "weights": ""}')
        (extra / name).write_bytes(pieces_of(data[1:], SETTINGS).encode("utf-8", "replace"))
        with contextlib.suppress(UserError):
            read_exported(path).heads()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (conll, inputs, jsonl, table, tags, words, rows, rest, config, folder)
}
ALPHABETS = {
    "conll": COLUMNS,
    "inputs": COLUMNS,
    "jsonl": JSON,
    "table": TABLE,
    "words": TEXT,
    "rest": JSON,
    "config": SETTINGS,
}

SEEDS: dict[str, list[str]] = {
    "jsonl": [
        '{"tokens": ["Nice", "is"], "ner_tags": ["B-X", 0], "document": "a"}\n',
        '[{"text": "Nice is", "label": [[0, 4, "X"], [2, 7, "Y"]]}, {"text": "", "label": []}]',
        '{"data": {"text": "Nice"}, "annotations": [{"result": [{"value": {"start": 0, "end": 4, "labels": ["X"]}}]}]}',
        '{"text": "Nice", "entities": [{"start_offset": 0, "end_offset": 2, "label": "X"}]}',
    ],
    "rest": [
        '{"instances": ["Nice", {"b64": "TmljZQ=="}]}',
        '{"instances": [{"text": "Nice"}], "signature_name": "serving_default"}',
        '{"signature_name": "words", "inputs": [["Nice", "is"], ["x", ""]]}',
        '{"signature_name": "pieces", "inputs": {"input_ids": [[1, 2]], "attention_mask": [[1, 0]]}}',
    ],
    "config": [Config().to_json(), '["O", "B-X", "I-X"]'],
    "folder": ["\0" + Config().to_json(), '\1["O", "B-X"]', '\2{"max_pieces": 128, "weights": ""}'],
    "table": ['Sentence #,Word,POS,Tag\nSentence: 1,"Smith, J",NNP,B-per\n,runs,VBZ,O\n'],
}
"""Inputs to begin with, as they are."""


def seeds(name: str) -> list[bytes]:
    """The inputs that a target begins with."""
    raw = [text.encode() for text in SEEDS.get(name, [])]
    return [data[:1] + b"\xff" + data[1:] if name == "folder" else b"\xff" + data for data in raw]


if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: target(bytes(data)))
    atheris.Fuzz()
