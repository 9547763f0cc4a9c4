"""Guessing which column is which: the names of real files, then content."""

from __future__ import annotations

import pytest

from emotion_core.tables import guess_columns
from emotion_core.tables.columns import find_header

TEXTS = ["오늘 정말 행복해요", "너무 무서웠어", "그냥 그래", "아 짜증나"]
LABELS = ["행복", "공포", "중립", "분노"]
AIHUB_TALK = ["", "연령", "성별", "상황키워드", "신체질환", "감정_대분류", "감정_소분류", "사람문장1", "시스템문장1",
              "사람문장2"]
TALK_ROW = ["1", "청년", "여성", "진로", "해당없음", "분노", "노여워하는", "일은 왜 해도 해도 끝이 없을까? 화가 난다.",
            "많이 힘드시겠어요. 주위에 의논할 상대가 있나요?", "그냥 내가 해결하는 게 나아."]
VOICE = ["wav_id", "발화문", "상황", "1번 감정", "1번 감정세기", "2번 감정", "나이", "성별"]
VOICE_ROW = ["5e258fd1", "헐! 나 이벤트에 당첨 됐어.", "happiness", "Happiness", "2", "Neutral", "27", "male"]


@pytest.mark.parametrize("name", [
    "Sentence", "sentence", " SENTENCE ", "text", "Text", "문장", "내용", "발화", "발화문", "댓글", "리뷰", "review",
    "Reviews", "comment", "document", "본문", "제목", "제목?", "사람문장1", "review_text", "글", "content", "텍스트",
    "원문", "대사", "문장(한글)",
])
@pytest.mark.parametrize("label", [
    "Emotion", "emotion", "label", "Label", "감정", "감정_대분류", "레이블", "라벨", "정답", "감정 분류",
    "emotion_label", "[감정]",
])
def test_names(name: str, label: str) -> None:
    names = ["번호", label, "메모", name, "날짜"]
    rows = [[str(n), emotion, "이 칸은 아주 긴 메모입니다 문장이 아니고요", text, "2026-11-24"]
            for n, (text, emotion) in enumerate(zip(TEXTS, LABELS, strict=True))]
    assert guess_columns(names, rows) == (3, 1)


@pytest.mark.parametrize(("names", "row", "expected"), [
    (["Sentence", "Emotion", "Unnamed: 2", "Unnamed: 3", "Unnamed: 4", "공포", "5468"],
     ["언니 동생으로 부르는게 맞는 일인가요..??", "공포", "", "", "", "놀람", "5898"], (0, 1)),
    (AIHUB_TALK, TALK_ROW, (7, 5)),
    (VOICE, VOICE_ROW, (1, 3)),
    (["id", "document", "label"], ["8112052", "어릴때보고 지금다시봐도 재밌어요", "1"], (1, 2)),
    (["Q", "A", "label"], ["12시 땡!", "하루가 또 가네요.", "0"], (1, 2)),
    (["review_id", "review", "stars"], ["r1", "정말 맛있어요", "5"], (1, None)),
    (["comment_count", "title", "body"], ["12", "제목입니다", "본문은 훨씬 더 깁니다 정말로"], (2, None)),
    (["제목", "내용"], ["안녕", "오늘은 날씨가 좋네요"], (1, None)),
    (["(A)"], ["오늘 좋다"], (0, None)),
    (["(A)", "(B)"], ["슬픔", "오늘 눈물이 난다"], (1, 0)),
    (["감정", "감정 설명"], ["슬픔", "오늘 눈물이 난다"], (1, 0)),
    (["문장", "Emotion", "상황"], ["오늘 좋다", "", "행복"], (0, 2)),  # named, and empty
    (["문장", "예측 감정", "감정 확률"], ["오늘 좋다", "행복", "0.9"], (0, None)),  # a model's word is no truth
    (["문장", "첫 번째 감정", "첫 번째 확률", "두 번째 감정"], ["오늘 좋다", "행복", "0.9", ""], (0, None)),
    (["text", "First emotion", "emotion"], ["오늘 좋다", "행복", "슬픔"], (0, 2)),
])
def test_real_tables(names: list[str], row: list[str], expected: tuple[int, int | None]) -> None:
    assert guess_columns(names, [row] * 5) == expected


def test_a_scale_is_no_emotion_but_ids_are() -> None:
    names = ["리뷰", "별점"]
    assert guess_columns(names, [["좋아요", str(stars)] for stars in (5, 4, 1, 3, 5)]) == (0, None)
    assert guess_columns(names, [["좋아요", f"{number}.0"] for number in (5, 4, 0, 3, 6)]) == (0, 1)
    assert guess_columns(["a", "b"], [["좋아요", label] for label in [*LABELS, "몰라"]]) == (0, 1)


def test_nothing_to_guess_from() -> None:
    assert guess_columns(["a", "b", "c"], []) == (0, None)
    assert guess_columns(["문장", "감정"], []) == (0, 1)
    assert guess_columns(["감정"], [["슬픔"]]) == (0, None)


@pytest.mark.parametrize(("rows", "expected"), [
    ([["Sentence", "Emotion"], ["좋다", "행복"]], 0),
    ([["이름", "값"], ["좋다", "행복"], ["싫다", "분노"]], 0),
    ([["좋다", "행복"], ["싫다", "분노"]], None),
    ([["오늘 눈이 온다.", "모름"], ["싫다", "모름"]], None),
    ([["화났다", "짜증"], ["싫다", "짜증"]], None),  # the same label again
    ([["17", "오늘"], ["18", "내일"]], None),
    ([["아주 긴 문장이 여기에 이렇게 있다", "x"], ["y", "z"]], None),
    ([["좋다"], ["싫다"]], None),
    ([["문장"], ["싫다"]], 0),
    ([["2024년 결과"], ["작성자", "홍길동"], ["번호", "문장", "감정"], ["1", "좋다", "행복"]], 2),
    ([["Sentence", "Emotion"]], 0),
    ([], None),
    ([["감정", "문장"], ["문장", "감정"]], 0),
    ([["내용이 좋아요", "행복"], ["댓글이 나빠요", "분노"]], None),
])
def test_header(rows: list[list[str]], expected: int | None) -> None:
    assert find_header(rows) == expected
