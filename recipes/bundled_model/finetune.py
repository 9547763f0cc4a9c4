"""Stages 3 to 5: fine-tune the encoder on the seven emotions.

All of our own sentences are seen in every epoch, beside a part of the public rows or all of them. Some pieces of some
sentences are masked, so that no single word decides. With `fine_weight` a second head, left behind at the end, learns
the public sets' own 28 and 44 labels.

Loss: cross-entropy with soft targets, weighted by class as it occurs in the row's own set, plus a small pull of
every sentence's log-sum-exp of logits to `LOG_SUM` (the z-loss of PaLM, arXiv:2204.02311,
with another centre). With it a logit of 0 means nearly the same probability in every
sentence, about `SECOND_PROBABILITY`, so the rule "the second emotion is named if its
logit is at least 0" has a meaning.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from corpora import FINE, Labelled
from measure import logits_of, report
from torch import nn
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from emotion_core.packed import has_bfloat16
from emotion_core.training import cpu

SECOND_PROBABILITY = 0.10
LOG_SUM = -math.log(SECOND_PROBABILITY)
MAX_LENGTH = 96


@dataclass(frozen=True)
class Settings:
    """Chosen on the validation rows; README.md has what was tried."""

    epochs: int = 4
    learning_rate: float = 2e-4
    tokens_a_batch: int = 1024
    head_factor: float = 5.0
    weight_decay: float = 0.01
    warmup: float = 0.06
    class_weight_power: float = 0.2
    label_smoothing: float = 0.02
    z_weight: float = 0.02
    fine_weight: float = 0.0
    ema: float = 0.998
    masked_rows: float = 0.4
    masked_pieces: float = 0.15
    varied: bool = True
    seed: int = 1


def vary(text: str, chance: random.Random) -> str:
    """`text` as somebody in a hurry would type it: now and then without spaces, with no or another mark at its end."""
    draw = chance.random()
    if draw < 0.10 and len(text) < 40:
        return text.replace(" ", "")
    if draw < 0.30:
        return text.rstrip(".!?~…") or text
    if draw < 0.38:
        return (text.rstrip(".!?~…") or text) + chance.choice((".", "!", "~", "...", "!!"))
    return text


def class_weights(targets: np.ndarray, power: float) -> torch.Tensor:
    """Inverse class frequency to `power`, scaled so that the mean over rows is 1; float32 (7,)."""
    share = targets.mean(axis=0)
    weights = (1 / share) ** power
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)


def weighted(targets: np.ndarray, settings: Settings) -> torch.Tensor:
    """A set's targets (rows, 7), smoothed and each times its class's weight in this set."""
    smooth = settings.label_smoothing
    soft = torch.from_numpy(targets) * (1 - smooth) + smooth / targets.shape[1]
    return soft * class_weights(targets, settings.class_weight_power)


def batches(lengths: list[int], tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers of each batch: near in length, at most `tokens` padded tokens, in random order."""
    widths = _rounded(np.array(lengths))
    order = np.argsort(widths + rng.uniform(0, 3, len(lengths)))  # by width; within one at random
    result: list[np.ndarray] = []
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * widths[order[end]] > tokens:
            result.append(order[start:end])
            start = end
    return [result[i] for i in rng.permutation(len(result))]


