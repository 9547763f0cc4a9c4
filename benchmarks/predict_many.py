"""`predict_many` against the notebook's way, transformers.pipeline, ONNX Runtime and OpenVINO.

Same weights, same sentences, one run: the sides take turns, each round with other sentences; slow
sides get fewer of them. Faithfulness is measured against transformers in fp32 on the bundled model
(random weights say nothing about it).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks import peers, setting
from emotion_core import EmotionClassifier

BF16_BATCHES = (8, 32, 128)


def main() -> None:
    options = setting.arguments(__doc__, sentences=10_000, rounds=5, faithful=2000)
    print(setting.machine(), "\n")
    for name in options.model:
        with setting.folder_of(name) as folder, tempfile.TemporaryDirectory() as target:
            compare(name, folder, Path(target), options)


def compare(name: str, folder: Path, target: Path, options: object) -> None:
    ours = EmotionClassifier.load(folder, "cpu")
    exact = EmotionClassifier.load(folder, "cpu", "float32")
    texts = setting.sentences(options.sentences, ours._tokenizer, options.file)
    tokens = [len(row) for row in ours._tokenizer(texts, verbose=False)["input_ids"]]
    formats = f"{ours.precision} and int8" if ours._cascade() else ours.precision
    scorers = {f"predict_many ({formats}, what load() chooses)": (scorer(ours), len(texts) // options.rounds)}
    if ours.precision != exact.precision:
        scorers["predict_many (bfloat16)"] = scorer(EmotionClassifier.load(folder, "cpu", "bfloat16")), 1024
    scorers |= {
        "predict_many (float32)": (scorer(exact), 512),
        "notebook: batch 1, padded to 64, fp32": (peers.notebook(folder), 24),
        "pipeline, batch 32, fp32": (peers.hugging_face(folder, 32), 96),
    }
    fast = peers.multiply_bfloat16()
    for batch in BF16_BATCHES if fast else ():
        scorers[f"pipeline, batch {batch}, bf16"] = (peers.hugging_face(folder, batch, torch.bfloat16), 256)
    scorers |= {label: (score, 384) for label, score in peers.others(folder, target, many=True).items()}
    for score, _ in scorers.values():
        score(texts[:40])  # warm
    used: list[list[int]] = []

    def rate(label: str) -> Callable[[int], float]:
        score, count = scorers[label]

        def measure(number: int) -> float:
            first = number * (len(texts) // options.rounds)
            chosen = texts[first : first + count]
            begun = time.perf_counter()
            score(chosen)
            seconds = time.perf_counter() - begun
            if label == next(iter(scorers)):
                used.append(tokens[first : first + count])
            return len(chosen) / seconds

        return measure

    peaks = {"bf16": torch.bfloat16, "fp32": torch.float32} if fast else {"fp32": torch.float32}
    sides = {name: lambda number, dtype=dtype: setting.gemm_peak(dtype) for name, dtype in peaks.items()}
    found = setting.interleaved(sides | {name: rate(name) for name in scorers}, options.rounds)
    peak, *others = (found.pop(name) for name in peaks)
    mine = found[next(iter(scorers))]
    rows = [[label, setting.middle(rates), setting.ratio(mine, rates), *faithful(name, label, scorers, texts, options)]
            for label, rates in found.items()]
    print(f"## {name}: {len(texts):,} sentences, {statistics.mean(tokens):.1f} tokens on average, "
          f"median of {options.rounds} rounds (range)\n")
    setting.table(["way", "sentences/s", "predict_many is", "same emotion as fp32", "mean Δp"], rows)
    work = [useful(setting.config_of(folder), lengths) / len(lengths) for lengths in used]
    share = [each * speed / 1e9 / top for each, speed, top in zip(work, mine, peak, strict=True)]
    against = f", {setting.ratio(peak, others[0])} fp32" if others else ""
    print(f"GEMM 2048³: {next(iter(peaks))} {setting.middle(peak)} GFLOP/s{against}; "
          f"predict_many's useful work: {setting.middle([100 * part for part in share])} % of it\n")


def scorer(classifier: EmotionClassifier) -> peers.Scorer:
    return lambda texts: np.array([found.probabilities for found in classifier.predict_many(texts)])


def faithful(name: str, label: str, scorers: dict, texts: list[str], options: object) -> list[str]:
    """Share of the same emotion, and mean difference of a probability, against our fp32 (tested equal to
    transformers' to 1e-5)."""
    if name != "bundled" or "notebook" in label or "pipeline, batch 32, fp32" in label:
        return ["", ""]
    few = texts if options.file else setting.samples("test.csv", "train.csv")  # made-up ones mean nothing
    few = few[: options.faithful]
    expected, found = scorers["predict_many (float32)"][0](few), scorers[label][0](few)
    same = (expected.argmax(1) == found.argmax(1)).mean()
    return [f"{same:.2%}", f"{np.abs(expected - found).mean():.5f}"]


def useful(config: dict, lengths: list[int]) -> float:
    """Floating-point operations that the head's answer needs: no padding, and of the last layer the first token's
    own state only (its keys and values of every token)."""
    size, wide, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    full, last_all, last_one = 4 * size * size + 2 * size * wide, 2 * size * size, 2 * size * size + 2 * size * wide
    tokens, squares = sum(lengths), sum(length**2 for length in lengths)
    products = tokens * ((layers - 1) * full + last_all) + len(lengths) * last_one
    attention = 2 * size * (squares * (layers - 1) + tokens)
    return 2 * (products + attention)


if __name__ == "__main__":
    main()
