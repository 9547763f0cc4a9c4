"""The live page's logic, through streamlit's AppTest on a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from emotion_core import EmotionClassifier
from emotion_core.messages import message
from emotion_core.phrasing import describe
from tests.conftest import ROOT
from tests.tiny import save_tiny_model


@pytest.fixture
def app(tiny_folder: Path, weights: Path) -> AppTest:
    """The app on two tiny models, "bundled" and "other"."""
    shutil.copytree(tiny_folder, weights / "bundled")
    save_tiny_model(weights / "other", seed=5)
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()


def analyse(app: AppTest, text: str) -> AppTest:
    app.text_area[0].set_value(text)
    return next(button for button in app.button if button.label == message("live.analyse", "ko")).click().run()


def headings(app: AppTest) -> list[str]:
    return [element.value.removeprefix("#### ") for element in app.markdown if element.value.startswith("#### ")]


def test_empty_state(app: AppTest) -> None:
    assert not app.exception and not app.error and not app.warning
    assert message("live.history_empty", "ko") in [caption.value for caption in app.caption]
    assert headings(app) == []


def test_the_model_is_warm_before_the_first_sentence(tiny_folder: Path, weights: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []
    monkeypatch.setattr(EmotionClassifier, "warm_up", lambda self: warmed.append(self.name))
    shutil.copytree(tiny_folder, weights / "bundled")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert warmed == ["bundled"]
    analyse(app, "아파요")
    assert warmed == ["bundled"]


def test_one_sentence(app: AppTest, tiny: EmotionClassifier) -> None:
    analyse(app, "아파요")
    assert headings(app) == [describe(tiny.predict("아파요"), "ko")]
    assert "아파요" in [text.value for text in app.text]
    assert not app.warning and not app.error


def test_several_lines_are_several_sentences(app: AppTest, tiny: EmotionClassifier) -> None:
    analyse(app, "아파요\n\n와 대박\r\n  \n무서워")
    assert headings(app) == [describe(tiny.predict(text), "ko") for text in ("아파요", "와 대박", "무서워")]
    assert len(app.dataframe[-1].value) == 3


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "\u200b", "\u3164"])
def test_nothing_visible_is_said_and_not_scored(app: AppTest, text: str) -> None:
    analyse(app, text)
    assert [warning.value for warning in app.warning] == [message("error.sentence.empty", "ko")]
    assert headings(app) == []
    analyse(app, "아파요")
    assert not app.warning


def test_html_and_markdown_are_shown_as_typed(app: AppTest) -> None:
    typed = "<script>alert(1)</script> **굵게** $x$ :smile: # 제목"
    analyse(app, typed)
    assert typed in [text.value for text in app.text]
    assert not any("alert" in element.value or "굵게" in element.value for element in app.markdown)


def test_ten_thousand_characters(app: AppTest) -> None:
    analyse(app, "나는오늘" * 2500)
    assert message("warning.truncated", "ko", tokens=32) in [warning.value for warning in app.warning]
    assert max(len(text.value) for text in app.text) < 500
    assert "9,600" in app.text[0].value


def test_more_lines_than_are_read(app: AppTest) -> None:
    analyse(app, "\n".join(f"문장 {i}" for i in range(130)))
    assert message("live.too_many", "ko", lines=100) in [warning.value for warning in app.warning]
    assert len(app.dataframe[-1].value) == 100
    assert len(headings(app)) == 10


def test_an_example_is_analysed_at_a_click(app: AppTest, tiny: EmotionClassifier) -> None:
    sentence = message("example.3", "ko")
    next(button for button in app.button if button.label == sentence).click().run()
    assert app.text_area[0].value == sentence
    assert headings(app) == [describe(tiny.predict(sentence), "ko")]


def test_history_grows_newest_first_and_clears(app: AppTest) -> None:
    analyse(app, "아파요")
    analyse(app, "와 대박")
    assert list(app.dataframe[-1].value["문장"]) == ["와 대박", "아파요"]
    app.run()
    assert len(app.dataframe[-1].value) == 2, "a rerun analysed again"
    next(button for button in app.button if button.label == message("live.clear", "ko")).click().run()
    assert not app.dataframe and headings(app) == []


def test_switching_the_language_says_the_same_in_english(app: AppTest, tiny: EmotionClassifier) -> None:
    analyse(app, "아파요")
    app.session_state["language"] = "en"
    app.run()
    assert headings(app) == [describe(tiny.predict("아파요"), "en")]
    assert app.title[0].value == message("live.title", "en")


def test_choosing_another_model(app: AppTest, weights: Path) -> None:
    assert app.selectbox[0].options == ["bundled", "other"]
    app.selectbox[0].set_value("other").run()
    analyse(app, "아파요")
    expected = EmotionClassifier.load(weights / "other").predict("아파요")
    assert headings(app) == [describe(expected, "ko")]
    assert list(app.dataframe[-1].value["모델"]) == ["other"]


def test_the_url_keeps_the_model_and_no_stranger(weights: Path) -> None:
    for seed, name in enumerate(("bundled", "other")):
        save_tiny_model(weights / name, seed=seed)

    def opened(**query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    app = opened(model="other")
    assert app.selectbox[0].value == "other" and app.query_params["model"] == "other"
    app.selectbox[0].set_value("bundled").run()
    assert "model" not in app.query_params
    app.selectbox[0].set_value("other").run()
    assert app.query_params["model"] == "other"
    for stranger in ("../other", "gone", ""):
        app = opened(model=stranger)
        assert app.selectbox[0].value == "bundled" and "model" not in app.query_params and not app.exception


def test_a_damaged_model_is_one_sentence_and_another_can_be_chosen(app: AppTest, weights: Path) -> None:
    (weights / "other" / "model.safetensors").write_bytes(b"broken")
    app.selectbox[0].set_value("other").run()
    assert len(app.error) == 1 and "손상" in app.error[0].value and not app.exception
    app.selectbox[0].set_value("bundled").run()
    assert not app.error and app.text_area


def test_no_model_at_all(weights: Path) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert [error.value for error in app.error] == [message("error.model.none", "ko")]
    assert not app.exception
