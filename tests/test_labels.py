import itertools

import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities
from support.errors import refused

from tfner.errors import UserError
from tfner.labels import CONLL_LABELS, LabelSet, Span, breaks, iob2, scheme, spans, standard_tags


def test_conll_ids_are_those_of_the_study():
    assert CONLL_LABELS.names == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
    assert CONLL_LABELS.ids["B-ORG"] == 3


def test_types_beyond_conll_follow_sorted():
    assert LabelSet.from_types({"zoo", "LOC", "art"}).names == ("O", "B-LOC", "I-LOC", "B-art", "I-art", "B-zoo", "I-zoo")


def test_spans_are_half_open():
    assert spans(["O", "B-PER", "I-PER", "O", "B-LOC"]) == [Span("PER", 1, 3), Span("LOC", 4, 5)]


ALL_TAGS = ["O", "B-A", "I-A", "B-B", "I-B"]
SEQUENCES = [list(tags) for n in range(6) for tags in itertools.product(ALL_TAGS, repeat=n)]


def test_spans_equal_those_of_seqeval_on_every_sequence_of_up_to_five_tags():
    for tags in SEQUENCES:
        expected = [Span(kind, start, end + 1) for kind, start, end in get_entities(tags)]
        assert spans(tags) == expected, tags


def test_strict_spans_equal_those_of_seqevals_strict_iob2_on_every_sequence_of_up_to_five_tags():
    for tags in SEQUENCES:
        if tags:
            expected = [Span(e.tag, e.start, e.end) for e in Entities([tags], IOB2).entities[0]]
            assert spans(tags, strict=True) == expected, tags


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("IOB1", ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-ORG"]),
        ("IOB2", ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-ORG"]),
        ("IOB", ["B-PER", "I-PER", "B-PER", "O", "I-LOC", "B-ORG"]),
        ("BIOES", ["B-PER", "E-PER", "S-PER", "O", "S-LOC", "S-ORG"]),
        ("BILOU", ["B-PER", "L-PER", "U-PER", "O", "U-LOC", "U-ORG"]),
    ],
)
def test_every_scheme_is_recognised_and_becomes_the_same_iob2(name, tags):
    assert scheme([tags]) == name
    assert iob2(tags) == ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-ORG"]


def test_an_entity_of_three_words_keeps_its_inside_in_bioes():
    assert iob2(["B-X", "I-X", "E-X", "B-X"]) == ["B-X", "I-X", "I-X", "B-X"]


@pytest.mark.parametrize("tag", ["PER", "X-PER", "B_PER", "B-", "-PER", "", "o"])
def test_a_tag_that_fits_no_scheme_is_refused(tag):
    with pytest.raises(UserError) as caught:
        spans(["O", tag])
    assert caught.value.setting == "task" and repr(tag) in str(caught.value)


def test_the_error_for_a_tag_of_no_scheme_lists_the_schemes():
    with refused("tag_of_no_scheme", setting="task"):
        spans(["PER"])


def test_bioes_mixed_with_bilou_is_refused():
    with refused("scheme_mixed"):
        scheme([["B-X", "E-X"], ["U-X"]])


def test_a_type_may_contain_hyphens():
    assert spans(["B-creative-work", "I-creative-work"]) == [Span("creative-work", 0, 2)]


def test_inside_maps_b_to_i_and_leaves_the_rest():
    assert [CONLL_LABELS.inside(i) for i in range(5)] == [0, 2, 2, 4, 4]
    assert LabelSet(("B-like", "NN"), plain=True).inside(0) == 0


@pytest.mark.parametrize(
    ("key", "names"),
    [("labels_empty", ()), ("labels_repeated", ("O", "B-X", "O")), ("labels_not_iob2", ("O", "E-X"))],
)
def test_a_label_set_that_is_none_is_refused(key, names):
    with refused(key):
        LabelSet(names)


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        ("B_PER I_PER O", "B-PER I-PER O"),
        ("b-per i-per o", "B-per I-per O"),
        ("B-PER M-PER E-PER S-LOC O", "B-PER I-PER E-PER S-LOC O"),
        ("PER LOC O", "I-PER I-LOC O"),
        ("e_mail person O", "I-e_mail I-person O"),
        ("B-PER M- O", "B-PER M- O"),
        ("B-PER PER O", "B-PER PER O"),
        ("B_PER I_PER X O", "B_PER I_PER X O"),
        ("B_PER I_PER 0", "B_PER I_PER 0"),
        ("NN VB", "NN VB"),
        ("B-a-b I-a_b O", "B-a-b I-a_b O"),
    ],
)
def test_tags_are_read_as_usually_written(written, usual):
    written = written.split()
    found = standard_tags(set(written))
    assert [found[tag] for tag in written] == usual.split()


@pytest.mark.parametrize(
    ("tags", "number"),
    [
        ("B-A I-A E-A S-B O", 0),
        ("", 0),
        ("B-A E-B", 1),
        ("B-A O", 1),
        ("I-A E-A", 1),
        ("B-A", 1),
        ("E-A", 1),
        ("B-A B-A E-A", 1),
        ("S-A I-A", 2),
        ("B-A L-A U-B", 0),
    ],
)
def test_breaks_of_bioes_and_bilou_are_counted(tags, number):
    assert breaks(tags.split()) == number
