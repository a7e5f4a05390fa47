"""One encoder for several tasks: trained together, exported as one model, with a signature and a tagger for each task."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.errors import refused
from support.servers import Backend, RestServer
from support.trainings import EPOCHS, LINES, TASKS, TEXT, refused_line, stopped_run, training_run

from tfner import compare, evaluate, explore, export, predict, train
from tfner.config import Config, make_config
from tfner.contract import PIECES, WORDS, signatures_of
from tfner.contract import TEXT as TEXTS
from tfner.data.load import corpus_of, load_corpus
from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError
from tfner.evaluation.scores import read_scores
from tfner.exports.transformers import pytorch_weights
from tfner.folder import CONFIG, EXTRA, HISTORY, SCORES, read_history
from tfner.serving.servable import load_servable
from tfner.tagging.load import load_tagger
from tfner.tagging.signatures import make_servable
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
    found = load_state(together / "training" / "1").tasks
    assert list(found) == list(TASKS)
    f1 = {task: one.scores["validation"].overall.f1 for task, one in found.items()}
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
    assert {task: one.calibration.temperature for task, one in state.tasks.items()} == temperatures


def test_the_tagger_of_a_task_gives_the_tags_that_the_training_scored(columns, together, taggers):
    state = load_state(together / "training" / "1")
    for task, tagger in taggers.items():
        gold = load_corpus(columns, task).splits["test"]
        predicted = [tagged.tags for tagged in tagger.predict(gold)]
        right = sum(a == b for s, tags in zip(gold, predicted, strict=True) for a, b in zip(s.tags, tags, strict=True))
        assert right / sum(len(s.words) for s in gold) == pytest.approx(state.tasks[task].scores["test"].accuracy)


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
        with pytest.raises(UserError, match=r"no signature srl .*: ask for a task that it was trained for"):
            load_tagger(server.address, task="srl")
        served = evaluate.evaluate(
            server.address, "test", tmp_path / "out", say=lambda line: None, corpus=str(columns), task="chunk"
        )
    finally:
        server.shutdown()
        server.server_close()
    scores = load_state(together / "training" / "1").tasks["chunk"].scores["test"]
    assert served.scores.overall.f1 == pytest.approx(scores.overall.f1, abs=0.005)


def test_evaluate_scores_the_task_that_is_asked_for(together, tmp_path):
    folder = shutil.copytree(together, tmp_path / "model")
    for task in TASKS:
        found = evaluate.evaluate(folder, "test", say=lambda line: None, runtime="tensorflow", task=task)
        scores = load_state(folder / "training" / "1").tasks[task].scores["test"]
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
        pytorch_weights(one.model, one.config, columns=one.row_encoder.columns) for one in (trained, trained.alone("chunk"))
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
        task: one.scores["test"].overall for task, one in state.tasks.items()
    }
    for task in TASKS:
        extra = together / "1" / EXTRA
        found = read_scores((extra if task == "ner" else extra / task) / SCORES)
        assert found["test"].overall == state.tasks[task].scores["test"].overall


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
