"""An experiment, not a stage of the bundled model: adapts the trimmed encoder to Korean as it is typed.

Two tasks on the same reviews: masked-language modelling (Devlin et al. 2019,
20 % of the pieces, 80/10/10) and the review's stars read from the pooler, which
the 4-bit file lacks. Sentences are batched by length under a budget of tokens.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import BertForMaskedLM, BertModel, PreTrainedTokenizerFast

MASKED_SHARE = 0.2
MAX_LENGTH = 96
TOKENS_A_BATCH = 3072
LEARNING_RATE = 3e-4
STEPS = 1500
STARS_WEIGHT = 0.5
SAVE_EVERY = 200


class Adapter(nn.Module):
    """The encoder with its two heads: masked pieces and stars."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        config = encoder.config
        self.encoder = encoder
        self.pieces = BertForMaskedLM(config).cls
        self.pieces.predictions.decoder.weight = encoder.embeddings.word_embeddings.weight
        nn.init.eye_(self.pieces.predictions.transform.dense.weight)
        self.stars = nn.Linear(config.hidden_size, 1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, stars: torch.Tensor):
        """Mean losses of the two tasks; `labels` is -100 where a piece is not predicted, `stars` in [0, 1]."""
        out = self.encoder(ids, attention_mask=mask)
        chosen = labels != -100
        piece_loss = nn.functional.cross_entropy(self.pieces(out.last_hidden_state[chosen]).float(), labels[chosen])
        star_loss = nn.functional.binary_cross_entropy_with_logits(self.stars(out.pooler_output).float()[:, 0], stars)
        return piece_loss, star_loss


def sample_reviews(stars: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Row numbers: equal shares of bad (1-4), middling (5-8) and good (9-10) reviews as far as they last."""
    groups = [rng.permutation(np.flatnonzero((stars >= low) & (stars <= high)))[: count // 3]
              for low, high in ((1, 4), (5, 8), (9, 10))]
    return rng.permutation(np.concatenate(groups))


def batches(ids: list[list[int]], rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers of each batch: sorted by length within windows, at most TOKENS_A_BATCH padded tokens."""
    order = rng.permutation(len(ids))
    result = []
    for start in range(0, len(order), 8192):
        window = sorted(order[start : start + 8192], key=lambda i: len(ids[i]))
        batch: list[int] = []
        for row in window:
            if batch and (len(batch) + 1) * len(ids[row]) > TOKENS_A_BATCH:
                result.append(np.array(batch))
                batch = []
            batch.append(row)
        result.append(np.array(batch))
    return [result[i] for i in rng.permutation(len(result))]


def masked(ids: list[list[int]], tokenizer: PreTrainedTokenizerFast, generator: torch.Generator):
    """Padded ids with pieces masked, attention mask and labels, each int64 (rows, longest)."""
    width = max(map(len, ids))
    plain = torch.full((len(ids), width), tokenizer.pad_token_id)
    for row, pieces in enumerate(ids):
        plain[row, : len(pieces)] = torch.tensor(pieces)
    attention = (plain != tokenizer.pad_token_id).long()
    special = (plain == tokenizer.pad_token_id) | (plain == tokenizer.cls_token_id) | (plain == tokenizer.sep_token_id)
    draw = torch.rand(plain.shape, generator=generator)
    chosen = (draw < MASKED_SHARE) & ~special
    labels = torch.where(chosen, plain, -100)
    how = torch.rand(plain.shape, generator=generator)
    random_pieces = torch.randint(4, len(tokenizer) - 1, plain.shape, generator=generator)
    inputs = torch.where(chosen & (how < 0.8), tokenizer.mask_token_id, plain)
    inputs = torch.where(chosen & (how >= 0.9), random_pieces, inputs)
    return inputs, attention, labels


def adapt(encoder: BertModel, tokenizer: PreTrainedTokenizerFast, texts: list[str], stars: np.ndarray,
          folder: Path, seed: int = 1) -> Iterator[dict[str, float]]:
    """Train on `texts`, STEPS batches at most, resuming from `folder/state.pt` if it is there.

    Yields a log line every 50 steps.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.0
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model = Adapter(encoder).train()
    ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    plan = [batch for batch in batches(ids, rng) if len(batch) > 1][:STEPS]
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / 100, 0.5 * (1 + math.cos(math.pi * min(1.0, step / len(plan))))))
    state_file = folder / "state.pt"
    done = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        done = state["step"]
    target = torch.from_numpy((stars - 1) / 9).float()
    sums, tokens, started = np.zeros(2), 0, time.monotonic()
    for step, batch in enumerate(plan[done:], done + 1):
        inputs, attention, labels = masked([ids[i] for i in batch], tokenizer, generator)
        if not (labels != -100).any():
            continue
        with torch.autocast("cpu", torch.bfloat16):
            piece_loss, star_loss = model(inputs, attention, labels, target[batch])
        (piece_loss + STARS_WEIGHT * star_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        sums += piece_loss.item(), star_loss.item()
        tokens += int(attention.sum())
        if step % 50 == 0:
            yield {"step": step, "of": len(plan), "piece_loss": sums[0] / 50, "star_loss": sums[1] / 50,
                   "tokens_a_second": tokens / (time.monotonic() - started)}
            sums, tokens, started = np.zeros(2), 0, time.monotonic()
        if step % SAVE_EVERY == 0 or step == len(plan):
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(), "step": step}, folder / "state.tmp")
            (folder / "state.tmp").replace(state_file)


def write_log(path: Path, lines: Iterator[dict[str, float]]) -> None:
    """Append each log line to `path` as JSON and print it."""
    with path.open("a", encoding="utf-8") as log:
        for line in lines:
            print(json.dumps({key: round(value, 4) for key, value in line.items()}), file=log, flush=True)
