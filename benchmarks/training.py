"""Sentences a second in training, at the notebook's settings: batch 16, at most 64 tokens, AdamW, dropout 0.5.

Our run against the notebook's loop (every sentence padded to 64, fp32) and against transformers'
Trainer as it comes (padded to the batch's longest, random order, fp32). Optimizer steps alone are
counted: no loading, testing or saving, and each side's first steps not either. Each side is a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_cosine_schedule_with_warmup,
)

from benchmarks import setting
from emotion_core import models
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import Sentences, TrainingData
from emotion_core.training.run import train

CONFIG = TrainingConfig(epochs=1)
WARM = 2


def main() -> None:
    options = setting.arguments(__doc__, steps=8, rounds=3)
    print(setting.machine(), "\n")
    for name in options.model:
        with setting.folder_of(name) as folder, tempfile.TemporaryDirectory() as place:
            compare(name, folder, Path(place), options)


def compare(name: str, folder: Path, place: Path, options: object) -> None:
    tokenizer = models.read_tokenizer(folder)
    # Ours sorts by length within pools of batches, so its steps differ: it is given several times as many.
    texts = setting.sentences(CONFIG.batch_size * 4 * options.steps, tokenizer, options.file)
    few = texts[: CONFIG.batch_size * (options.steps + WARM)]
    sides = {
        "train() (what it chooses)": lambda number: setting.apart(ours, folder, texts, place / f"ours{number}"),
        "train(), fp32": lambda number: setting.apart(ours, folder, few, place / f"exact{number}", "fp32"),
        "the notebook's loop: padded to 64, fp32": lambda number: setting.apart(notebook, folder, few),
        "Trainer as it comes": lambda number: setting.apart(trainer, folder, few, place / f"trainer{number}"),
    }
    found = setting.interleaved(sides, options.rounds)
    mine = found[next(iter(sides))]
    print(f"## {name}: median of {options.rounds} rounds (range)\n")
    setting.table(["way", "sentences/s", "train() is"],
                  [[label, setting.middle(rates), setting.ratio(mine, rates)] for label, rates in found.items()])


def rate(times: list[float], sentences: int) -> float:
    """Sentences a second between the first step counted and the last."""
    return (len(times) - 1 - WARM) * sentences / (times[-1] - times[WARM])


def ours(folder: Path, texts: list[str], place: Path, precision: str = CONFIG.precision) -> float:
    labels = np.arange(len(texts)) % 7
    half = Sentences(np.arange(1, len(texts) + 1), texts, labels)
    data = TrainingData(half, half.take(np.arange(14)), len(texts), 0, 0, {})
    times: list[float] = []

    def stopping() -> bool:  # asked once after every step
        times.append(time.perf_counter())
        return False

    place.mkdir()
    train(data, folder, CONFIG.with_changes(precision=precision), place, stopping=stopping, device="cpu")
    return rate(times, CONFIG.batch_size)


def notebook(folder: Path, texts: list[str]) -> float:
    """The Colab notebook's loop, with its optimizer and schedule."""
    tokenizer = models.read_tokenizer(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, classifier_dropout=CONFIG.dropout).train()
    kept = ("bias", "LayerNorm.weight")
    groups = [{"params": [p for n, p in model.named_parameters() if not any(k in n for k in kept)],
               "weight_decay": CONFIG.weight_decay},
              {"params": [p for n, p in model.named_parameters() if any(k in n for k in kept)], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=CONFIG.learning_rate)
    schedule = get_cosine_schedule_with_warmup(optimizer, 1, 100)
    times = []
    for first in range(0, len(texts), CONFIG.batch_size):
        batch = tokenizer(texts[first : first + CONFIG.batch_size], padding="max_length", truncation=True,
                          max_length=CONFIG.max_length, return_tensors="pt")
        labels = torch.arange(len(batch["input_ids"])) % 7
        optimizer.zero_grad()
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        torch.nn.functional.cross_entropy(logits, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.max_grad_norm)
        optimizer.step()
        schedule.step()
        times.append(time.perf_counter())
    return rate(times, CONFIG.batch_size)


def trainer(folder: Path, texts: list[str], place: Path) -> float:
    """transformers.Trainer with the same settings and its own defaults for all else."""
    tokenizer = models.read_tokenizer(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32,
                                                               classifier_dropout=CONFIG.dropout)
    rows = [{"input_ids": ids[: CONFIG.max_length], "labels": place % 7}
            for place, ids in enumerate(tokenizer(texts, verbose=False)["input_ids"])]
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: object, **kwargs: object) -> None:
            times.append(time.perf_counter())

    arguments = TrainingArguments(
        output_dir=str(place), per_device_train_batch_size=CONFIG.batch_size, num_train_epochs=1,
        learning_rate=CONFIG.learning_rate, weight_decay=CONFIG.weight_decay, lr_scheduler_type="cosine",
        warmup_steps=CONFIG.warmup_ratio, max_grad_norm=CONFIG.max_grad_norm, use_cpu=True, save_strategy="no",
        logging_strategy="no", report_to=[], disable_tqdm=True)
    it = Trainer(model, arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer),
                 callbacks=[Clock()])
    it.remove_callback(PrinterCallback)
    it.train()
    return rate(times, CONFIG.batch_size)


if __name__ == "__main__":
    main()
