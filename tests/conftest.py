"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion_core import EmotionClassifier
from tests.tiny import save_tiny_model

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "weights" / "bundled"


@pytest.fixture(autouse=True)
def korean_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors speak Korean, whatever the machine's locale; the network of transformers is shut."""
    monkeypatch.setenv("EMOTION_LANGUAGE", "ko")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def exact() -> Iterator[None]:
    """Every machine computes in fp32, the servers and jobs that tests start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_PRECISION", "float32")
        yield


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, saved; not to be changed by a test."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> EmotionClassifier:
    """The tiny model, loaded."""
    return EmotionClassifier.load(tiny_folder, device="cpu")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `weights/` folder of this test's own."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("EMOTION_WEIGHTS", str(folder))
    return folder
