"""The bundled model's recipe: the parts that can be checked without its data."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "recipes" / "bundled_model"))

import add_sentences
import corpora
import e5_weights
import intermediate
import make
import measure
import package
import teachers
import torch
import vocabulary
from finetune import Settings, fine_objective, masked


def test_a_block_of_four_bit_weights() -> None:
    nibbles = np.arange(32) % 16
    block = np.concatenate([np.array([0.5], "<f2").view(np.uint8), (nibbles[:16] | nibbles[16:] << 4).astype(np.uint8)])
    np.testing.assert_array_equal(e5_weights.dequantize(block), (nibbles - 8) * np.float32(0.5))


def test_a_file_that_is_not_the_model_is_refused(tmp_path) -> None:
    (tmp_path / "x.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="E5S1"):
        e5_weights.read(tmp_path / "x.bin")


@pytest.mark.parametrize("table", [corpora.GOEMOTIONS, corpora.KOTE])
def test_every_label_maps_to_one_emotion(table: dict[str, list[str]]) -> None:
    names = [name for group in table.values() for name in group]
    assert len(names) == len(set(names))
    assert set(table) == set(corpora.LABELS)


def test_soft_targets(tmp_path) -> None:
    folder = tmp_path / "goemotions-ko"
    folder.mkdir()
    (folder / "label.txt").write_text("anger\nannoyance\njoy\ndisgust\n" + "\n".join(
        name for group in corpora.GOEMOTIONS.values() for name in group
        if name not in ("anger", "annoyance", "joy", "disgust")), "utf-8")
    (folder / "dev.tsv").write_text("화나\t0\n짜증 나는데 웃겨\t0,1,2\n\t0\n", "utf-8")
    rows = corpora.goemotions(tmp_path, "dev")
    assert rows.texts == ["화나", "짜증 나는데 웃겨"]
    assert list(rows.single) == [True, False]
    anger, happiness = corpora.LABELS.index("분노"), corpora.LABELS.index("행복")
    assert rows.targets[1][anger] == pytest.approx(0.8) and rows.targets[1][happiness] == pytest.approx(0.2)
    assert list(rows.fine[1, :4]) == [1, 1, 1, 0] and not rows.fine[1, 4:28].any()
    assert np.isnan(rows.fine[:, 28:]).all()  # KOTE's labels: nothing known
    assert (rows + rows.take(rows.single)).fine.shape == (3, corpora.FINE)


def test_normaliser_keeps_lone_jamo_and_composes_nfd() -> None:
    pieces = [(piece, -1.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁", "\u110f", "\u1161", "카")]
    tokenizer = vocabulary.unigram(pieces)
    assert tokenizer.encode("ㅋㅏ", add_special_tokens=False).tokens == ["▁", "\u110f", "\u1161"]
    assert tokenizer.encode("\u110f\u1161", add_special_tokens=False).tokens == ["▁", "카"]


def test_expected_calibration_error() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10)
    assert measure.expected_calibration_error(probabilities, np.array([0] * 9 + [1])) == pytest.approx(0)
    assert measure.expected_calibration_error(probabilities, np.array([0] * 4 + [1] * 6)) == pytest.approx(0.5)


def test_a_sentence_near_to_an_earlier_one_is_known() -> None:
    known = add_sentences.Known()
    known.add("비싼 돈 주고 샀는데 하루 만에 고장 났어")
    assert known.has("비싼돈 주고 샀는데, 하루 만에 고장 났어!!")
    assert known.has("진짜 비싼 돈 주고 샀는데 하루 만에 고장 났어")
    assert not known.has("하루 만에 고장 날 줄은 몰랐네")


def test_which_file_a_sentence_belongs_to_is_its_own_affair() -> None:
    for name in ("train", "test"):
        rows = add_sentences.read(add_sentences.SAMPLES / f"{name}.csv")
        assert {add_sentences.is_test(text) for text, _ in rows} == {name == "test"}


def test_own_validation_rows_are_in_train_csv_and_not_trained_on() -> None:
    held_out = make.OWN_VALIDATION.read_text("utf-8").splitlines()
    own = {text for text, _ in add_sentences.read(add_sentences.SAMPLES / "train.csv")}
    assert len(held_out) == len(set(held_out)) > 1000 and set(held_out) <= own


def test_masking_spares_special_tokens() -> None:
    class Tokenizer:
        pad_token_id, cls_token_id, sep_token_id, mask_token_id = 1, 0, 2, 9

    torch.manual_seed(0)
    inputs = torch.tensor([[0, *[5] * 30, 2, 1, 1]] * 40)
    found = masked(inputs, Tokenizer(), Settings(masked_rows=0.5, masked_pieces=0.5))
    changed = found != inputs
    assert set(found[changed].tolist()) == {9} and set(inputs[changed].tolist()) == {5}
    assert 0 < changed.any(1).sum() < 40, "some rows stay as they are"


def test_reviews_are_drawn_from_bad_middling_and_good_alike() -> None:
    stars = np.array([1] * 500 + [10] * 500 + [6] * 500)
    texts = ["그냥 그래요"] * 1400 + ["길" * 100] * 100
    rows = intermediate.sample_reviews(texts, stars, 300, 60, np.random.default_rng(0))
    assert [int((stars[rows] == value).sum()) for value in (1, 6, 10)] == [100, 100, 100]
    assert max(len(texts[row]) for row in rows) <= 60 and len(set(rows.tolist())) == 300


def test_thinning_keeps_the_rare_and_a_share_of_the_frequent() -> None:
    targets = np.eye(7, dtype=np.float32)[[0] * 500 + [1] * 20_000]
    fine = np.zeros((len(targets), corpora.FINE), np.float32)
    rows = corpora.Labelled([str(i) for i in range(len(targets))], targets, fine)
    first, second = make.thinned(rows, 0, 0.25), make.thinned(rows, 1, 0.25)
    assert first.targets.sum(0)[:2].tolist() == [500, 5_000]
    assert set(first.texts) != set(second.texts), "each epoch sees another part"


def test_unknown_labels_teach_nothing() -> None:
    goals = torch.full((3, corpora.FINE), torch.nan)
    goals[0, :28], goals[1, 28:] = 0, 1
    logits = torch.zeros(3, corpora.FINE, requires_grad=True)
    loss = fine_objective(logits, goals)
    loss.backward()
    assert loss.item() == pytest.approx(2 / 3 * np.log(2))
    assert (logits.grad[0, :28] > 0).all() and (logits.grad[1, 28:] < 0).all()
    assert not logits.grad[0, 28:].any() and not logits.grad[1, :28].any() and not logits.grad[2].any()


def test_weights_are_averaged() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    first, second = (BertForSequenceClassification(config) for _ in range(2))
    wanted = (first.classifier.weight + second.classifier.weight).detach() / 2
    torch.testing.assert_close(package.average([first, second]).classifier.weight.detach(), wanted)


def labelled(texts: list[str], emotions: list[int]) -> corpora.Labelled:
    return corpora.Labelled(texts, np.eye(7, dtype=np.float32)[emotions], np.full((len(texts), corpora.FINE), np.nan))


def test_a_teacher_does_not_repeat_the_wrong_label_of_the_row_it_judges() -> None:
    texts = [f"{word} {number % 7}" for word in ("기쁘다", "무섭다") for number in range(40)]
    rows = labelled(texts, [5] * 39 + [0] + [0] * 40)  # the 40th is labelled wrong
    found = teachers.out_of_fold(rows)
    assert found.shape == (80, 2)  # of the emotions there are
    assert (found[:40, 1] > found[:40, 0]).all() and (found[40:, 0] > found[40:, 1]).all()


def test_a_line_whose_quotation_nothing_closes_swallows_no_other(tmp_path) -> None:
    (tmp_path / "goemotions-ko").mkdir()
    (tmp_path / "goemotions").mkdir()
    (tmp_path / "goemotions-ko" / "label.txt").write_text("\n".join(
        name for group in corpora.GOEMOTIONS.values() for name in group), "utf-8")
    lines = '"와. 그냥\t0\n그는 ""하하""\t1\n"둘 다 ""예"""\t2\n'
    (tmp_path / "goemotions-ko" / "train.tsv").write_text(lines, "utf-8")
    (tmp_path / "goemotions" / "train.tsv").write_text("Wow\t0\tid1\n\"He\t1\tid2\n", "utf-8")
    assert corpora.goemotions(tmp_path, "train").texts == ['"와. 그냥', '그는 ""하하""', '둘 다 "예"']
    assert corpora.originals(tmp_path, "train").texts == ["Wow", '"He']


def test_the_teachers_are_blended_and_the_gold_kept_in_part() -> None:
    plain, encoder = np.log([[0.5, 0.25, 0.25]]), np.array([[0.0, 3.0, 0.0]])
    np.testing.assert_allclose(teachers.blended((1, plain), (0, encoder)), np.exp(plain))
    np.testing.assert_allclose(teachers.blended((0.5, encoder), (0.5, encoder)), measure.softmax(encoder))
    rows = labelled(["가"], [2])
    soft = teachers.softened(rows, np.full((1, 7), 1 / 7), 0.3)
    np.testing.assert_allclose(soft.targets.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(soft.targets[0, [1, 2]], [0.1, 0.4], rtol=1e-6)
    assert soft.texts == rows.texts and soft.targets.dtype == np.float32
