"""KoBERT's tokenizer against an independent restatement of SKT's rules, and its files in every layout."""

from __future__ import annotations

import io
import os
import pickle
import random
import threading
import unicodedata
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import AutoTokenizer, BertModel

import emotion_core.kobert as kobert
from emotion_core import EmotionError
from emotion_core.kobert import KoBERTTokenizer, read_tokenizer
from tests.tiny_kobert import SAMPLES, pieces, save_tiny_kobert, tiny_config

HARD = [
    "1,000원짜리 2,500개", "10,000,000원, 그리고 3,", "가격은１，０００원", "12, 34,5",
    "나이는 2,", ",,,", "1,", "a1,b2,",
    unicodedata.normalize("NFD", "오늘 정말 행복해요 값싼 뷁"), "café naïve Ångström",
    "ㅋㅋㅋㅠㅠ ㅇㅇ", "😀😭 좋아요👍🏽",
    "ＦＵＬＬ　ｗｉｄｔｈ！",
    "탭\t과\n줄\r\n바꿈   많은 공백 ", "``따옴표'' ''둘''", "½ ㎏ ① Ⅷ ﬁ", "がぎぐ 漢字 한자漢字",
    "\u1112\u1161\u11ab \u1112 \u1161\u11ab \u11ab\u1100 \u119e\ua960 \uffa1\uffc2", "[그냥]\u3164\uffa0괄호",
    "zero\u200bwidth\ufeff", "x" * 300, "가" * 200, "٣,٤ ²,", "[그냥] 괄호", "▁밑줄▁ ▁1,", "", " ", "한", "!",
]


def expected_ids(text: str) -> list[int]:
    """SKT's rules, restated from its documentation: one string in, ids with [CLS] and [SEP] out."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces())
    text = " ".join(text.strip().split())
    for quote in ("``", "''"):
        text = text.replace(quote, '"')
    kept = [c for c in unicodedata.normalize("NFKD", text) if unicodedata.combining(c) == 0]
    found: list[str] = []
    for piece in processor.EncodeAsPieces("".join(kept)):
        if len(piece) > 1 and piece.endswith(",") and piece[-2].isdigit():
            again = processor.EncodeAsPieces(piece[:-1].replace("▁", ""))
            if not piece.startswith("▁") and again[0].startswith("▁"):
                rest = again[0][1:]
                again = ([rest] if rest else []) + again[1:]
            found += [*again, ","]
        else:
            found.append(piece)
    return [2, *(processor.PieceToId(piece) for piece in found), 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_kobert(tmp_path_factory.mktemp("kobert") / "snapshot")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> KoBERTTokenizer:
    return read_tokenizer(folder)


def mixed_sentences(count: int) -> list[str]:
    """Hard pieces put together at random, with sample sentences between."""
    chance = random.Random(5)
    lines = SAMPLES.read_text("utf-8-sig").splitlines()[1:]
    parts = [part for part in HARD if len(part) < 60] + chance.sample(lines, 300)
    return ["".join(chance.choice(["", " ", "\t"]) + chance.choice(parts) for _ in range(chance.randint(1, 4)))
            for _ in range(count)]


@pytest.mark.parametrize("text", HARD)
def test_hard_text_has_the_restated_ids(tokenizer: KoBERTTokenizer, text: str) -> None:
    assert tokenizer(text)["input_ids"] == expected_ids(text)


def test_mixed_sentences_have_the_restated_ids_alone_and_in_a_batch(tokenizer: KoBERTTokenizer) -> None:
    sentences = mixed_sentences(1500)
    restated = [expected_ids(text) for text in sentences]
    assert any(b != [2, *sentencepiece.SentencePieceProcessor(model_proto=pieces()).encode(a), 3]
               for a, b in zip(sentences, restated, strict=True)), "the rules must matter for these"
    assert tokenizer(sentences)["input_ids"] == restated
    assert [tokenizer(text)["input_ids"] for text in sentences[:100]] == restated[:100]


def test_pads_right_and_cuts_with_the_last_sep_kept(tokenizer: KoBERTTokenizer) -> None:
    sentences = ["안녕", "오늘은 날씨가 정말 좋아서 산책을 했어요"]
    batch = tokenizer(sentences, padding="max_length", truncation=True, max_length=8)
    assert [len(row) for row in batch["input_ids"]] == [8, 8]
    assert batch["input_ids"][0][-1] == 1 and batch["attention_mask"][0][-1] == 0
    assert [row[0] for row in batch["input_ids"]] == [2, 2] and batch["input_ids"][1][-1] == 3
    pair = tokenizer("안녕", "잘 가")
    assert pair["token_type_ids"] == [0] * (pair["input_ids"].index(3) + 1) + [1] * (
        len(pair["input_ids"]) - pair["input_ids"].index(3) - 1)


@pytest.mark.parametrize("text", ["[SEP]", "앞[CLS]뒤", "[MASK] [PAD]", "[sep] [SEP][SEP]"])
def test_typed_special_tokens_stay_text(tokenizer: KoBERTTokenizer, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == 2 and ids[-1] == 3
    assert not {1, 2, 3, 4} & set(ids[1:-1])


def test_special_tokens_that_the_vocabulary_would_find_by_itself_stay_text(tmp_path: Path) -> None:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["가 나 다 [MASK] 라 마 바"] * 50), vocab_size=40, model_writer=written,
        model_type="char",
        hard_vocab_limit=False, unk_id=0, pad_id=1, bos_id=2, eos_id=3, unk_piece="[UNK]", pad_piece="[PAD]",
        bos_piece="[CLS]", eos_piece="[SEP]", user_defined_symbols=["[MASK]"], minloglevel=2)
    (tmp_path / "spiece.model").write_bytes(written.getvalue())
    tokenizer = KoBERTTokenizer(str(tmp_path / "spiece.model"))
    assert tokenizer.sp_model.encode("가 [MASK]")[-1] == 4
    assert 4 not in tokenizer("가 [MASK]")["input_ids"]


def test_a_piece_of_digit_and_comma_inside_a_word_gets_no_underline(tmp_path: Path) -> None:
    """In a vocabulary of single letters the digit alone is read as ▁ and digit: SKT's rule drops that ▁."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["가 나 다 1 2 , 라 마 바"] * 50), vocab_size=40, model_writer=written,
        model_type="char", hard_vocab_limit=False, unk_id=0, pad_id=1, bos_id=2, eos_id=3, unk_piece="[UNK]",
        pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", control_symbols=["[MASK]"],
        user_defined_symbols=["1,", "▁2,"], minloglevel=2)
    (tmp_path / "spiece.model").write_bytes(written.getvalue())
    tokenizer = KoBERTTokenizer(str(tmp_path / "spiece.model"))
    assert tokenizer.tokenize("가1,나") == ["▁", "가", "1", ",", "나"]
    assert tokenizer.tokenize("가 2,나") == ["▁", "가", "▁", "2", ",", "나"]


