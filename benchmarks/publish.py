"""Makes a page of docs/results/ from a comparison: its tables without seconds and speeds, and every score as JSON.

    python benchmarks/publish.py COMPARISON docs/results/NAME.md --title TITLE --introduction TEXT

COMPARISON is a folder that `python -m tfner.compare` wrote. Seconds and speeds are left out because trainings of hours share
their machine with other work; benchmarks/RESULTS.md has them.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from tfner.folder import write_json

WIDTH = 140
NOT_SHOWN = ("seconds of training", "tagged words per second")


def without_speeds(text: str) -> str:
    """The report without what depends on the state of the machine."""
    lines, dropped = [], []
    for line in text.splitlines():
        if not line.startswith("|"):
            dropped = []
            begin = line.find("The export is counted")
            lines.append(line[begin:] if line.startswith("Seconds of training are") else line)
            continue
        cells = line[1:-1].split("|")
        dropped = dropped or [i for i, cell in enumerate(cells) if cell.strip() in NOT_SHOWN]
        lines.append("|".join(["", *(cell for i, cell in enumerate(cells) if i not in dropped), ""]))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--title", required=True)
    parser.add_argument("--introduction", required=True)
    arguments = parser.parse_args()
    report = (arguments.comparison / "results.md").read_text("utf-8").partition("\n\n")[2]
    introduction = textwrap.fill(arguments.introduction, WIDTH, break_long_words=False, break_on_hyphens=False)
    text = f"# {arguments.title}\n\n{introduction}\n\n{without_speeds(report)}"
    arguments.page.write_text(text, "utf-8")
    values = json.loads((arguments.comparison / "results.json").read_text("utf-8"))
    del values["measured"]
    write_json(arguments.page.with_suffix(".json"), values)


if __name__ == "__main__":
    main()
