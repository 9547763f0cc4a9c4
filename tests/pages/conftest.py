"""AppTest and `st.navigation` beside a `pages/` folder."""

from __future__ import annotations

import pytest
from streamlit.runtime.pages_manager import PagesManager


@pytest.fixture(autouse=True)
def navigation_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep AppTest from running `pages/*.py` by itself on a rerun.

    The server stops looking for pages once the app has called `st.navigation`;
    AppTest forgets that before each run. It forgets it in this subclass only.
    """

    class ForgetfulPagesManager(PagesManager):
        pass

    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)
    monkeypatch.setattr("streamlit.testing.v1.app_test.PagesManager", ForgetfulPagesManager)
