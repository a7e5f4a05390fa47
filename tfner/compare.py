"""`python -m tfner.compare`: trains variants with several seeds, and reports what can be claimed about their difference.

Takes variants, a number of seeds and settings to vary, and writes a folder with the runs and a report. The parts are in
`tfner.experiments`.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from tfner.config import PRESETS, VARIANTS, Config, add_flags
from tfner.errors import UserError, setting
from tfner.experiments.estimate import expected_seconds
from tfner.experiments.plan import NOT_VARIED, REPORT, REPORT_FILES, RUNS, SEEDS, SPLITS, Plan, Request, make_plan, read_vary
from tfner.experiments.runs import carry_out, check_folder, duration, finished, is_begun, share_cores
from tfner.folder import check_output
from tfner.machine import pin, usable_cores
from tfner.terminal import Parser, command, filled, print_json, quiet_imports, table

if TYPE_CHECKING:
    from tfner.experiments.results import Results

TUNING = "not stated (--tuning). How the defaults of tfner were chosen is in docs/results.md."
"""What a report says about the choice of settings where `--tuning` is not given."""


def compare(
    variants: Sequence[str] = tuple(VARIANTS),
    seeds: int = SEEDS,
    vary: Mapping[str, Sequence[Any]] | None = None,
    output: str | Path | None = None,
    preset: str | None = None,
    tuning: str = TUNING,
    discard_models: bool = False,
    split: str = Request.split,
    jobs: int = 1,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> Results:
    """Trains every run that is not finished yet, and writes the report of all.

    Args:
        variants: the variants to compare.
        seeds: the number of seeds, 0, 1, ..., that each is trained with.
        vary: values of other settings; all combinations are compared.
        output: the folder of the comparison [`comparisons/CORPUS`]. What is finished there is not trained again.
        preset: as for `tfner train`.
        tuning: how the settings were chosen, for the report.
        discard_models: whether to delete each model once its results are saved.
        split: the split on which models are compared, one of `plan.SPLITS`; with `validation` the report has no test scores.
        jobs: how many trainings run at a time, each on its share of the cores.
        say: called with each line for the terminal.
        settings: other settings of `Config`, for all runs.

    Returns:
        The results. Runs that failed are in `failed`; the report is about the others.

    Raises:
        UserError: for settings that cannot be used, a folder that holds another comparison, and if all runs fail.
    """
    request = Request(variants, seeds, vary or {}, output, preset, settings, split)
    plan = plan_comparison(request)
    done, failed = carry_out(plan, say, discard_models, jobs)
    if not done:
        raise UserError(f"all runs failed, the first because {failed[0].error}", plan.folder)
    with quiet_imports():
        from tfner.experiments.report import sections, write_report
        from tfner.experiments.results import collect, find_facts

    facts = find_facts(request.command, tuning)
    results = collect(plan, done, failed, facts, split)
    write_report(plan.folder, list(sections(results)), results.to_json())
    for line in summary_lines(results):
        say(line)
    say(f"\nthe report is {plan.folder / REPORT}")
    return results


def plan_comparison(request: Request) -> Plan:
    """The runs of a comparison. Nothing is written. Raises UserError as `compare` does."""
    check_output(request.folder, "a comparison", (RUNS, *REPORT_FILES))
    plan = make_plan(request)
    check_folder(plan)
    return plan


def summary_lines(results: Results) -> list[str]:
    """The mean F1 of each model, and the claims, for the terminal."""
    from tfner.experiments.claims import statements
    from tfner.experiments.results import mean_and_deviation

    lines = []
    for group in results.groups:
        rows = [("model", "seeds", "validation F1", *(("test F1",) if group.split == "test" else ()))]
        for model in group.models:
            f1 = [[s.overall.f1 for s in model.scores(split)] for split in dict.fromkeys(("validation", group.split))]
            rows.append((model.name, str(len(model.runs)), *map(mean_and_deviation, f1)))
        lines += ["", group.title, table(rows), *statements(group.claims, group.apart)]
    return lines


def dry_run(plan: Plan, say: Callable[[str], None] = print, jobs: int = 1) -> None:
    """Says which runs a comparison has, and how long they are expected to take, from a few steps of each model.

    Args:
        plan: the runs.
        say: called with each line for the terminal.
        jobs: how many trainings are to run at a time. Steps are timed on the cores that one of them gets.

    Raises:
        UserError: for more jobs than cores.
    """
    everything, share = usable_cores(), share_cores(jobs)[0]
    known = {run.name: result.wall_seconds for run in plan.runs if (result := finished(run))}
    expected: dict[str, float] = {}
    impossible: dict[str, str] = {}
    rows = [("run", "state", "expected")]
    left: list[float] = []
    for run in plan.runs:
        name = run.condition.name
        if run.name in known:
            rows.append((run.name, "finished", "-"))
            continue
        if name not in expected and name not in impossible:
            own = [known[r.name] for r in plan.runs if r.condition is run.condition and r.name in known]
            pin(share)
            try:
                expected[name] = mean(own) if own else expected_seconds(run.config, plan.corpus(run.condition))
            except UserError as error:
                impossible[name] = str(error)
            finally:
                pin(everything)
        if name in impossible:
            rows.append((run.name, "will fail", "-"))
            continue
        left.append(expected[name])
        rows.append((run.name, "interrupted" if is_begun(run) else "new", duration(expected[name])))
    say(table(rows, left=2))
    for name, error_text in impossible.items():
        say(f"{name}: {error_text}")
    total = duration(sum(left) / max(1, min(jobs, len(left))))
    say(f"{len(plan.runs)} runs, {len(known)} of them finished; the others take about {total} on this machine")


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("compare", "Train variants with several seeds, and report what can be claimed about their difference.")
    own = functools.partial(parser.add_argument, default=argparse.SUPPRESS)
    own("--variants", nargs="+", metavar="VARIANT", help="variants to compare [all]")
    own("--seeds", type=int, metavar="N", help=f"seeds of each: 0 to N - 1 [{SEEDS}; 2 with --study]")
    own(
        "--vary",
        action="append",
        metavar="NAME=VALUE,VALUE",
        help="compare values of another setting as well, such as context=sentence,document; may be repeated",
    )
    own(
        "--output",
        type=filled,
        metavar="FOLDER",
        help="folder of the comparison [comparisons/CORPUS; comparisons/collapse with --study]",
    )
    own("--preset", metavar="|".join(PRESETS), help="settings that other flags override, as for tfner train")
    own("--tuning", metavar="TEXT", help="how the settings were chosen, for the report")
    own("--jobs", type=int, metavar="N", help="trainings at a time, each on its share of the CPU's cores [1]")
    own("--discard-models", action="store_true", help="delete each model once its results are saved")
    own(
        "--split",
        choices=SPLITS,
        metavar="|".join(SPLITS),
        help="split to compare on; with validation, the report has no test scores, so that settings can be chosen by it [test]",
    )
    parser.add_argument(
        "--study", metavar="collapse", help="find out why models 2 and 3 of the study predict one class, instead"
    )
    own("--share", type=float, metavar="X", help="with --study: share of the sentences for all but the decisive runs [1]")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and the time that they are expected to take")
    parser.add_argument("--json", action="store_true", help="print the results as JSON; progress goes to standard error")
    add_flags(parser, [one.name for one in fields(Config) if one.name not in NOT_VARIED])
    options = vars(parser.parse_args(argv))
    study, dry, as_json = (options.pop(name) for name in ("study", "dry_run", "json"))

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    if study is not None:
        _study(study, options, dry, as_json, say)
        return
    if "share" in options:
        raise UserError(
            f"{setting('share', options['share'])}: this belongs to {setting('study')}; elsewhere all sentences count"
        )
    options |= {name: tuple(value) for name, value in options.items() if isinstance(value, list) and name != "vary"}
    options["vary"] = read_vary(options.get("vary", []))
    if dry:
        asked = {one.name: options.pop(one.name) for one in fields(Request) if one.name in options}
        settings = {name: value for name, value in options.items() if name not in ("tuning", "discard_models", "jobs")}
        dry_run(plan_comparison(Request(**asked, settings=settings)), say, options.get("jobs", 1))
        return
    results = compare(**options, say=say)
    if as_json:
        print_json(results.to_json())
    if results.failed:
        raise SystemExit(1)


def _study(name: str, options: dict[str, Any], dry: bool, as_json: bool, say: Callable[[str], None]) -> None:
    """What `--study NAME` does."""
    if name != "collapse":
        raise UserError(f"{setting('study', name)}: expected collapse")
    with quiet_imports():
        from tfner.experiments import collapse, trials

    study = trials.plan_study(**options)
    if dry:
        trials.dry_run(study, say)
        return
    results = collapse.conduct(study, say)
    if as_json:
        print_json(results)


if __name__ == "__main__":
    raise SystemExit(main())
