"""The whole site, and the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_LINK = re.compile(r"(?:\]\(|src=\")([^)\"#\s]+)")
_LOADED = re.compile(r"<(?:script|img|iframe)[^>]+src=.https?:[^>]+|<link[^>]+href=.https?:[^>]+")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_other_hosts(tmp_path):
    # without --quiet, which also hides the warnings from --strict
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        assert _LOADED.findall(page.read_text("utf-8")) == [], page


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_to_files(page):
    prose = _FENCED.sub("", page.read_text("utf-8"))
    targets = [link for link in _LINK.findall(prose) if "://" not in link]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    docs = ROOT / "docs"
    assert [page.name for page in PAGES if page.relative_to(docs).as_posix() not in navigation] == []


def test_the_readme_gives_the_commands_that_ci_runs():
    assert "python -m tfner.train --variant head" in README
    assert "pip install -e '.[test]' && python -m pytest" in README


def test_the_readme_fits_two_screens():
    assert len(README.splitlines()) <= 110
