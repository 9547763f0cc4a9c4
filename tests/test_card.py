"""The README.md of a saved model."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from emotion_core import card
from emotion_core.messages import message


def test_a_tokenizer_that_transformers_has_needs_no_import_of_ours(tiny_folder: Path, tmp_path: Path) -> None:
    card.write(tmp_path, "mine", AutoTokenizer.from_pretrained(tiny_folder), "card.trained")
    text = (tmp_path / "README.md").read_text("utf-8")
    for language in ("ko", "en"):
        assert message("card.trained", language) in text and message("card.opening", language) in text
    assert "import emotion_core" not in text and "6 혐오 (disgust)" in text