def finetune(tokenizer: PreTrainedTokenizerFast, model: BertForSequenceClassification,
             epochs: list[list[Labelled]], validation: dict[str, Labelled], settings: Settings, folder: Path) -> None:
    """Train on the sets of each epoch in turn; after each write the averaged weights and figures to `folder`."""
    torch.manual_seed(settings.seed)
    chance = random.Random(settings.seed)
    rng = np.random.default_rng(settings.seed)
    bf16 = has_bfloat16()  # emulated elsewhere, a hundredth as fast
    cpu.prepare(model, bf16)
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.0  # the masking is enough
    fine_head = nn.Linear(model.config.hidden_size, FINE)  # left behind at the end
    head = [*model.classifier.parameters(), *fine_head.parameters()]
    body = [p for name, p in model.named_parameters() if not name.startswith("classifier.")]
    groups = [{"params": body}, {"params": head, "lr": settings.learning_rate * settings.head_factor}]
    optimizer = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    change = partial(vary, chance=chance) if settings.varied else str
    plan = [epoch_plan([change(text) for rows in sets for text in rows.texts], tokenizer, settings.tokens_a_batch, rng)
            for sets in epochs]
    total = sum(len(order) for _, order in plan)
    warm = settings.warmup * total
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))))
    averaged = copy.deepcopy(model).requires_grad_(False)
    folder.mkdir(parents=True, exist_ok=True)
    step = 0
    for epoch, ((ids, order), sets) in enumerate(zip(plan, epochs, strict=True), 1):
        goals = torch.cat([weighted(rows.targets, settings) for rows in sets])
        fine = torch.from_numpy(np.concatenate([rows.fine for rows in sets]))
        model.train()
        losses, started = [], time.monotonic()
        for batch in order:
            inputs, mask = padded([ids[i] for i in batch], tokenizer.pad_token_id)
            inputs = masked(inputs, tokenizer, settings)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                pooled = model.dropout(model.bert(input_ids=inputs, attention_mask=mask).pooler_output)
                logits, fine_logits = model.classifier(pooled).float(), fine_head(pooled).float()
            loss = objective(logits, goals[batch], settings.z_weight)
            if settings.fine_weight:
                loss = loss + settings.fine_weight * fine_objective(fine_logits, fine[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            losses.append(loss.item())
            decay = min(settings.ema, step / (step + 10))
            torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - decay)
            if step % 100 == 0:
                print(f"epoch {epoch} step {step}/{total} loss {np.mean(losses[-100:]):.4f} "
                      f"{time.monotonic() - started:.0f}s", flush=True)
        figures = {name: report(logits_of(averaged, tokenizer, held.texts), held) for name, held in validation.items()}
        line = {"epoch": epoch, "loss": float(np.mean(losses)), "validation": figures}
        print(json.dumps(line, ensure_ascii=False), flush=True)
        with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
            print(json.dumps(line, ensure_ascii=False), file=log)
        averaged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def epoch_plan(texts: list[str], tokenizer: PreTrainedTokenizerFast, tokens: int,
               rng: np.random.Generator) -> tuple[list[list[int]], list[np.ndarray]]:
    """Token ids of one epoch's sentences, and its batches."""
    ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return ids, batches([len(row) for row in ids], tokens, rng)


def _rounded(lengths: np.ndarray) -> np.ndarray:
    """Lengths that batches are padded to, few of them: oneDNN compiles and keeps its kernels for every shape."""
    return -(-lengths // 4) * 4


def padded(ids: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, int64 (rows, the longest rounded up)."""
    width = int(_rounded(np.array([len(row) for row in ids])).max())
    inputs = torch.tensor([row + [pad] * (width - len(row)) for row in ids])
    return inputs, (inputs != pad).long()


def masked(inputs: torch.Tensor, tokenizer: PreTrainedTokenizerFast, settings: Settings) -> torch.Tensor:
    """`inputs` with some pieces of some rows replaced by the mask; special tokens stay."""
    special = torch.isin(inputs, torch.tensor([tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id]))
    rows = torch.rand(len(inputs), 1) < settings.masked_rows
    chosen = rows & (torch.rand(inputs.shape) < settings.masked_pieces) & ~special
    return inputs.masked_fill(chosen, tokenizer.mask_token_id)


def objective(logits: torch.Tensor, goals: torch.Tensor, z_weight: float) -> torch.Tensor:
    """Mean loss of a batch; `logits` and `goals`, as `weighted` makes them, are (rows, 7)."""
    log_sum = logits.logsumexp(dim=1)
    cross_entropy = -(goals * (logits - log_sum[:, None])).sum(dim=1)
    return (cross_entropy + z_weight * (log_sum - LOG_SUM) ** 2).mean()


def fine_objective(logits: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each set's own labels, a mean over a row's labels and then over all rows of the batch.

    `logits` and `goals` are (rows, FINE); a goal is NaN where nothing is known.
    """
    known = ~goals.isnan()
    each = nn.functional.binary_cross_entropy_with_logits(logits, goals.nan_to_num(), reduction="none") * known
    return (each.sum(dim=1) / known.sum(dim=1).clamp(min=1)).mean()
