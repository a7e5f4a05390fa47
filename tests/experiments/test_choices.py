"""The trials of the experiment on the study's collapse: what each changes."""

from dataclasses import fields

import pytest

from tfner.experiments.choices import DECISIVE, FAILING, REPAIRED, STUDY, TRIALS, WORKING


def changed(one, other):
    return {field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)}


def test_a_repaired_training_differs_in_every_choice_but_the_layers():
    assert changed(STUDY, REPAIRED) == {field.name for field in fields(STUDY)} - {"units"}


@pytest.mark.parametrize(("part", "base"), [(FAILING, STUDY), (WORKING, REPAIRED), (DECISIVE, STUDY)])
def test_each_trial_is_another_one_and_the_first_changes_nothing(part, base):
    choices = [trial.choices for trial in TRIALS if trial.part == part]
    assert choices[0] == base
    assert len(set(choices)) == len(choices)


def test_every_choice_is_repaired_alone_and_added_alone():
    """The alignment of the study differs only where words are split, so both are repaired together."""
    single = {
        part: [changed(base, trial.choices) for trial in TRIALS if trial.part == part]
        for part, base in ((FAILING, STUDY), (WORKING, REPAIRED))
    }
    names = {field.name for field in fields(STUDY)}
    for name in names - {"words", "alignment"}:
        assert {name} in single[FAILING], name
    assert {"words", "alignment"} in single[FAILING]
    for name in names:
        assert {name} in single[WORKING], name
