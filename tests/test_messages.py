"""The catalogue: everything in both languages, nothing missing, nothing unused."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path

import pytest

from emotion_core.messages import LANGUAGES, EmotionError, catalogue, message, reason_of, shell_language

ROOT = Path(__file__).parents[1]
HANGUL = re.compile("[가-힣]")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", catalogue())
def test_entry_has_both_languages_with_the_same_values(key: str) -> None:
    entry = catalogue()[key]
    assert set(entry) == set(LANGUAGES)
    assert all(text.strip() for text in entry.values())
    assert placeholders(entry["ko"]) == placeholders(entry["en"])


@pytest.mark.parametrize("key", catalogue())
def test_each_language_is_itself(key: str) -> None:
    if key.startswith("example."):
        return  # Korean sentences, whoever reads them
    assert HANGUL.search(catalogue()[key]["ko"]), "no Hangul in the Korean text"
    quoted = re.sub(r'"[^"]*"|: 오늘.*$', "", catalogue()[key]["en"])
    assert not HANGUL.search(quoted), "Hangul in the English text"


def source() -> str:
    files = [ROOT / "app.py", *(ROOT / "emotion_core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
    return "\n".join(file.read_text("utf-8") for file in files)


def test_every_entry_is_used_and_every_use_has_an_entry() -> None:
    code = source()
    quoted = set(re.findall(r'"([a-z_]+\.[a-z_0-9]+(?:\.[a-z_]+)?)"', code))
    used = {key for key in catalogue() if f'"{key}"' in code or f'say("{key.removeprefix("cli.")}")' in code}
    assert set(catalogue()) - used == set()
    prefixes = {key.split(".")[0] for key in catalogue()}
    files = {"config.json", "model.safetensors", "run.json"}
    assert {q for q in quoted if q.split(".")[0] in prefixes} - set(catalogue()) - files == set()


def test_an_error_speaks_the_language_that_is_asked() -> None:
    error = EmotionError("error.device", device="tpu")
    assert "tpu" in error.text("ko") and "장치" in error.text("ko")
    assert "tpu" in error.text("en") and "device" in error.text("en")
    assert str(error) == error.text("ko")


def test_unknown_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        message("no.such", "ko")


@pytest.mark.parametrize(
    ("own", "lang", "expected"),
    [(None, "en_US.UTF-8", "en"), (None, "ko_KR.UTF-8", "ko"), (None, "C.UTF-8", "ko"), ("ko", "en_US.UTF-8", "ko"),
     ("en", "ko_KR.UTF-8", "en")],
)
def test_shell_language(monkeypatch: pytest.MonkeyPatch, own: str | None, lang: str, expected: str) -> None:
    for variable in ("EMOTION_LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LANG", lang)
    if own:
        monkeypatch.setenv("EMOTION_LANGUAGE", own)
    assert shell_language() == expected


def test_an_error_is_stored_as_json_and_a_librarys_reason_is_one_line() -> None:
    error = EmotionError("error.unwritable", folder=Path("/x"), reason="no", size=3)
    assert json.loads(json.dumps(error.stored)) == ["error.unwritable", {"folder": "/x", "reason": "no", "size": 3}]
    assert reason_of(ValueError("  first\nsecond")) == "first" and reason_of(ValueError()) == "ValueError"
    assert len(reason_of(ValueError("x" * 999))) == 200
