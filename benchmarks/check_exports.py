"""Compares exports with the model they were made from: the logits of real sentences in PyTorch and in ONNX Runtime.

In tfner's environment, export a trained model and save the logits that TensorFlow computes:

    python -m tfner.export saved_models/finetune --format transformers
    python -m tfner.export saved_models/finetune --format onnx
    python benchmarks/check_exports.py expect saved_models/finetune conll2003 expected.npz

Then compare the exports in two environments, one for each major version of transformers (pip install torch onnxruntime
'transformers<5', and the same with 'transformers>=5'). They need neither tfner nor TensorFlow:

    python benchmarks/check_exports.py compare expected.npz saved_models/finetune/transformers/1 saved_models/finetune/onnx/1

The script prints the largest differences. Its exit status is 1 if one of them is above 1e-4.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

SENTENCES, ROWS = 256, 32  # in total, in a batch
LARGEST = 1e-4
TEXT = "Peter Blackburn of the European Commission rejected a German call to boycott British lamb, he said in Brussels."


def expect(model: Path, corpus: str, output: Path) -> None:
    """Saves sentences, their padded piece ids and the logits that the Keras model computes in float32."""
    from tfner.data.load import load_corpus
    from tfner.exports.onnx import in_float32
    from tfner.folder import ENCODER, TRAINING, versions
    from tfner.modeling.pretrained import load_encoder_config, piece_limit
    from tfner.modeling.variants import logits_function
    from tfner.training.state import load_state

    trained = load_state(model / TRAINING / str(versions(model / TRAINING)[-1]))
    config, tokenizer = trained.config, trained.row_encoder.tokenizer
    logits = logits_function(in_float32(trained))
    limit = piece_limit(load_encoder_config(str(trained.state / ENCODER)), tokenizer)
    options = {"is_split_into_words": True, "padding": True, "truncation": True, "max_length": limit, "return_tensors": "np"}
    sentences = [list(s.words) for s in load_corpus(corpus).splits["test"] if s.words][:SENTENCES]
    saved = {"words": np.array(json.dumps(sentences))}
    for i in range(0, len(sentences), ROWS):
        rows = sentences[i : i + ROWS]
        batch = tokenizer(rows, **options)
        saved[f"ids{i}"], saved[f"mask{i}"] = (batch[k].astype(np.int32) for k in ("input_ids", "attention_mask"))
        saved[f"logits{i}"] = logits(saved[f"ids{i}"], saved[f"mask{i}"]).numpy()
    np.savez_compressed(output, **saved)
    print(f"{len(sentences)} sentences of {corpus}, variant {config.variant}, trained in {config.precision}: {output}")


def compare(expected: Path, folders: list[Path]) -> float:
    """Prints the differences between each export and the saved logits. Returns the largest one."""
    from transformers import AutoTokenizer

    given = np.load(expected)
    sentences = json.loads(str(given["words"]))
    worst = 0.0
    for folder in folders:
        name, logits = onnx_runtime(folder) if (folder / "model.onnx").is_file() else pytorch(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        differences, same_tags, same_ids, pieces = [], 0, 0, 0
        for i in range(0, len(sentences), ROWS):
            ids, mask = given[f"ids{i}"], given[f"mask{i}"]
            rows = tokenizer(sentences[i : i + ROWS], is_split_into_words=True, truncation=True)["input_ids"]
            same_ids += sum(row == list(id[m == 1]) for row, id, m in zip(rows, ids, mask, strict=True))
            found, wanted = logits(ids.astype(np.int64), mask.astype(np.int64))[mask == 1], given[f"logits{i}"][mask == 1]
            differences.append(np.abs(found - wanted).max())
            same_tags, pieces = same_tags + int((found.argmax(-1) == wanted.argmax(-1)).sum()), pieces + len(found)
        print(
            f"{name}: logits differ by at most {max(differences):.2e} (the largest is {np.abs(wanted).max():.1f}); "
            f"{same_tags} of {pieces} pieces get the same label; {same_ids} of {len(sentences)} sentences the same piece ids"
        )
        worst = max(worst, *map(float, differences))
        if same_ids < len(sentences):
            raise SystemExit(f"{name}: the tokenizer in {folder} returns different piece ids")
    return worst


def pytorch(folder: Path):
    """Loads a folder in PyTorch and prints the entities that its pipeline finds in `TEXT`.

    Returns:
        A description of the model, and a function from piece ids and mask to logits.
    """
    import torch
    import transformers

    model, info = transformers.AutoModelForTokenClassification.from_pretrained(folder, output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"]:
        raise SystemExit(f"{folder}: weights are missing ({info['missing_keys']}) or unexpected ({info['unexpected_keys']})")
    pipeline = transformers.pipeline("token-classification", str(folder), aggregation_strategy="first")
    for found in pipeline(TEXT):
        print(f"  {found['entity_group']:6} {found['score']:.4f}  {TEXT[found['start'] : found['end']]}")

    @torch.no_grad()
    def logits(ids, mask):
        return model.eval()(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits.numpy()

    return f"torch {torch.__version__}, transformers {transformers.__version__}, {type(model).__name__}", logits


def onnx_runtime(folder: Path):
    """Loads a folder in ONNX Runtime.

    Returns:
        A description of the runtime, and a function from piece ids and mask to logits.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")

    def logits(ids, mask):
        return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    return f"onnxruntime {onnxruntime.__version__}", logits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("expect", help="save the logits that TensorFlow computes")
    one.add_argument("model", type=Path, help="folder of a trained model")
    one.add_argument("corpus", help="corpus whose test split is used")
    one.add_argument("output", type=Path, help=".npz file to write")
    two = commands.add_parser("compare", help="compare exported folders with them")
    two.add_argument("expected", type=Path, help=".npz file that expect wrote")
    two.add_argument("folders", type=Path, nargs="+", help="exported folders, of either format")
    arguments = parser.parse_args()
    if arguments.command == "expect":
        expect(arguments.model, arguments.corpus, arguments.output)
    else:
        sys.exit(compare(arguments.expected, arguments.folders) > LARGEST)
