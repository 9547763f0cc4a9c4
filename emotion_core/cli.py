"""The same abilities from a shell: `python -m emotion_core …`.

The edge: it parses arguments, prints results as JSON lines and errors as one
sentence. It computes nothing itself. Exit status 0 done, 1 the work failed,
2 wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

from . import models
from .commands import runs, sweep, training
from .labels import LABELS
from .messages import EmotionError, message, reason_of, shell_language
from .precision import PRECISIONS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a pipe on Korean Windows would be CP949, which has no emoji
        stream.reconfigure(encoding="utf-8", errors="replace")
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except EmotionError as error:
        return _fail(options, error.text(shell_language()))
    except KeyboardInterrupt:
        return _fail(options, message("error.interrupted", shell_language()))
    except BrokenPipeError:  # the reader of stdout has gone, as in `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _fail(options, message("error.unexpected", shell_language(), reason=reason_of(error)))


def _fail(options: argparse.Namespace, sentence: str) -> int:
    if options.debug and sys.exc_info()[0] is not KeyboardInterrupt:
        raise
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    language = shell_language()

    def say(key: str) -> str:
        return message(f"cli.{key}", language)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help=say("debug"))
    parser = argparse.ArgumentParser("python -m emotion_core", description=say("description"))
    scorer = argparse.ArgumentParser(add_help=False)
    scorer.add_argument("--model", default=models.BUNDLED, help=say("model"))
    scorer.add_argument("--device", help=say("device"))
    scorer.add_argument("--precision", choices=PRECISIONS, default="auto", help=say("precision"))
    commands = parser.add_subparsers(dest="command", required=True, metavar=say("command"))

    predict = commands.add_parser("predict", parents=[common, scorer], help=say("predict"), description=say("predict"))
    predict.add_argument("sentences", nargs="*", metavar=say("sentence"), help=say("sentences"))
    predict.set_defaults(run=_predict)

    chat = commands.add_parser("chat", parents=[common, scorer], help=say("chat"), description=say("chat"))
    chat.set_defaults(run=_chat)

    evaluate = commands.add_parser("evaluate", parents=[common, scorer], help=say("evaluate"),
                                   description=say("evaluate"))
    evaluate.add_argument("file", metavar=say("file"), help=say("file_help"))
    evaluate.add_argument("--text-column", help=say("text_column"))
    evaluate.add_argument("--label-column", help=say("label_column"))
    evaluate.add_argument("--no-labels", action="store_true", help=say("no_labels"))
    evaluate.add_argument("--encoding", help=say("encoding"))
    evaluate.add_argument("--delimiter", help=say("delimiter"))
    evaluate.add_argument("--sheet", help=say("sheet"))
    evaluate.add_argument("--out", help=say("out"))
    evaluate.add_argument("--report", help=say("report"))
    evaluate.set_defaults(run=_evaluate)

    importing = commands.add_parser("import", parents=[common], help=say("import"), description=say("import"))
    importing.add_argument("checkpoint", metavar=say("checkpoint"), help=say("checkpoint_help"))
    importing.add_argument("--name", required=True, help=say("name"))
    importing.add_argument("--base", default="kobert", help=say("base"))
    importing.set_defaults(run=_import)
    for command in (training, runs, sweep):
        command.register(commands, common, say)
    return parser


def _chat(options: argparse.Namespace) -> int:
    """The notebook's loop: sentences until a line with nothing but 0, or the end of the input."""
    from .inference import EmotionClassifier
    from .phrasing import describe

    language = shell_language()
    classifier = EmotionClassifier.load(options.model, options.device, options.precision)
    prompt = message("chat.prompt", language) if sys.stdin.isatty() else ""
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace", **({} if sys.stdin.isatty() else {"encoding": "utf-8"}))
    while True:
        try:
            sentence = input(prompt)
        except EOFError:
            return 0
        if sentence.strip() == "0":
            return 0
        try:
            print(describe(classifier.predict(sentence), language), flush=True)
        except EmotionError as error:
            print(error.text(language), file=sys.stderr)


def _evaluate(options: argparse.Namespace) -> int:
    from .scoring.file import evaluate_file

    def progress(done: int, rate: float) -> None:
        said = message("cli.progress", shell_language(), done=done, rate=rate)
        print(f"\r{said}", end="", file=sys.stderr, flush=True)

    choices = {name: getattr(options, name) for name in ("encoding", "delimiter", "sheet") if getattr(options, name)}
    report = evaluate_file(
        options.file, model=options.model, device=options.device, precision=options.precision,
        text_column=options.text_column, label_column=options.label_column, labels=not options.no_labels,
        out=options.out, report=options.report, language=shell_language(),
        progress=progress if sys.stderr.isatty() else None, **choices)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(json.dumps(report, ensure_ascii=False))
    return 0


def _import(options: argparse.Namespace) -> int:
    from .checkpoints import import_checkpoint

    def begin(step: str) -> None:
        print(message(step, shell_language()), file=sys.stderr, flush=True)

    folder = import_checkpoint(options.checkpoint, options.name, options.base,
                               warn=lambda said: print(said.text(shell_language()), file=sys.stderr),
                               **({"step": begin} if sys.stderr.isatty() else {}))
    print(json.dumps({"model": folder.name, "folder": str(folder)}, ensure_ascii=False))
    return 0


def _predict(options: argparse.Namespace) -> int:
    from .inference import EmotionClassifier, Skipped

    language = shell_language()
    if not options.sentences and sys.stdin.isatty():
        raise EmotionError("error.sentence.none")
    classifier = EmotionClassifier.load(options.model, options.device, options.precision)
    status = 0
    for result in classifier.predict_many(options.sentences or _stdin_lines()):
        if isinstance(result, Skipped):
            print(message(result.reason, language), file=sys.stderr)
            status = 1
            continue
        if result.truncated:
            print(message("warning.truncated", language, tokens=classifier.max_length), file=sys.stderr)
        print(json.dumps(as_json(result), ensure_ascii=False), flush=True)
    return status


def _stdin_lines() -> Iterator[str]:
    """Lines of standard input as UTF-8, blank ones left out."""
    lines: Iterable[bytes] = sys.stdin.buffer
    for line in lines:
        if text := line.decode("utf-8-sig", errors="replace").strip():
            yield text


def as_json(prediction: object) -> dict[str, object]:
    """The JSON object that `predict` prints for one sentence."""

    def score(one: object) -> dict[str, object] | None:
        return one and {"label": one.label, "probability": one.probability, "logit": one.logit}

    return {
        "text": prediction.text,
        "top": score(prediction.top),
        "second": score(prediction.second),
        "logits": dict(zip(LABELS, prediction.logits.tolist(), strict=True)),
        "probabilities": dict(zip(LABELS, prediction.probabilities.tolist(), strict=True)),
    }
