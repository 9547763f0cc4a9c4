"""The training page's logic, through streamlit's AppTest on a tiny model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from emotion_core import runs
from emotion_core.messages import message
from tests.conftest import ROOT


@pytest.fixture
def app(tiny_folder: Path, weights: Path) -> AppTest:
    shutil.copytree(tiny_folder, weights / "bundled")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return app.switch_page("pages/training.py").run()


def test_x(app):
    print(app)
    assert not app.exception
    app.segmented_control
