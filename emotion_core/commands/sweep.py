"""`sweep` in a shell: starts one and waits for its result, or shows one's. Part of the edge: parses and prints."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from ..messages import EmotionError, message, shell_language
from ..runs import sweeps
from ..runs.words import STATES
from ..training.settings import said
from .training import add_run_options, add_settings, chosen_config, chosen_data, print_estimate

_AXES: dict[str, Callable[[str], Any]] = {"batch_size": int, "optimizer": str, "learning_rate": float,
                                          "dropout": float}


def register(commands: Any, common: argparse.ArgumentParser, say: Callable[[str], str]) -> None:
    """Add `sweep` to the parser's `commands`; see `training.register`."""
    sweep = commands.add_parser("sweep", parents=[common], help=say("sweep"), description=say("sweep"))
    add_run_options(sweep, say)
    sweep.add_argument("--name", default="", help=say("run_name"))
    sweep.add_argument("--background", action="store_true", help=say("background"))
    sweep.add_argument("--result", help=say("sweep_result"))
    sweep.add_argument("--figure", choices=sweeps.FIGURES, default=sweeps.FIGURES[0], help=say("sweep_figure"))
    for name in (*_AXES, "seeds"):
        sweep.add_argument(f"--{name.replace('_', '-')}", dest=f"axis_{name}", default="", metavar="V,V",
                           help=say("sweep_values"))
    add_settings(sweep, say, leave_out=(*_AXES, "seed"))
    sweep.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    language = shell_language()
    if options.result:
        print(json.dumps(_sweep_json(options.result, options.figure), ensure_ascii=False))
        return 0
    if not options.file:
        raise EmotionError("error.train.no_file")
    planned = sweeps.plan(chosen_config(options), seeds=_values(options.axis_seeds, int),
                          **{name: _values(getattr(options, f"axis_{name}"), read) for name, read in _AXES.items()})
    print(message("cli.sweep_plan", language, count=planned.count, combinations=planned.combinations,
                  seeds=len(planned.seeds)), file=sys.stderr)
    if options.estimate:
        print_estimate(options, planned.configs[0], planned)
        return 0
    sweep = sweeps.start(planned, chosen_data(options), options.base, options.name, options.device,
                         language=language)
    if options.background:
        print(json.dumps({"sweep": sweep, "runs": [run.id for run in sweeps.get(sweep).runs]}))
        return 0
    try:
        _wait(sweep, language)
    except KeyboardInterrupt:
        sweeps.stop(sweep)
        raise
    print(json.dumps(_sweep_json(sweep, options.figure), ensure_ascii=False))
    return 0 if sweeps.get(sweep).done == planned.count else 1


def _values(text: str, read: Callable[[str], Any]) -> tuple[Any, ...]:
    try:
        return tuple(read(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise EmotionError("error.sweep.values", text=text) from error


def _wait(sweep: str, language: str) -> None:
    """Until every run of the sweep has ended, saying each end."""
    said: set[str] = set()
    while True:
        found = sweeps.get(sweep)
        for run in found.runs:
            if run.ended and run.id not in said:
                said.add(run.id)
                print(f"{run.name}: {message(STATES[run.state], language)}", file=sys.stderr, flush=True)
        if len(said) == found.total:
            return
        time.sleep(0.5)


def _sweep_json(sweep: str, figure: str) -> dict[str, Any]:
    found, result = sweeps.get(sweep), sweeps.result(sweep, figure)

    def plain(values: Any) -> dict[str, float | None]:
        return {name: None if value != value else value for name, value in values.items()}

    language = shell_language()
    key, values = result.sentence
    values = {name: said(value, language) if name in ("best", "next") else value for name, value in values.items()}
    return {"sweep": found.id, "name": found.name, "runs": found.total, "finished": found.done, "figure": figure,
            "rows": [{"settings": dict(row.settings), "count": row.count, "mean": plain(row.mean),
                      "spread": plain(row.spread), "runs": list(row.runs)} for row in result.rows],
            "sentence": message(key, language, **values)}
