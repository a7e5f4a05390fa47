"""The report: the same figures in both forms, no reference to other files, and sentences on the page alone."""

import re

import pytest

from tfner.experiments.report import Section, Table, sections, to_html, to_markdown


def test_the_markdown_has_the_scores_the_claim_and_no_sentence(results):
    text = to_markdown(list(sections(results)))
    assert "finetune is better than head." in text
    scores = results.groups[0].models[0].scores("test")
    assert f"{sum(s.overall.f1 for s in scores) / 3:.4f} ±" in text
    assert "Sentences that models disagree about" not in text


def test_a_bar_in_a_name_does_not_divide_its_cell():
    assert "| P\\|Q | 1 |" in to_markdown([Section("Types", tables=[Table(["type", "F1"], [["P|Q", "1"]])])])


def test_the_page_needs_no_other_file_and_shows_sentences(results):
    page = to_html(list(sections(results)))
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "Sentences that models disagree about" in page
    assert page.count("<svg") == sum(len(section.plots) for section in sections(results))
    assert "prefers-color-scheme: dark" in page


def test_a_number_that_varies_has_a_table_and_curves_over_it(results_by_share):
    trend = next(section for section in sections(results_by_share) if section.title == "F1 by train share (test)")
    assert trend.tables[0].header == ["train share", "`finetune`", "`head`"]
    assert [row[0] for row in trend.tables[0].rows] == ["0.25", "0.5", "1"]
    scores = results_by_share.groups[1].models[1].scores("test")  # half of the sentences, head
    assert trend.tables[0].rows[1][2].startswith(f"{sum(s.overall.f1 for s in scores) / 2:.4f} ±")
    assert len(trend.plots) == 2


@pytest.mark.parametrize("fixture", ["results", "results_by_share"])
def test_every_row_of_a_table_has_a_cell_for_each_column(fixture, request):
    for section in sections(request.getfixturevalue(fixture)):
        for table in section.tables:
            assert {len(row) for row in table.rows} == {len(table.header)}
