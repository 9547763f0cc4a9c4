"""How faithful int8 products are: as they come, and with what they leave in doubt scored again exactly.

Against float32, on the sentences of samples/test.csv or of a file of one's own; `cascade` finds the doubtful.
Speed is `predict_many`'s business: here int8 is taken even where it is no faster.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import setting
from emotion_core import EmotionClassifier, cascade
from emotion_core.engine import logits_of
from emotion_core.precision import resolve


def main() -> None:
    options = setting.arguments(__doc__, model=("bundled",), sentences=2000)
    print(setting.machine(), "\n")
    auto = resolve("auto", torch.device("cpu"))
    for name in options.model:
        with setting.folder_of(name) as folder:
            exact = EmotionClassifier.load(folder, "cpu", "float32")
            chosen = EmotionClassifier.load(folder, "cpu", str(auto).removeprefix("torch."))
            texts = setting.sentences(options.sentences, exact._tokenizer, options.file) if options.file else (
                setting.samples("test.csv")[: options.sentences])
            compare(name, exact, chosen, texts)


def compare(name: str, exact: EmotionClassifier, chosen: EmotionClassifier, texts: list[str]) -> None:
    """A table of `chosen`'s own precision, int8 alone, and int8 with the doubtful again, against `exact`."""
    ids = exact._tokenize(texts)[0]
    wanted = logits_of(exact._engine, ids)
    prepared = cascade.prepare(chosen._engine, exact._tokenize(cascade.sample())[0], worth_it=0)
    rows = [row(f"all products {chosen.precision}", wanted, logits_of(chosen._engine, ids))]
    if prepared:
        alone = logits_of(prepared.rounded, ids)
        again = float((cascade.distance(alone, alone) < prepared.margin).float().mean())
        rows += [row("int8 alone", wanted, alone),
                 row(f"int8, and {again:.1%} of the sentences again", wanted, prepared.logits_of(ids))]
    else:
        rows.append(["int8", "too rough for this model, not taken", "", ""])
    print(f"## {name}: {len(texts):,} sentences against float32\n")
    setting.table(["way", "same emotion", "same second", "mean Δp"], rows)


def row(label: str, wanted: torch.Tensor, found: torch.Tensor) -> list[str]:
    same = (wanted.argmax(1) == found.argmax(1)).float().mean()
    second = (_second(wanted) == _second(found)).float().mean()
    difference = np.abs(wanted.softmax(1).numpy() - found.softmax(1).numpy()).mean()
    return [label, f"{same:.2%}", f"{second:.2%}", f"{difference:.5f}"]


def _second(logits: torch.Tensor) -> torch.Tensor:
    """The emotion that is named second, int64 (rows,); -1 where its logit is below 0 and none is."""
    two = logits.topk(2, dim=1)
    return torch.where(two.values[:, 1] >= 0, two.indices[:, 1], -1)


if __name__ == "__main__":
    main()
