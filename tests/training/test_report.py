"""What is said of data before a run, against data with known faults; the estimate."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotion_core import EmotionError
from emotion_core.messages import message
from emotion_core.scoring.rows import Columns
from emotion_core.tables import TableFile, detect
from emotion_core.training.config import PRESETS, TrainingConfig
from emotion_core.training.data import DataChoice, read, sample_set
from emotion_core.training.estimate import estimate
from emotion_core.training.report import data_report
from emotion_core.training.settings import PRESET_NAMES, SETTINGS
from tests.training.data import choice, write_table

CONFIG = TrainingConfig(max_length=10, batch_size=16, epochs=2)


def test_faults_are_counted(tmp_path: Path, tiny_folder: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("Sentence,Emotion\n" + "가나,행복\n가나,행복\n가나,슬픔\n,분노\n다라,\n마바,모름\n"
                     + "".join(f"문장이길어요{i}이만큼이나,슬픔\n사아{i},행복\n" for i in range(10)), "utf-8")
    test.write_text("Sentence,Emotion\n가나,행복\n자차,슬픔\n새것,행복\n", "utf-8")
    tables = [TableFile(detect(file)) for file in (train, test)]
    found = data_report(DataChoice(tables[0], Columns(0, 1), "t", tables[1], Columns(0, 1)), str(tiny_folder), CONFIG)
    assert (found.rows, found.used, found.empty, found.unlabelled, dict(found.unknown)) == (29, 26, 1, 1, {"모름": 1})
    assert (found.train_rows, found.test_rows, found.overlap) == (23, 3, 1)
    assert (found.duplicates, found.conflicting) == (3, 1)
    assert found.conflict_examples == (("가나", ("슬픔", "행복")),)
    # [CLS] and [SEP] and a token a character: ten of 14
    assert (found.cut, found.longest, found.lengths[14], found.lengths[4]) == (10, 14, 10, 6)
    assert dict((label, (a, b)) for label, a, b in found.balance)["행복"] == (12, 2)
    assert found.problem is None
    assert {key for key, _ in found.warnings} == {"training.warning.absent", "training.warning.few",
                                                  "training.warning.overlap", "training.warning.conflicts"}
    for key, values in found.warnings:
        assert message(key, "ko", **values) and message(key, "en", **values)


def test_what_makes_a_run_impossible_is_said_and_not_raised(tmp_path: Path, tiny_folder: Path) -> None:
    found = data_report(choice(write_table(tmp_path / "one.csv", labels=("행복",))), str(tiny_folder), CONFIG)
    assert found.problem[0] == "error.training.one_class"


def test_without_a_label_column_nothing_is_read(tmp_path: Path) -> None:
    table = choice(write_table(tmp_path / "table.csv")).table
    with pytest.raises(EmotionError):
        read(DataChoice(table, Columns(0), "t"), CONFIG)


def test_the_samples_are_tested_on_their_own_half() -> None:
    data = read(sample_set(), CONFIG)
    assert len(data.train) > 6000 and len(data.test) > 1500 and not set(data.train.text) & set(data.test.text)
    assert data.fingerprint == read(sample_set(), CONFIG.with_changes(seed=1)).fingerprint


def test_the_fingerprint_is_the_datas_and_the_splits(tmp_path: Path) -> None:
    table = choice(write_table(tmp_path / "table.csv"))
    other = choice(write_table(tmp_path / "other.csv", seed=1))
    prints = [read(table, CONFIG).fingerprint, read(table, CONFIG.with_changes(seed=1)).fingerprint,
              read(other, CONFIG).fingerprint]
    assert len(set(prints)) == 3
    assert read(table, CONFIG.with_changes(seed=1, split_seed=42)).fingerprint == prints[0]


def test_an_estimate_is_measured(tmp_path: Path, tiny_folder: Path) -> None:
    found = estimate(choice(write_table(tmp_path / "table.csv")), str(tiny_folder), CONFIG, "cpu")
    assert found.steps == 10 and found.measured_steps == 5 and found.fits
    assert 0 < found.seconds_per_epoch < 60 and found.seconds == pytest.approx(2 * found.seconds_per_epoch)
    assert found.memory > 50e6 and found.disk > 1e6 and not found.busy
    with pytest.raises(EmotionError) as caught:
        estimate(choice(write_table(tmp_path / "one.csv", labels=("행복",))), str(tiny_folder), CONFIG)
    assert caught.value.key == "error.training.one_class"


def test_every_setting_has_its_words_and_its_place() -> None:
    assert {setting.name for setting in SETTINGS} == set(TrainingConfig().as_dict())
    for setting in SETTINGS:
        for key in (setting.label_key, setting.help_key, *(key for _, key in setting.choices)):
            assert message(key, "ko") and message(key, "en")
        if setting.low is not None:
            for value in (setting.low, setting.high):
                kept = int(value) if setting.kind == "int" else value
                changes = {setting.name: kept}
                if setting.name == "gradient_accumulation":
                    changes["batch_size"] = 4096
                TrainingConfig().with_changes(**changes)
    assert {name for name, *_ in PRESET_NAMES} == set(PRESETS)
