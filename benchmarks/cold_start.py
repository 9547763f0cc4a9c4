"""Cold start: `python -m emotion_core predict "…"` on the bundled model against importing torch and transformers.

Each a new process, the sides in turn; the files are in the system's cache from the first round on.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import setting

SIDES = {
    'python -m emotion_core predict "…"': ["-m", "emotion_core", "predict", "오늘 정말 행복해요"],
    "import torch, transformers": ["-c", "import torch, transformers"],
    "import torch": ["-c", "import torch"],
    "pipeline from an import to its first answer": ["-c", (
        "from transformers import pipeline; "
        "pipeline('text-classification', 'weights/bundled', device='cpu')('오늘 정말 행복해요')")],
}


def main() -> None:
    options = setting.arguments(__doc__, rounds=7)
    print(setting.machine(), "\n")

    def seconds(command: list[str]) -> Callable[[int], float]:
        def measure(number: int) -> float:
            begun = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=setting.ROOT, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            return time.perf_counter() - begun

        return measure

    found = setting.interleaved({name: seconds(command) for name, command in SIDES.items()}, options.rounds + 1)
    found = {name: times[1:] for name, times in found.items()}
    mine = found[next(iter(SIDES))]
    setting.table(["command", "s", "predict takes"],
                  [[name, setting.middle(times), setting.ratio(mine, times)] for name, times in found.items()])


if __name__ == "__main__":
    main()
