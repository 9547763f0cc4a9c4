"""What a person does on the live page, in a real browser."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from emotion_core import EmotionClassifier
from emotion_core.labels import COLOURS
from emotion_core.phrasing import describe
from tests.e2e.conftest import Open

CHARTS = ".js-plotly-plot:visible"


@pytest.fixture(scope="module")
def bundled() -> EmotionClassifier:
    return EmotionClassifier.load("bundled")


def type_in(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)


def bars(page: Page, chart: int = 0) -> list[str]:
    """The colours of a chart's bars, from the top."""
    page.locator(f"{CHARTS} .point path").first.wait_for()
    styles = page.locator(CHARTS).nth(chart).locator(".point path").evaluate_all(
        "paths => paths.map(path => getComputedStyle(path).fill)"
    )
    return ["#{:02X}{:02X}{:02X}".format(*map(int, re.findall(r"\d+", style)[:3])) for style in styles]


def test_a_typed_sentence_is_answered(open_page: Open, bundled: EmotionClassifier) -> None:
    page = open_page()
    expect(page.locator(CHARTS)).to_have_count(0)
    type_in(page, "아파요")
    page.get_by_role("button", name="감정 읽기").click()
    answer = bundled.predict("아파요")
    expect(page.get_by_role("heading", name=describe(answer, "ko"))).to_be_visible()
    named = [answer.top, *([answer.second] if answer.second else [])]
    assert bars(page) == [COLOURS[score.label] for score in named]
    expect(page.locator(CHARTS)).to_contain_text(f"{answer.top.probability:.1%}")
    assert page.get_by_text("Press Ctrl+Enter").count() == 0 or not page.get_by_text("Press Ctrl+Enter").is_visible()


def test_what_draws_charts_is_there_before_the_first_answer(open_page: Open) -> None:
    page = open_page()
    scripts = "performance.getEntriesByType('resource').filter(one => /plotly/i.test(one.name)).map(one => one.name)"
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    expect(page.locator(CHARTS)).to_have_count(0)
    before = page.evaluate(scripts)
    assert before
    type_in(page, "아파요")
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.locator(CHARTS)).to_have_count(1)
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    assert page.evaluate(scripts) == before


def test_ctrl_enter_and_several_lines(open_page: Open, bundled: EmotionClassifier) -> None:
    page = open_page()
    sentences = ["ㅋㅋㅋ개웃겨", "회의는 오후 3시에 시작합니다", "너무 무서워서 눈을 감았어"]
    type_in(page, "\n".join(sentences))
    page.get_by_role("textbox").press("Control+Enter")
    for sentence in sentences:
        expect(page.get_by_role("heading", name=describe(bundled.predict(sentence), "ko")).first).to_be_visible()
    expect(page.locator(CHARTS)).to_have_count(3)


def test_markup_is_shown_as_typed_and_never_rendered(open_page: Open) -> None:
    page = open_page()
    typed = "<img src=x onerror=\"document.title='owned'\"> **굵게** $x^2$ :smile: <b>안녕</b>"
    type_in(page, typed)
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.get_by_test_id("stText").get_by_text(typed, exact=True)).to_be_visible()
    assert page.locator("img[src=x], .katex").count() == 0
    assert page.title() != "owned"


def test_an_example_and_all_seven(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="드디어 합격했어! 꿈만 같아").click()
    expect(page.get_by_role("heading", name=re.compile("감정은 행복"))).to_be_visible()
    page.get_by_text("일곱 감정 모두 보기").click()
    expect(page.get_by_test_id("stExpander").get_by_test_id("stDataFrame")).to_be_visible()


