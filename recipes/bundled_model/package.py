"""The last stage: calibrates the classifier, writes it as `weights/bundled`, measures it and writes its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from corpora import Labelled
from finetune import LOG_SUM, SECOND_PROBABILITY
from measure import fit_scaling, logits_of, report
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

LARGEST = 70_000_000


def calibrate(model: BertForSequenceClassification, logits: dict[str, np.ndarray],
              validation: dict[str, Labelled]) -> tuple[float, np.ndarray]:
    """Fold a temperature and a bias a class into the head; returns (temperature, bias), bias float (7,).

    Vector scaling (Guo et al. 2017) with one temperature for all classes. The biases' mean moves all seven logits
    alike, so it changes no probability: it puts the median log-sum-exp at `LOG_SUM`, that is, logit 0 at a probability
    of about SECOND_PROBABILITY.
    """
    temperature, bias = fit_scaling([(logits[name], rows.targets.argmax(1)) for name, rows in validation.items()])
    scaled = np.concatenate([values / temperature + bias for values in logits.values()])
    bias = bias + LOG_SUM - float(np.median(np.log(np.exp(scaled).sum(axis=1))))
    with torch.no_grad():
        model.classifier.weight /= temperature
        model.classifier.bias.copy_(model.classifier.bias / temperature + torch.from_numpy(bias).float())
    return temperature, bias


def average(models: list[BertForSequenceClassification]) -> BertForSequenceClassification:
    """The first of `models` with the mean of all their weights."""
    states = [model.state_dict() for model in models]
    models[0].load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    return models[0]


def save(model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a plain Hugging Face folder with fp16 weights, whole or not at all."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.half().save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    size = sum(file.stat().st_size for file in fresh.iterdir())
    if size > LARGEST:
        raise ValueError(f"{fresh} has {size:,} bytes, at most {LARGEST:,} are allowed")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def measure(folder: Path, tests: dict[str, Labelled]) -> dict[str, dict[str, float]]:
    """The figures of the saved model, weights as they ship, on each test set."""
    model = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    singles = {name: rows.take(rows.single) for name, rows in tests.items()}
    return {name: report(logits_of(model, tokenizer, rows.texts), rows) for name, rows in singles.items()}


def write_card(folder: Path, figures: dict[str, dict[str, float]], details: dict[str, object]) -> None:
    """README.md of the model, from `card.md` with the figures filled in, and the same as `figures.json`."""
    lines = ["| test set | rows | accuracy | macro-F1 | right emotion in the top two | ECE (15 bins) |",
             "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {found['rows']:,} | {found['accuracy']:.3f} | {found['macro_f1']:.3f} "
              f"| {found['top_two']:.3f} | {found['ece']:.3f} |" for name, found in figures.items()]
    card = (Path(__file__).parent / "card.md").read_text("utf-8")
    values = {"figures": "\n".join(lines), "second_probability": SECOND_PROBABILITY, **details}
    for key, value in values.items():
        card = card.replace("{{" + key + "}}", str(value))
    (folder / "README.md").write_text(card, "utf-8")
    report_ = json.dumps({"tests": figures, **details}, indent=1, ensure_ascii=False)
    (folder / "figures.json").write_text(report_ + "\n", "utf-8")
