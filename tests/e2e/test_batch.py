"""What a person does on the batch page, in a real browser."""

from __future__ import annotations

import base64
import csv
import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect
from sklearn.metrics import accuracy_score, f1_score

from emotion_core import EmotionClassifier
from emotion_core.labels import LABELS
from emotion_core.tables import TableFile, detect
from tests.conftest import ROOT
from tests.e2e.conftest import Open
from tests.tables.files import delimited, locked_xlsx, raw_xlsx, xlsx

# A file dropped by hand arrives as a DataTransfer, which only the browser can make.
DROPPED = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    return transfer;
}"""
WORDS = ["비가 온다", "집에 가자", "밥을 먹었다", "회의가 길다", "꽃이 폈다", "문이 닫혔다", "차가 막힌다"]
ROWS = [[str(n), f"{WORDS[n % 7]} {n // 7 % 5}번", ("빡침" if n % 10 == 3 else LABELS[n % 7]), "=1+1" if n == 0 else ""]
        for n in range(70)]
NAMES = ["번호", "문장", "감정", "메모"]


@pytest.fixture
def page(open_page: Open) -> Page:
    return batch(open_page)


def batch(open_page: Open, **options: object) -> Page:
    """The batch page with the tiny model, which is quick."""
    page = open_page("/batch", **options)
    choose(page, page.get_by_test_id("stSidebar").get_by_role("combobox"), "tiny_model")
    return page


def drop(page: Page, name: str, content: bytes) -> None:
    transfer = page.evaluate_handle(DROPPED, [name, base64.b64encode(content).decode()])
    zone = page.get_by_test_id("stFileUploaderDropzone")
    for event in ("dragenter", "dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})


def choose(page: Page, box: Locator, option: str) -> None:
    """Pick an option by keyboard, once nothing on the page moves any more: a scroll closes the list: then again."""
    found = page.get_by_role("option", name=option)
    for patience in (5_000, 5_000, 60_000):
        page.locator("[data-test-script-state=notRunning]").wait_for()
        box.focus()
        page.keyboard.press("ArrowDown")
        try:
            found.click(timeout=patience)
            return
        except TimeoutError:
            page.keyboard.press("Escape")
    raise AssertionError(f"{option} could not be chosen")


def score(page: Page, name: str, content: bytes) -> None:
    drop(page, name, content)
    page.get_by_role("button", name=re.compile("분석 시작|Start scoring")).click()


def matrix(page: Page) -> list[str]:
    """The texts of the matrix' cells, row by row."""
    chart = page.get_by_test_id("stPlotlyChart").first
    chart.locator(".textpoint text").nth(48).wait_for()
    return chart.locator(".textpoint text").all_text_contents()


def click_cell(page: Page, truth: int, predicted: int) -> None:
    chart = page.get_by_test_id("stPlotlyChart").first
    chart.locator(".textpoint text").nth(7 * truth + predicted).scroll_into_view_if_needed()
    box = chart.locator(".textpoint text").nth(7 * truth + predicted).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)  # not on the number: the cell is larger
    page.mouse.click(box["x"] + 18, box["y"] + 18)


