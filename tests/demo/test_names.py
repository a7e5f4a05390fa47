from tfner.demo.names import held_out_names
from tfner.labels import spans


def entities(sentence):
    return [sentence.words[span.start : span.end] for span in spans(sentence.tags)]


def test_held_out_names_never_occur_in_train_and_often_elsewhere(ner):
    held = held_out_names()
    held |= {name.upper() for name in held}
    assert not held & {word for sentence in ner.splits["train"] for word in sentence.words}
    for split in ("validation", "test"):
        found = [bool(held.intersection(words)) for sentence in ner.splits[split] for words in entities(sentence)]
        assert 0.2 < sum(found) / len(found) < 0.45