def test_auto_tokenizer_opens_a_saved_folder(tokenizer: KoBERTTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    tiny_config().save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(again, KoBERTTokenizer) and again.padding_side == "right"
    assert again(HARD)["input_ids"] == tokenizer(HARD)["input_ids"]
    assert again("[SEP]")["input_ids"] == tokenizer("[SEP]")["input_ids"]


def test_decoding_gives_the_sentence_back(tokenizer: KoBERTTokenizer) -> None:
    text = "오늘 정말 행복해요"
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_threads_share_one(tokenizer: KoBERTTokenizer) -> None:
    sentences = mixed_sentences(200)
    lengths = [8, 16, 32, 64, 12, 20]
    alone = {length: tokenizer(sentences, truncation=True, max_length=length)["input_ids"] for length in lengths}
    found: dict[int, bool] = {}

    def work(length: int) -> None:
        found[length] = all(tokenizer(sentences, truncation=True, max_length=length)["input_ids"] == alone[length]
                            for _ in range(4))

    threads = [threading.Thread(target=work, args=(length,)) for length in lengths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(lengths, True)


def test_sampling_varies_for_training_and_never_reaches_the_saved_folder(
        tokenizer: KoBERTTokenizer, tmp_path: Path) -> None:
    text = "오늘은 정말 행복한 하루였어요 고맙습니다"
    sampling = tokenizer.with_dropout(0.3)
    assert len({tuple(sampling(text)["input_ids"]) for _ in range(20)}) > 1
    assert len({tuple(tokenizer(text)["input_ids"]) for _ in range(20)}) == 1
    tokenizer.save_pretrained(tmp_path)
    assert "enable_sampling" not in (tmp_path / "tokenizer_config.json").read_text("utf-8")


@pytest.mark.parametrize("name", ["spiece.model", "kobert_news_wiki_ko_cased-1087f8699e.spiece",
                                  "tokenizer_78b3253a26.model"])
def test_pieces_are_found_under_every_name(tmp_path: Path, name: str) -> None:
    read_tokenizer(save_tiny_kobert(tmp_path, name))


def test_old_zip_has_its_pieces_beside_the_folder(tmp_path: Path) -> None:
    folder = save_tiny_kobert(tmp_path / "kobert_from_pretrained")
    (folder / "spiece.model").rename(tmp_path / "kobert_news_wiki_ko_cased-1087f8699e.spiece")
    read_tokenizer(folder)


def save_old_layout(folder: Path) -> tuple[Path, list[str]]:
    """monologg/kobert's files: pieces that number themselves otherwise, and the network's numbers in vocab.txt."""
    save_tiny_kobert(folder, "tokenizer_78b3253a26.model")
    written = io.BytesIO()
    with SAMPLES.open(encoding="utf-8-sig") as lines:
        sentences = [line.split(",")[0] for line in lines] + ["1, 2, 1,000 2,500"] * 40
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_writer=written, vocab_size=8000,
                                             model_type="bpe", character_coverage=1.0, minloglevel=2)
    (folder / "tokenizer_78b3253a26.model").write_bytes(written.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    own = [processor.id_to_piece(i) for i in range(3, 8000)]  # without <unk>, <s> and </s>
    random.Random(3).shuffle(own)
    tokens = [*kobert.SPECIAL_TOKENS, *own[:-10], *(f"[unused{i}]" for i in range(10))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    return folder, tokens


def test_the_oldest_pieces_are_numbered_by_vocab_txt(tmp_path: Path) -> None:
    folder, tokens = save_old_layout(tmp_path / "old")
    tokenizer = read_tokenizer(folder)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer_78b3253a26.model"))
    for text in mixed_sentences(200):
        if not any(token in text for token in kobert.SPECIAL_TOKENS):
            ids = tokenizer(text)["input_ids"]
            assert ids == [2, *(tokens.index(t) if t in tokens else 0 for t in tokenizer.tokenize(text)), 3]
    assert tokenizer.tokenize("오늘 정말 좋아요") == processor.encode("오늘 정말 좋아요", out_type=str)
    assert len(tokenizer) == 8002 and tokenizer.all_special_ids == [0, 3, 1, 2, 4]
    assert not {1, 2, 3, 4} & set(tokenizer("[SEP] [MASK]<s></s>")["input_ids"][1:-1])
    assert len({tuple(tokenizer.with_dropout(0.3)("오늘은 정말 행복한 하루")["input_ids"]) for _ in range(20)}) > 1
    tokenizer.save_pretrained(tmp_path / "saved")
    tiny_config().save_pretrained(tmp_path / "saved")
    for again in (read_tokenizer(tmp_path / "saved"), AutoTokenizer.from_pretrained(tmp_path / "saved"),
                  pickle.loads(pickle.dumps(tokenizer))):
        assert isinstance(again, KoBERTTokenizer) and again(HARD)["input_ids"] == tokenizer(HARD)["input_ids"]


@pytest.mark.parametrize("content", ["", "[UNK]\n[PAD]\n", "x\n" * 8002, None])
def test_the_oldest_pieces_without_their_numbers_are_refused(tmp_path: Path, content: str | None) -> None:
    folder, _ = save_old_layout(tmp_path)
    (folder / "vocab.txt").unlink() if content is None else (folder / "vocab.txt").write_text(content, "utf-8")
    with pytest.raises(EmotionError) as caught:
        read_tokenizer(folder)
    assert caught.value.key == "error.kobert.pieces_wrong" and "vocab.txt" in caught.value.text("ko")


def refused(folder: Path, strict: bool = False) -> str:
    with pytest.raises(EmotionError) as caught:
        read_tokenizer(folder, strict)
    assert "spiece.model" in caught.value.text("ko") and "\n" not in caught.value.text("en")
    return caught.value.key


def test_wrong_and_damaged_pieces_are_named(tmp_path: Path) -> None:
    file = save_tiny_kobert(tmp_path) / "spiece.model"
    file.write_bytes(pieces()[:1000])
    assert refused(tmp_path) in {"error.kobert.pieces_damaged", "error.kobert.pieces_wrong"}
    file.write_bytes(b"not a model at all")
    assert refused(tmp_path) == "error.kobert.pieces_damaged"
    file.write_bytes(b"")
    assert refused(tmp_path) == "error.kobert.pieces_damaged"
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["가 나 다 라"] * 20), model_writer=written,
                                             vocab_size=20, model_type="char", hard_vocab_limit=False, minloglevel=2)
    file.write_bytes(written.getvalue())
    assert refused(tmp_path) == "error.kobert.pieces_wrong"
    file.unlink()
    assert refused(tmp_path) == "error.kobert.pieces_missing"


def test_another_vocabulary_of_the_same_make_is_not_the_original(folder: Path) -> None:
    read_tokenizer(folder)
    assert refused(folder, strict=True) == "error.kobert.not_original"


REAL = os.environ.get("EMOTION_KOBERT")


@pytest.mark.skipif(not REAL, reason="EMOTION_KOBERT names no folder with KoBERT's files")
def test_golden_ids_and_output_of_the_real_files() -> None:
    folder = Path(REAL)
    assert tuple(read_tokenizer(folder, strict=True)(kobert.GOLDEN_SENTENCE)["input_ids"]) == kobert.GOLDEN_IDS
    model = BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(input_ids=torch.tensor([[31, 51, 99], [15, 5, 0]]),
                       attention_mask=torch.tensor([[1, 1, 1], [1, 1, 0]]),
                       token_type_ids=torch.tensor([[0, 0, 1], [0, 1, 0]])).last_hidden_state
    torch.testing.assert_close(states[0, 0, :3], torch.tensor([-0.2461, 0.2428, 0.2590]), atol=1e-4, rtol=0)