def found(page: Page) -> int:
    """How many sentences the list says it has."""
    return int(re.search(r"([\d,]+)문장, 확률", page.get_by_test_id("stMain").inner_text())[1].replace(",", ""))


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the tiny model says of ROWS."""
    from tests.tiny import save_tiny_model

    model = EmotionClassifier.load(save_tiny_model(tmp_path_factory.mktemp("models") / "tiny"), device="cpu")
    return [one.top.label for one in model.predict_many(row[1] for row in ROWS)]


def test_a_dropped_file_from_plan_to_download(page: Page, predicted: list[str], tmp_path: Path) -> None:
    drop(page, "감정 *1*.csv", delimited([*ROWS, ["70", " ", "슬픔", ""]], NAMES, delimiter=";").encode("cp949"))
    expect(page.get_by_text("인코딩 CP949, 구분 기호: 세미콜론")).to_be_visible()
    plan = page.get_by_test_id("stMain")
    for line in ("모두 71행, 4열", "정답이 있는 63행", "문장이 빈 1행", "되풀이되는 35행"):
        expect(plan).to_contain_text(line)
    expect(page.get_by_text("혼동 행렬")).to_have_count(0)  # nothing is scored before it was asked for
    choose(page, page.get_by_role("combobox", name=re.compile("빡침")), "분노")
    expect(plan).to_contain_text("모든 문장에 정답이 있어 70행")
    page.get_by_role("button", name="분석 시작").click()

    truth = ["분노" if row[2] == "빡침" else row[2] for row in ROWS]
    accuracy = accuracy_score(truth, predicted)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(f"{accuracy:.1%}")
    macro = f1_score(truth, predicted, average="macro")
    expect(page.get_by_test_id("stMetricValue").nth(1)).to_have_text(f"{macro:.1%}")
    expect(page.get_by_role("heading", name="감정 *1*.csv")).to_be_visible()  # as it is called, not as markdown
    counts = [str(sum(pair == (one, other) for pair in zip(truth, predicted, strict=True)))
              for one in LABELS for other in LABELS]
    assert matrix(page) == counts

    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert download.value.suggested_filename == "감정 1_emotions.csv"
    download.value.save_as(tmp_path / "back.csv")
    with (tmp_path / "back.csv").open(encoding="utf-8-sig", newline="") as file:
        names, *back = csv.reader(file)
    assert (tmp_path / "back.csv").read_bytes().startswith("\ufeff".encode()) and names[:5] == [*NAMES, "첫 번째 감정"]
    assert [row[4] for row in back] == [*predicted, ""]
    assert back[0][3] == "'=1+1" and [row[:3] for row in back[:70]] == [row[:3] for row in ROWS]
    with page.expect_download() as download:
        page.get_by_role("button", name="XLSX").click()
    assert zipfile.is_zipfile(download.value.path())
    with page.expect_download() as download:
        page.get_by_role("button", name="수치 (JSON)").click()
    assert json.loads(Path(download.value.path()).read_text("utf-8"))["accuracy"] == accuracy
    with page.expect_download() as download:
        page.get_by_role("button", name="그래프 (HTML)").click()
    drawn = Path(download.value.path()).read_text("utf-8")
    assert drawn.count("Plotly.newPlot(") == 6 and 'src="http' not in drawn  # opens without a network
    page.get_by_test_id("stPlotlyChart").first.hover()
    with page.expect_download() as download:
        page.locator(".modebar-btn").first.click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_clicked_cell_lists_its_sentences_and_all_survives_a_reload(page: Page) -> None:
    score(page, "a.csv", delimited(ROWS, NAMES).encode())
    counts = [int(cell) for cell in matrix(page)]
    fullest = max(range(49), key=counts.__getitem__)
    click_cell(page, *divmod(fullest, 7))
    page.wait_for_url("**true=**predicted=**")
    expect(page.get_by_text(f"{counts[fullest]}문장, 확률이 높은 순서")).to_be_visible()
    assert counts[fullest] != sum(counts)
    page.get_by_text("행 비율(%)").click()
    expect(page.get_by_test_id("stPlotlyChart").first).to_contain_text("100%" if max(counts) == sum(counts) else "%")
    page.get_by_label("이 글자가 든 문장").fill("번")
    page.get_by_label("이 글자가 든 문장").press("Enter")
    page.wait_for_url("**text=**")
    page.reload()
    assert all(cell.endswith("%") for cell in matrix(page))
    assert found(page) == counts[fullest]
    expect(page.get_by_label("이 글자가 든 문장")).to_have_value("번")
    choose(page, page.get_by_role("combobox", name="정답"), "모두")
    page.wait_for_url(lambda address: "true=" not in address and "predicted=" in address)
    click_cell(page, *divmod(fullest, 7))  # the same one again
    page.wait_for_url("**true=**")
    expect(page.get_by_label("이 글자가 든 문장")).to_have_value("")  # a cell lists all of its sentences


def test_a_job_goes_on_when_the_page_is_left_and_can_be_stopped(page: Page) -> None:
    rows = [[f"{WORDS[n % 7]} {n}", LABELS[n % 7]] for n in range(150_000)]
    score(page, "long.csv", delimited(rows).encode())
    bar = page.get_by_test_id("stProgress")
    expect(bar).to_contain_text("초당")
    page.reload()
    expect(bar).to_contain_text("초당")
    page.get_by_role("link", name="문장 감정 읽기").click()
    expect(page.get_by_role("heading", name="문장 감정 읽기")).to_be_visible()
    expect(bar).to_have_count(0)
    page.get_by_role("link", name="파일 분석").click()
    expect(bar).to_contain_text("남음")
    other = page.context.new_page()  # another tab knows nothing but what is on the disk
    other.goto(page.url.partition("?")[0])
    row = other.locator("[class*=st-key-job-]", has_text="long.csv")
    expect(row).to_contain_text("진행 중")
    assert row.get_by_role("button", name="지우기").count() == 0
    row.get_by_role("button", name="열기").click()
    other.get_by_role("button", name="멈추기").click()
    expect(page.get_by_text("중간에 멈췄습니다")).to_be_visible()
    expect(page.get_by_text("문장, 확률이 높은 순서")).to_be_visible()
    text = page.get_by_test_id("stMain").inner_text()
    done = int(re.search(r"150,000행 중 ([\d,]+)행", text)[1].replace(",", ""))
    assert 0 < done < 150_000 and done == found(page)
    page.get_by_role("button", name=f"이어서 분석하기 (남은 {150_000 - done:,}행)").click()
    expect(bar).to_be_visible()
    page.get_by_role("button", name="멈추기").click()
    page.get_by_role("button", name="다른 파일 분석하기").click()
    row = page.locator("[class*=st-key-job-]", has_text="long.csv")
    row.get_by_role("button", name="지우기").click()
    page.get_by_role("button", name="완전히 지우기").click()
    expect(row).to_have_count(0)
    other.reload()
    expect(other.get_by_text("그 작업")).to_be_visible()


def test_a_large_table_is_made_while_the_page_stays_usable(page: Page, tmp_path: Path) -> None:
    rows = [[f"{WORDS[n % 7]} {n}", LABELS[n % 7]] for n in range(20_001)]
    score(page, "large.csv", delimited(rows).encode())
    page.get_by_role("button", name="XLSX 파일 만들기").click()
    expect(page.get_by_text(re.compile("XLSX 파일을 (만드는|만들|마무리)"))).to_be_visible()
    page.get_by_label("이 글자가 든 문장").fill("비가")
    page.get_by_label("이 글자가 든 문장").press("Enter")
    page.wait_for_url("**text=**")
    expect(page.get_by_role("button", name="CSV 파일 만들기")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="XLSX 내려받기").click()  # as soon as it is there
    download.value.save_as(tmp_path / "back.xlsx")
    table = TableFile(detect(tmp_path / "back.xlsx"))
    assert [row[:2] for row in table.rows()] == rows and table.columns[2] == "첫 번째 감정"
    expect(page.get_by_test_id("stDownloadButtonError")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("button", name="XLSX 내려받기")).to_be_visible()


def test_a_file_without_labels_in_english(open_page: Open) -> None:
    page = batch(open_page, locale="en-US", dark=True)
    page.set_viewport_size({"width": 390, "height": 800})
    score(page, "notes.txt", "\n".join(row[1] for row in ROWS).encode("utf-16"))
    expect(page.get_by_role("heading", name="Emotions", exact=True)).to_be_visible()
    expect(page.get_by_text("70 of 70 rows scored")).to_be_visible()
    expect(page.get_by_role("combobox", name="True")).to_have_count(0)
    expect(page.get_by_test_id("stMetric")).to_have_count(0)
    assert not re.search("[가-힣]", page.get_by_test_id("stMain").inner_text())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_sample_is_one_click_away_and_an_upload_outlives_a_page_switch(page: Page) -> None:
    page.get_by_role("button", name="예제 파일로 해 보기").click()
    with (ROOT / "emotion_core" / "samples" / "test.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = sum(1 for _ in csv.DictReader(lines))
    expect(page.get_by_text(f"모두 {rows:,}행")).to_be_visible()
    expect(page.get_by_role("button", name="분석 시작")).to_be_visible()
    drop(page, "mine.csv", delimited(ROWS, NAMES).encode())
    expect(page.get_by_text("모두 70행")).to_be_visible()
    page.get_by_role("link", name="모델 관리").click()
    page.get_by_role("link", name="파일 분석").click()
    expect(page.get_by_text("앞서 올린 mine.csv 파일입니다.")).to_be_visible()
    expect(page.get_by_text("모두 70행")).to_be_visible()
    page.get_by_role("button", name="치우기").click()
    expect(page.get_by_role("button", name="예제 파일로 해 보기")).to_be_visible()


BAD: dict[str, tuple[str, bytes, str, str]] = {
    "empty": ("a.csv", b"\xef\xbb\xbf\r\n", "비어 있습니다", "is empty"),
    "header only": ("a.csv", delimited([]).encode(), "제목 줄만", "no rows"),
    "binary": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "표가 아닙니다", "not a table"),
    "a picture by its name": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "표가 아닙니다", "not a table"),
    "locked": ("a.xlsx", locked_xlsx(), "암호", "password"),
    "damaged": ("a.xlsx", xlsx()[:-200], "손상", "damaged"),
    "bomb": ("a.xlsx", raw_xlsx('<row r="1"><c r="A1"><v>1</v></c></row>', padding=bytes(800_000_000)),
             "700MB", "700 MB"),
    "300 columns": ("a.csv", delimited([["가"] * 300], [f"열{n}" for n in range(300)]).encode(), "300개",
                    "300 columns"),
    "5 MB field": ("a.csv", f"문장,감정\n{'가' * 1_700_000},슬픔\n".encode(), "1,000,000자", "1,000,000 characters"),
    "unclosed quote": ("a.csv", '문장,감정\n좋다,행복\n"싫다,분노\n그래,중립\n'.encode(), "따옴표", "quotation mark"),
    "nuls": ("a.csv", bytes(5000), "비어 있습니다", "is empty"),
    "labels unknown": ("a.csv", delimited([["좋다", "별로"], ["싫다", "보통"]]).encode(), "별로, 보통", "별로, 보통"),
    "web page": ("a.xls", "<html><table><tr><td>문장</td></tr></table></html>".encode(), "웹 페이지", "web page"),
}


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_bad_files_get_one_sentence_each(open_page: Open, locale: str) -> None:
    page = batch(open_page, locale=locale)
    for case, (name, content, korean, english) in BAD.items():
        drop(page, f"{case} {name}", content)
        said = page.get_by_test_id("stAlert")
        expect(said.filter(has_text=korean if locale == "ko-KR" else english)).to_be_visible()
        expect(said).to_have_count(1)  # that of the file before is gone
        if case != "labels unknown":
            expect(said).to_contain_text(f"{case} {name}")  # by its own name
        expect(page.get_by_role("button", name=re.compile("분석 시작|Start scoring"))).to_have_count(0)
    drop(page, "good.csv", delimited(ROWS, NAMES).encode())  # the server is up, and nothing is left of the others
    expect(page.get_by_role("button", name=re.compile("분석 시작|Start scoring"))).to_be_visible()
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_a_file_over_the_limit_is_refused_by_the_browser(page: Page, tmp_path: Path) -> None:
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(300_000_001)
    page.locator("input[type=file]").set_input_files(tmp_path / "big.csv")
    said = "getComputedStyle(document.querySelector('.st-key-table-upload'), '::after').content"
    page.wait_for_function(f"{said}.includes('300MB보다')")
    expect(page.get_by_role("button", name="분석 시작")).to_have_count(0)
