"""Stage 2: teaches the encoder feeling in general before it sees our own sentences often.

Supplementary training on an intermediate task (Phang et al. 2018, arXiv:1811.01088), here two at once on the same
encoder: the seven emotions of all labelled training rows, and the stars of film reviews, which are written the way
Koreans write and say good from bad.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from corpora import Labelled
from finetune import batches, objective, padded, vary, weighted
from torch import nn
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

MAX_LENGTH = 64
SAVE_EVERY = 200


@dataclass(frozen=True)
class Settings:
    """One pass over everything."""

    learning_rate: float = 3e-4
    tokens_a_batch: int = 1536
    head_factor: float = 5.0
    weight_decay: float = 0.01
    warmup: float = 0.05
    class_weight_power: float = 0.35
    label_smoothing: float = 0.02
    z_weight: float = 0.02
    stars_weight: float = 0.7
    seed: int = 1


def sample_reviews(texts: list[str], stars: np.ndarray, count: int, longest: int,
                   rng: np.random.Generator) -> np.ndarray:
    """Row numbers of reviews of 4 to `longest` characters: as many bad (1-4) as middling (5-8) as good (9-10) ones."""
    lengths = np.array([len(text) for text in texts])
    fits = (lengths >= 4) & (lengths <= longest)
    groups = [rng.permutation(np.flatnonzero(fits & (stars >= low) & (stars <= high)))[: count // 3]
              for low, high in ((1, 4), (5, 8), (9, 10))]
    return np.concatenate(groups)


def train(tokenizer: PreTrainedTokenizerFast, model: BertForSequenceClassification, labelled: Labelled,
          reviews: list[str], stars: np.ndarray, settings: Settings, folder: Path) -> None:
    """Train `model` on both tasks and write it to `folder`, resumed from `folder/state.pt` if that is there.

    `stars` is int (n,), 1 to 10; the head that reads them is left behind.
    """
    torch.manual_seed(settings.seed)
    chance = random.Random(settings.seed)
    rng = np.random.default_rng(settings.seed)
    stars_head = nn.Linear(model.config.hidden_size, 1)
    heads = [*model.classifier.parameters(), *stars_head.parameters()]
    groups = [{"params": list(model.bert.parameters())},
              {"params": heads, "lr": settings.learning_rate * settings.head_factor}]
    optimizer = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    texts = [vary(text, chance) for text in labelled.texts] + reviews
    ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    emotions = len(labelled)
    plan = [("emotion", rows) for rows in batches([len(row) for row in ids[:emotions]], settings.tokens_a_batch, rng)]
    plan += [("stars", rows + emotions)
             for rows in batches([len(row) for row in ids[emotions:]], settings.tokens_a_batch, rng)]
    plan = [plan[i] for i in rng.permutation(len(plan))]
    warm = settings.warmup * len(plan)

    def rate(step: int) -> float:  # warm-up, then half a cosine down to a tenth
        return min((step + 1) / warm, 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, step / len(plan)))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    goals = weighted(labelled.targets, settings)
    shares = torch.from_numpy((stars - 1) / 9).float()
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"model": model, "stars_head": stars_head, "optimizer": optimizer, "schedule": schedule}
    done = _resume(folder / "state.pt", parts)
    model.train()
    losses: dict[str, list[float]] = {"emotion": [], "stars": []}
    started = time.monotonic()
    for step, (task, rows) in enumerate(plan[done:], done + 1):
        inputs, mask = padded([ids[i] for i in rows], tokenizer.pad_token_id)
        with torch.autocast("cpu", torch.bfloat16):
            pooled = model.dropout(model.bert(input_ids=inputs, attention_mask=mask).pooler_output)
            read = (model.classifier if task == "emotion" else stars_head)(pooled).float()
        if task == "emotion":
            loss = objective(read, goals[rows], settings.z_weight)
        else:
            loss = settings.stars_weight * nn.functional.binary_cross_entropy_with_logits(
                read[:, 0], shares[rows - emotions])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses[task].append(loss.item())
        if step % 50 == 0:
            print(f"step {step}/{len(plan)} " + " ".join(f"{name} {np.mean(values[-50:]):.4f}" for name, values in
                  losses.items() if values) + f" {time.monotonic() - started:.0f}s", flush=True)
        if step % SAVE_EVERY == 0:
            torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, folder / "state.tmp")
            (folder / "state.tmp").replace(folder / "state.pt")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _resume(file: Path, parts: dict) -> int:
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]