def test_nothing_to_read_is_said(open_page: Open) -> None:
    page = open_page()
    for text in ("", "     ", "\u3164"):
        type_in(page, text)
        page.get_by_role("button", name="감정 읽기").click()
        expect(page.get_by_role("alert")).to_contain_text("문장이 비어 있습니다")
        expect(page.locator(CHARTS)).to_have_count(0)
        page.reload()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_emoji_and_ten_thousand_characters(open_page: Open) -> None:
    page = open_page()
    type_in(page, "🥰😂👨‍👩‍👧")
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.locator(CHARTS)).to_have_count(1)
    type_in(page, "나는 오늘 너무 슬프다 " * 900)
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.get_by_role("alert")).to_contain_text("앞부분만 읽었습니다")
    expect(page.get_by_role("heading", name=re.compile("감정은 슬픔"))).to_be_visible()


def test_history_downloads_safe_for_a_spreadsheet_and_clears(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    for sentence in ("=1+1 진짜 화나", "오늘 정말 행복해요"):
        type_in(page, sentence)
        page.get_by_role("button", name="감정 읽기").click()
        expect(page.get_by_test_id("stText").get_by_text(sentence, exact=True)).to_be_visible()
    page.locator("[data-test-script-state=notRunning]").wait_for()  # the file to download is new too
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV로 내려받기").click()
    file = tmp_path / "history.csv"
    download.value.save_as(file)
    assert file.read_bytes().startswith("\ufeff".encode())
    table = pd.read_csv(file)
    assert list(table["문장"]) == ["'=1+1 진짜 화나", "오늘 정말 행복해요"]
    assert table["첫 번째 감정"].iloc[1] == "행복"
    page.get_by_role("button", name="기록 지우기").click()
    expect(page.get_by_text("아직 읽은 문장이 없습니다")).to_be_visible()
    expect(page.locator(CHARTS)).to_have_count(0)


def test_english_by_the_browser_and_korean_by_the_switch(open_page: Open) -> None:
    page = open_page(locale="en-US")
    expect(page.get_by_role("heading", name="Read an emotion")).to_be_visible()
    type_in(page, "너무 무서워요")
    page.get_by_role("button", name="Analyse").click()
    expect(page.get_by_role("heading", name=re.compile("strongest emotion is fear"))).to_be_visible()
    hangul = re.compile("[가-힣]")
    said = page.get_by_test_id("stMain").inner_text().replace("너무 무서워요", "")
    examples = page.locator(".st-key-live-examples").inner_text()
    for line in examples.splitlines():
        said = said.replace(line, "")
    assert not hangul.search(said), said
    page.get_by_test_id("stSidebar").get_by_text("한국어").click()
    expect(page.get_by_role("heading", name=re.compile("감정은 공포"))).to_be_visible()


def test_another_model_is_named_and_kept(open_page: Open) -> None:
    page = open_page()
    page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").click()
    page.get_by_role("option", name="tiny_model").click()
    type_in(page, "안녕")
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.get_by_text("사용한 모델: tiny_model")).to_be_visible()
    expect(page.get_by_text("사용한 모델: bundled")).to_have_count(0)
    page.wait_for_url("**model=tiny_model")
    page.reload()
    expect(page.get_by_test_id("stSidebar").get_by_role("combobox")).to_have_value("tiny_model")
    page.get_by_role("link", name="파일 분석").click()
    page.wait_for_url("**/batch?model=tiny_model")
    expect(page.get_by_test_id("stSidebar").get_by_role("combobox")).to_have_value("tiny_model")


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_needs_no_sideways_scrolling(open_page: Open, dark: bool) -> None:
    page = open_page(width=390, dark=dark)
    type_in(page, "띄어쓰기없이아주길게쓴문장도화면밖으로나가지않아야합니다정말로그래야만합니다" * 2)
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.locator(CHARTS)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth <= element.clientWidth")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [("evil.example", "http://evil.example", 403), ("127.0.0.1", "http://evil.example", 403), ("127.0.0.1", None, 101)],
)
def test_another_site_may_not_speak_to_the_server(server: str, host: str, origin: str | None, status: int) -> None:
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=20)
    connection.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in {
        "Host": host, "Origin": origin or server, "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()
