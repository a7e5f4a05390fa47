"""One encoder for several tasks: trained together, exported as one model, with a signature and a tagger for each task."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support import tiny
from support.errors import refused
from support.servers import Backend, RestServer
from support.trainings import EPOCHS, LINES, TASKS, TEXT, refused_line, stopped_run, training_run

from tfner import compare, evaluate, explore, export, predict, train
from tfner.config import Config, make_config
from tfner.contract import PIECES, WORDS, signatures_of
from tfner.contract import TEXT as TEXTS
from tfner.corpus import Sentence
from tfner.data import load
from tfner.data.load import corpus_of, load_corpus
from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError
from tfner.evaluation.scores import read_scores
from tfner.exports.transformers import pytorch_weights
from tfner.folder import CONFIG, EXTRA, HISTORY, SCORES, read_history
from tfner.serving.servable import load_servable
from tfner.tagging.load import load_tagger
from tfner.tagging.signatures import make_servable
from tfner.training.request import check_request
from tfner.training.state import load_state

TOGETHER = ",".join(TASKS)
SENTENCES = [TEXT, "", "Köln \u200b , said Maria .", "EU rejects German call . " * 9]


@pytest.fixture(scope="module")
def taggers(together):
    with load_tagger(together, "tensorflow") as tagger:
        yield {task: tagger.for_task(task) for task in TASKS}


def same(one, other, atol=1e-4):
    assert [replace(e, score=0) for e in one] == [replace(e, score=0) for e in other]
    assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=atol)


def test_the_corpus_has_the_tags_of_each_task_for_the_same_words(columns):
    corpus = corpus_of(Config(corpus=str(columns), task=TOGETHER))
    assert list(corpus.tasks) == list(TASKS)
    for task, one in corpus.tasks.items():
        assert one.splits == load_corpus(columns, task).splits
    shares = corpus_of(Config(corpus=str(columns), task=TOGETHER, train_share=0.1)).tasks.values()
    assert len({tuple(s.words for s in one.splits["train"]) for one in shares}) == 1


def test_all_tasks_are_learned_and_reported(together):
    found = load_state(together / "training" / "1").scores
    assert list(found) == list(TASKS)
    f1 = {task: scores["validation"].overall.f1 for task, scores in found.items()}
    assert f1["ner"] > 0.05 and min(f1["pos"], f1["chunk"]) > 0.5
    history = read_history(together / "1" / EXTRA / HISTORY)
    best = max(history, key=lambda row: float(row["f1"]))
    assert np.mean([float(best[f"f1_{task}"]) for task in TASKS]) == pytest.approx(float(best["f1"]), abs=1e-5)
    lines = (together.parent / LINES).read_text().splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in TASKS] == list(TASKS) * len(history)
    assert [line.split()[1] for line in lines if line.startswith("task ")] == list(TASKS)
    card = (together / "1" / EXTRA / "README.md").read_text()
    for task in TASKS:
        assert f"The test split, {task}:" in card and f"By id, {task}:" in card
        assert f"### `{task}`" in card and f"### `{task}_words`" in card


def test_the_temperature_of_each_task_is_its_own(together, taggers):
    temperatures = {task: tagger.calibration.temperature for task, tagger in taggers.items()}
    assert len(set(temperatures.values())) == 3
    state = load_state(together / "training" / "1")
    assert {task: head.calibration.temperature for task, head in state.heads.items()} == temperatures


def test_the_tagger_of_a_task_gives_the_tags_that_the_training_scored(columns, together, taggers):
    state = load_state(together / "training" / "1")
    for task, tagger in taggers.items():
        gold = load_corpus(columns, task).splits["test"]
        predicted = [tagged.tags for tagged in tagger.predict(gold)]
        right = sum(a == b for s, tags in zip(gold, predicted, strict=True) for a, b in zip(s.tags, tags, strict=True))
        assert right / sum(len(s.words) for s in gold) == pytest.approx(state.scores[task]["test"].accuracy)


def test_one_pass_gives_what_each_task_gives_alone(taggers):
    for text in SENTENCES:
        found = taggers["pos"].tag_tasks(text)
        assert list(found) == list(TASKS)
        for task, tagger in taggers.items():
            same(found[task], tagger.tag(text))


def test_the_graph_has_a_signature_for_each_task(together, taggers):
    graph = load_servable(together / "1")
    assert sorted(graph.signatures) == sorted(signature.name for signature in signatures_of(TASKS))
    texts = np.array([text.encode() for text in SENTENCES], object)
    first = graph.call(TEXTS.name, {"text": texts})
    for task, tagger in taggers.items():
        found = graph.call(task, {"text": texts})
        for i, text in enumerate(SENTENCES):
            entities, number = tagger.tag(text), found["entity_count"][i]
            assert [kind.decode() for kind in found["entity_type"][i][:number]] == [e.type for e in entities]
            assert found["entity_start"][i][:number].tolist() == [e.start for e in entities]
            assert found["entity_score"][i][:number] == pytest.approx([e.score for e in entities], abs=1e-4)
        words = np.array([[word.encode() for word in TEXT.split()]], object)
        (tagged,) = tagger.predict([replace(demo_corpus().splits["test"][0], words=tuple(TEXT.split()))])
        assert [label.decode() for label in graph.call(f"{task}_words", {"words": words})["label"][0]] == tagged.tags
        if task == "ner":
            assert all(np.array_equal(found[name], first[name]) for name in first)


def test_openvino_gives_the_same_for_every_task(together, taggers):
    folder = together / "openvino" / "1"
    with load_tagger(together, "openvino", task="pos") as tagger:
        assert tagger.task == "pos"
        for task, expected in taggers.items():
            for text in SENTENCES:
                same(tagger.for_task(task).tag(text), expected.tag(text), 1e-3)
    graph, servable = load_servable(together / "1"), make_servable(load_tagger(folder), "model", 1, folder)
    assert servable.signatures == graph.signatures
    inputs = {"input_ids": np.array([[1, 2, 3]], np.int32), "attention_mask": np.ones((1, 3), np.int32)}
    for name, arrays in ((PIECES.name, inputs), ("chunk", {"text": np.array([TEXT.encode()], object)})):
        found, expected = servable.call(name, arrays), graph.call(name, arrays)
        for key, array in expected.items():
            if array.dtype == np.float32:
                np.testing.assert_allclose(found[key], array, atol=1e-3)
            else:
                assert found[key].tolist() == array.tolist()


def test_a_server_tags_for_the_task_that_is_asked_for(together, columns, taggers, tmp_path):
    server = RestServer(Backend(together / "1"))
    try:
        for task in TASKS:
            with load_tagger(server.address, task=task) as tagger:
                same(tagger.tag(TEXT), taggers[task].tag(TEXT))
                same(tagger.tag_words(TEXT.split()), taggers[task].tag_words(TEXT.split()))
        with pytest.raises(UserError, match=r"no signature srl .*: name a task that it was trained for"):
            load_tagger(server.address, task="srl")
        served = evaluate.evaluate(
            server.address, "test", tmp_path / "out", say=lambda line: None, corpus=str(columns), task="chunk"
        )
    finally:
        server.shutdown()
        server.server_close()
    scores = load_state(together / "training" / "1").scores["chunk"]["test"]
    assert served.scores.overall.f1 == pytest.approx(scores.overall.f1, abs=0.005)


def test_evaluate_scores_the_task_that_is_asked_for(together, tmp_path):
    folder = shutil.copytree(together, tmp_path / "model")
    for task in TASKS:
        found = evaluate.evaluate(folder, "test", say=lambda line: None, runtime="tensorflow", task=task)
        scores = load_state(folder / "training" / "1").scores[task]["test"]
        assert found.scores.overall == scores.overall
        assert found.folder.name.endswith("-test" if task == "ner" else f"-test-{task}")


def test_predict_tags_for_a_task(together, capsys):
    predict.main([str(together), TEXT, "--task", "chunk", "--json", "--runtime", "tensorflow"])
    value = json.loads(capsys.readouterr().out)
    with load_tagger(together, "tensorflow", task="chunk") as tagger:
        assert [e["type"] for e in value["entities"]] == [e.type for e in tagger.tag(TEXT)]


def test_an_interrupted_training_goes_on_with_the_same_weights(columns, small_encoder, tmp_path):
    settings = {"variant": "head", "task": "chunk,pos", "encoder": str(small_encoder), "epochs": 2, "batch_size": 30}
    whole, part = (training_run(columns, tmp_path / name, **settings) for name in "ab")
    whole.fit()
    stopped_run(part, 3)
    resumed = training_run(columns, tmp_path / "b", resume=1, **settings)
    resumed.fit()
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_task_is_exported_for_transformers(columns, small_encoder, tmp_path):
    run = training_run(columns, tmp_path / "m", task="ner,chunk", encoder=str(small_encoder), epochs=1)
    run.fit()
    run.score()
    trained = run.trained()
    whole, part = (
        pytorch_weights(trained.model, trained.config, columns=head.row_encoder.columns) for head in trained.heads.values()
    )
    kernel = run.model.get_layer("classifier").kernel.numpy().T
    assert np.array_equal(np.concatenate([whole["classifier.weight"], part["classifier.weight"]]), kernel)
    run.close()
    lines = []
    folder = export.export(tmp_path / "m", format="transformers", say=lines.append, task="chunk")
    config = json.loads((folder / CONFIG).read_text())
    assert list(config["id2label"].values()) == list(trained.alone("chunk").row_encoder.labels.names)
    assert "chunk" in lines[0]


def test_the_scores_of_each_task_are_in_the_export_and_in_the_result(together, columns):
    state = load_state(together / "training" / "1")
    settings = {"epochs": EPOCHS, "patience": EPOCHS, "output": str(together), "corpus": str(columns), "temperature": "auto"}
    again = train.train(make_config(variant="head", task=TOGETHER, **settings), lambda line: None, resume=True)  # is finished
    assert {task: scores["test"].overall for task, scores in again.tasks.items()} == {
        task: scores["test"].overall for task, scores in state.scores.items()
    }
    for task in TASKS:
        extra = together / "1" / EXTRA
        found = read_scores((extra if task == "ner" else extra / task) / SCORES)
        assert found["test"].overall == state.scores[task]["test"].overall


def test_a_corpus_with_one_column_of_tags_is_not_taken_for_several(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"tokens": ["Nice", "is"], "tags": ["I-LOC", "O"]}\n' * 3)
    with refused("same_tags_for_two_tasks", setting="task", path=path):
        corpus_of(Config(corpus=str(path), task="ner,pos"))
    for task in ("ner,chunk", "chunk,pos"):
        with pytest.raises(UserError, match="have the same tags"):
            corpus_of(Config(corpus=str(path), task=task))


@pytest.mark.parametrize(
    ("line", "case"),
    [("Nice B-LOC", "too_few_columns_for_several_tasks"), ("1 Nice _ PROPN NNP _ 0 root _ _", "conllu_for_several_tasks")],
)
def test_a_file_without_a_column_for_each_task_gets_no_advice_for_one(line, case, tmp_path):
    path = tmp_path / "train.txt"
    path.write_text(line.replace(" ", "\t") + "\n")
    with refused(case, setting="task", path=path, line=1):
        corpus_of(Config(corpus=str(path), task="pos,chunk"))


def test_a_corpus_with_other_words_for_a_task_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "train.jsonl"
    path.write_text('{"tokens": ["Nice", "is"], "ner_tags": ["B-LOC", "O"], "pos_tags": ["NNP", "VBZ"]}\n' * 3)
    read = load._read

    def other(spec, task, **more):
        splits, notes = read(spec, task, **more)
        return ({s: (source, rows[: 3 - (task == "pos")]) for s, (source, rows) in splits.items()}, notes)

    monkeypatch.setattr(load, "_read", other)
    with refused("other_words_of_a_task", setting="task", path=path):
        corpus_of(Config(corpus=str(path), task="ner,pos"))


def test_notes_and_single_labels_of_every_task_are_reported(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text("Nice NNP I-NP B-LOC\nis VBZ O O\n\n" * 3)
    corpus = corpus_of(Config(corpus=str(folder), task="ner,chunk"))
    assert any(note.startswith("chunk: train: tags converted from IOB1") for note in corpus.notes)
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text("Nice NNP O B-LOC\nis VBZ O O\n\n" * 3)
    with refused("single_label_of_a_task", setting="corpus"):
        check_request(Config(corpus=str(folder), task="ner,chunk", output=str(tmp_path / "m")))


def test_a_precision_that_only_some_tasks_reach_is_exported_with_a_line_for_the_others(together, tmp_path):
    folder, lines = shutil.copytree(together, tmp_path / "model"), []
    version = export.export(folder, min_precision=0.8, say=lines.append)
    assert "no score of any type of ner reaches a precision of 0.8, so none is accepted" in lines
    with load_tagger(version) as tagger:
        some = {task: any(head.calibration.thresholds.values()) for task, head in tagger.heads.items()}
        assert not some["ner"] and any(some.values())
        temperatures = {task: head.calibration.temperature for task, head in tagger.heads.items()}
    with load_tagger(together, "tensorflow") as tagger:
        assert temperatures == {task: head.calibration.temperature for task, head in tagger.heads.items()}


def test_the_thresholds_of_each_task_are_its_own(together, columns, tmp_path):
    folder, lines = shutil.copytree(together, tmp_path / "model"), []
    version = export.export(folder, min_precision=0.05, say=lines.append, decode="greedy")
    assert [line for line in lines if line.startswith("task ")] == [f"task {task}" for task in TASKS]
    with load_tagger(version) as tagger:
        found = {task: head.calibration.thresholds for task, head in tagger.heads.items()}
        assert [set(found[task]) for task in TASKS] == [set(head.row_encoder.labels.types) for head in tagger.heads.values()]
        expected = {task: [e.accepted for e in tagger.for_task(task).tag(TEXT)] for task in TASKS}
        assert {task: [e.accepted for e in entities] for task, entities in tagger.tag_tasks(TEXT.split()).items()} == {
            task: [e.accepted for e in tagger.for_task(task).tag_words(TEXT.split())] for task in TASKS
        }
    graph = load_servable(version)
    for task in TASKS:
        outputs = graph.call(task, {"text": np.array([TEXT.encode()], object)})
        assert outputs["entity_accepted"][0].tolist() == expected[task]
    card = (version / EXTRA / "README.md").read_text().splitlines()
    rows = [i for i, line in enumerate(card) if line.startswith("| ") and card[i + 1 :][:1] and not card[i + 1].startswith("|")]
    assert all(card[i + 1] == "" for i in rows)  # text directly under a table would be a row of it


@pytest.mark.parametrize("settings", [{"accumulate_steps": 2}, {"precision": "bfloat16"}, {"context": "mixed"}, {"xla": True}])
def test_several_tasks_train_with_every_way_to_make_a_step(columns, small_encoder, tmp_path, settings):
    usual = {"task": "ner,pos", "encoder": str(small_encoder), "epochs": 1, "batch_size": 30, "train_share": 0.5}
    run = training_run(columns, tmp_path / "m", **usual, **settings)
    run.fit()
    assert 0 < run.history[0]["loss"] < 10 and run.history[0]["f1_pos"] > 0


def test_a_model_that_takes_only_pieces_has_a_tagger_for_each_task(columns, tmp_path):
    encoder = tiny.model_folder(tmp_path / "roberta", "roberta")
    config = make_config(task="ner,pos", encoder=str(encoder), corpus=str(columns), output=str(tmp_path / "m"), epochs=1)
    trained = train.train(config, lambda line: None)
    servable = load_servable(trained.folder)
    assert (list(servable.signatures), list(servable.tasks)) == ([PIECES.name], ["ner", "pos"])
    with load_tagger(trained.folder, task="pos") as tagger:
        assert len(tagger.tag(TEXT)) == len(tagger.predict([Sentence(tuple(TEXT.split()), ())])[0].tags) + 1  # the full stop


def test_the_task_of_a_model_with_one_says_how_the_corpus_is_read(model, columns, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    with pytest.raises(UserError, match="tags that"):
        evaluate.evaluate(folder, say=lambda line: None, corpus=str(columns), task="chunk", runtime="tensorflow")
    with refused("several_tasks_to_score", setting="task"):
        evaluate.evaluate(folder, say=lambda line: None, task="ner,pos")
    with pytest.raises(UserError, match="expected one task, as this model has"):
        export.export(folder, temperature="auto", corpus=str(columns), task="ner,pos")


@pytest.mark.parametrize("task", ["ner,srl", "ner,ner", "ner,", "ner, pos", ""])
def test_a_task_that_is_unknown_or_named_twice_is_refused(task):
    with pytest.raises(UserError, match="ner,pos"):
        Config(task=task)


def test_a_column_for_several_tasks_is_refused(columns):
    with refused("tag_column_of_several_tasks", setting="tag_column"):
        corpus_of(Config(corpus=str(columns), task="ner,pos", tag_column=3))


def test_a_corpus_without_the_column_of_a_task_is_refused(tmp_path, capsys):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text("Nice B-LOC\nis O\n\n" * 3)
    line = refused_line(capsys, train, "--corpus", folder, "--task", "ner,chunk", "--output", tmp_path / "m")
    assert "train.txt" in line and "chunk" in line


def test_a_task_that_a_model_does_not_have_is_refused(model, together):
    with refused("task_of_another_model", setting="task", path=model / "1"):
        load_tagger(model / "1", task="pos")
    with refused("all_tasks_are_exported", setting="task"):
        export.export(together, format="onnx", task="pos")


def test_commands_for_one_task_refuse_several(columns, tmp_path, capsys):
    for command, argv in (
        (explore, [columns]),
        (compare, ["--corpus", columns, "--output", tmp_path / "c"]),
        (compare, ["--study", "collapse", "--corpus", columns, "--output", tmp_path / "d"]),
    ):
        assert "--task" in refused_line(capsys, command, *argv, "--task", "ner,pos")


def test_words_of_the_default_task_come_from_its_own_signature(together, taggers):
    graph = load_servable(together / "1")
    words = {"words": np.array([[word.encode() for word in TEXT.split()]], object)}
    found, own = graph.call(WORDS.name, words), graph.call("ner_words", words)
    assert all(np.array_equal(found[name], own[name]) for name in own)
