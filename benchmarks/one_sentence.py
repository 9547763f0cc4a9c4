"""One sentence at once, warm: `predict` against transformers.pipeline, ONNX Runtime and OpenVINO; medians in ms.

Every call has another sentence than the one before; the sides take turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import peers, setting
from emotion_core import EmotionClassifier


def main() -> None:
    options = setting.arguments(__doc__, calls=15, rounds=5)
    print(setting.machine(), "\n")
    for name in options.model:
        with setting.folder_of(name) as folder, tempfile.TemporaryDirectory() as target:
            compare(name, folder, Path(target), options)


def compare(name: str, folder: Path, target: Path, options: object) -> None:
    ours = EmotionClassifier.load(folder, "cpu")
    exact = EmotionClassifier.load(folder, "cpu", "float32")
    texts = setting.sentences(options.calls, ours._tokenizer, options.file)
    formats = f"{ours.precision} and int8" if ours._cascade() else ours.precision
    scorers: dict[str, Callable[[str], object]] = {
        f"predict ({formats}, what load() chooses)": ours.predict,
        "predict (float32)": exact.predict,
    }
    rivals = {"notebook: padded to 64, fp32": peers.notebook(folder), "pipeline, fp32": peers.hugging_face(folder, 1)}
    if peers.multiply_bfloat16():
        rivals["pipeline, bf16"] = peers.hugging_face(folder, 1, torch.bfloat16)
    rivals |= peers.others(folder, target, many=False)
    scorers |= {label: lambda text, score=score: score([text]) for label, score in rivals.items()}

    def latency(label: str) -> Callable[[int], float]:
        def measure(number: int) -> float:
            times = []
            for text in texts:
                begun = time.perf_counter()
                scorers[label](text)
                times.append(time.perf_counter() - begun)
            return 1000 * statistics.median(times)

        return measure

    found = setting.interleaved({label: latency(label) for label in scorers}, options.rounds + 1)
    found = {label: times[1:] for label, times in found.items()}  # the first round was to warm up
    mine = found[next(iter(scorers))]
    print(f"## {name}: {len(texts)} sentences, {options.rounds} rounds, median of the rounds' medians (range)\n")
    setting.table(["way", "ms", "predict is faster by"],
                  [[label, setting.middle(times), setting.ratio(times, mine)] for label, times in found.items()])


if __name__ == "__main__":
    main()
