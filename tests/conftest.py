"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion_core import EmotionClassifier, precision
from tests.tiny import save_tiny_model

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "weights" / "bundled"


@pytest.fixture(autouse=True)
def korean_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors speak Korean, whatever the machine's locale; the network of transformers is shut."""
    monkeypatch.setenv("EMOTION_LANGUAGE", "ko")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every machine computes in fp32, as one that measured bfloat16 to be no faster."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_CACHE", str(folder))
        yield


@pytest.fixture(autouse=True)
def remembered(exact: None) -> None:
    """What `exact` says, written anew for each test: the folder may be swept, the count of threads may change."""
    precision.remember(1.0)


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
