"""`runs list|show|stop|resume|delete|compare` in a shell. Part of the edge, like `cli`: parses and prints."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from .. import runs
from ..messages import message, shell_language
from ..runs import execution
from ..runs.words import STATES
from .training import execute_here


def register(commands: Any, common: argparse.ArgumentParser, say: Callable[[str], str]) -> None:
    """Add `runs` and its actions to the parser's `commands`; see `training.register`."""
    handle = commands.add_parser("runs", parents=[common], help=say("runs"), description=say("runs"))
    actions = handle.add_subparsers(dest="action", required=True, metavar=say("command"))
    for name, said, run in (
            ("list", say("runs_list"), _list), ("show", say("runs_show"), _show), ("stop", say("runs_stop"), _stop),
            ("resume", say("runs_resume"), _resume), ("delete", say("runs_delete"), _delete),
            ("compare", say("runs_compare"), _compare)):
        action = actions.add_parser(name, parents=[common], help=said, description=said)
        action.set_defaults(run=run)
        if name == "compare":
            action.add_argument("runs", nargs="+", metavar=say("run"))
        elif name != "list":
            action.add_argument("id", metavar=say("run"), help=say("run_help"))
        if name == "stop":
            action.add_argument("--force", action="store_true", help=say("force"))
        if name == "resume":
            action.add_argument("--background", action="store_true", help=say("background"))


def run_json(run: runs.Run) -> dict[str, Any]:
    """A run as `runs list` and `runs show` print it."""
    return {
        "run": run.id, "name": run.name, "state": run.state, "created": run.created, "base": run.base,
        "data": run.title, "device": run.device, "step": run.step, "steps": run.steps, "epoch": run.epoch,
        "epochs": run.epochs, "seconds": round(run.seconds, 3), "seconds_left": run.seconds_left,
        "sentences_per_second": run.rate, "model": run.model_name, "checkpoint": run.checkpoint,
        "sweep": run.sweep.id if run.sweep else None, **{
            name: run.figures.get(name) for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy",
                                                     "test_macro_f1")},
        "error": message(run.error[0], shell_language(), **run.error[1]) if run.error else None,
    }


def _list(options: argparse.Namespace) -> int:
    for run in runs.all_runs():
        print(json.dumps(run_json(run), ensure_ascii=False))
    return 0


def _show(options: argparse.Namespace) -> int:
    run = runs.find(options.id)
    found = run_json(run) | {
        "state_said": message(STATES[run.state], shell_language()), "note": run.note, "folder": str(run.folder),
        "config": run.config.as_dict() if run.config else None, "versions": dict(run.versions),
        "data_facts": dataclasses.asdict(run.data) if run.data else None,
        "epoch_figures": [dataclasses.asdict(one) for one in runs.metrics(run.id).epochs]}
    print(json.dumps(found, ensure_ascii=False))
    return 0


def _stop(options: argparse.Namespace) -> int:
    run = runs.find(options.id)
    runs.stop(run.id, options.force)
    print(json.dumps({"run": run.id, "state": runs.get(run.id).state}))
    return 0


def _resume(options: argparse.Namespace) -> int:
    run = runs.find(options.id)
    if options.background:
        runs.resume(run.id)
        print(json.dumps({"run": run.id, "state": runs.get(run.id).state}))
        return 0
    execution.reopen(run.id)
    return execute_here(run.id)


def _delete(options: argparse.Namespace) -> int:
    run = runs.find(options.id)
    runs.delete(run.id)
    print(json.dumps({"run": run.id, "state": "deleted"}))
    return 0


def _compare(options: argparse.Namespace) -> int:
    found = runs.compare([runs.find(name).id for name in options.runs])
    for run, row in zip(found.runs, found.rows, strict=True):
        print(json.dumps(run_json(run) | {"differs": dict(zip(found.names, row, strict=True))}, ensure_ascii=False))
    return 0
