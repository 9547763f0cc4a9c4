"""The README.md of a model that the app saves: what it is, and how to open it without the app.

In both languages, since a folder goes from hand to hand. The bundled model's card
is its recipe's (`recipes/bundled_model`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .kobert import KoBERTTokenizer
from .labels import ENGLISH, LABELS
from .messages import LANGUAGES, message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "README.md"
_HEAD = "---\nlanguage: ko\npipeline_tag: text-classification\n---\n"
_PIPELINE = """```python
{first}from transformers import pipeline
pipeline("text-classification", model="PATH/TO/THIS/FOLDER", top_k=2)("아파요")
```"""


def write(folder: Path, name: str, tokenizer: PreTrainedTokenizerBase, origin: str, **values: object) -> None:
    """Write the card of the model `name` into its `folder`; `origin` with `values` is where it comes from.

    KoBERT's tokenizer is a class of this package: transformers alone refuses the folder, in words that
    don't say why, so the card does. Raises OSError.
    """
    ours = isinstance(tokenizer, KoBERTTokenizer)
    labels = " · ".join(f"{number} {label} ({english})" for number, (label, english) in
                        enumerate(zip(LABELS, ENGLISH, strict=True)))
    code = _PIPELINE.format(first="import emotion_core.kobert\n" if ours else "")
    parts = [_HEAD, f"# {name}"]
    for language in LANGUAGES:
        opening = message("card.opening_ours" if ours else "card.opening", language)
        parts += [message(origin, language, **values), opening]
    (folder / FILE).write_text("\n\n".join([*parts, code, labels]) + "\n", "utf-8")
