"""Whether training in bf16 is as good as in fp32: test macro-F1 on the sample sentences, each seed in both.

`train()` as a run does it, at the notebook's settings but for the epochs; the split is the samples' own, so seeds
change the head, the order of the sentences and dropout.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import setting
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import read, sample_set
from emotion_core.training.run import train

PRECISIONS = ("fp32", "bf16")


def main() -> None:
    options = setting.arguments(__doc__, model=("bundled",), seeds=3, epochs=1, sentences=3500)
    print(setting.machine(), "\n")
    for name in options.model:
        with setting.folder_of(name) as folder:
            compare(name, folder, options)


def compare(name: str, folder: Path, options: object) -> None:
    data = read(sample_set(), TrainingConfig())
    few = np.random.default_rng(0).permutation(len(data.train))[: options.sentences]
    data = type(data)(data.train.take(few), data.test, data.rows, data.empty, data.unlabelled, data.unknown)
    begun = time.perf_counter()

    def macro_f1(precision: str, seed: int) -> float:
        config = TrainingConfig(epochs=options.epochs, seed=seed, precision=precision)
        with tempfile.TemporaryDirectory() as place:
            return train(data, folder, config, Path(place), device="cpu").figures["test_macro_f1"]

    sides = {precision: lambda seed, precision=precision: macro_f1(precision, seed) for precision in PRECISIONS}
    found = setting.interleaved(sides, options.seeds)
    print(f"## {name}: {len(data.train):,} sentences, {options.epochs} epochs, tested on {len(data.test):,}; "
          f"{(time.perf_counter() - begun) / 60:.0f} minutes\n")
    setting.table(["precision", *(f"seed {seed}" for seed in range(options.seeds)), "mean", "spread (s)"], [
        [label, *(f"{value:.4f}" for value in values), f"{statistics.mean(values):.4f}",
         f"{statistics.stdev(values) if len(values) > 1 else 0:.4f}"] for label, values in found.items()])
    exact, rough = (found[precision] for precision in PRECISIONS)
    apart = statistics.mean(rough) - statistics.mean(exact)
    spread = max(exact) - min(exact)
    print(f"bf16 − fp32: {apart:+.4f}; fp32's seeds lie {spread:.4f} apart: "
          f"{'within' if abs(apart) <= spread else 'outside'} their spread\n")


if __name__ == "__main__":
    main()
