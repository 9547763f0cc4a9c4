"""The notebook's settings, split and optimizers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import train_test_split

from emotion_core import EmotionError
from emotion_core.training.config import TrainingConfig
from emotion_core.training.optimization import optimizer, parameter_groups, schedule
from emotion_core.training.split import split
from tests.tiny_kobert import tiny_config


def test_defaults_are_the_notebooks() -> None:
    config = TrainingConfig()
    assert (config.max_length, config.batch_size, config.warmup_ratio, config.epochs) == (64, 16, 0.1, 10)
    assert (config.max_grad_norm, config.learning_rate, config.dropout, config.weight_decay) == (1, 5e-5, 0.5, 0.01)
    assert (config.optimizer, config.test_size, config.seed) == ("adamw", 0.2, 42)
    assert TrainingConfig(optimizer="sgd").learning_rate == 0.01
    assert TrainingConfig(optimizer="sgd", learning_rate=0.1).learning_rate == 0.1


@pytest.mark.parametrize(("changes", "word"), [
    ({"batch_size": 0}, "batch_size"), ({"learning_rate": float("nan")}, "learning_rate"), ({"dropout": 1}, "dropout"),
    ({"optimizer": "adam"}, "adam"), ({"test_size": 1.0}, "test_size"), ({"epochs": "ten"}, "epochs"),
])
def test_what_cannot_be_trained_with_is_named(changes: dict[str, object], word: str) -> None:
    with pytest.raises(EmotionError) as caught:
        TrainingConfig().with_changes(**changes)
    assert word in caught.value.text("ko") and word in caught.value.text("en")


def test_split_gives_the_rows_of_the_notebooks_call() -> None:
    table = pd.DataFrame({"Sentence": [f"문장 {i}" for i in range(101)]})
    train, test = train_test_split(table, test_size=0.2, random_state=42)
    ours_train, ours_test = split(len(table), TrainingConfig())
    np.testing.assert_array_equal(ours_train, train.index)
    np.testing.assert_array_equal(ours_test, test.index)
    with pytest.raises(EmotionError):
        split(1, TrainingConfig())


@pytest.fixture
def model() -> torch.nn.Module:
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification(tiny_config())


def test_biases_and_layer_norms_are_not_decayed(model: torch.nn.Module) -> None:
    decayed, plain = parameter_groups(model, 0.01)
    assert decayed["weight_decay"] == 0.01 and plain["weight_decay"] == 0
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.parameters()))
    assert all(parameter.dim() == 2 for parameter in decayed["params"])
    assert all(parameter.dim() == 1 for parameter in plain["params"])


def test_optimizers_and_cosine_with_warm_up(model: torch.nn.Module) -> None:
    config = TrainingConfig()
    adamw = optimizer(model, config)
    assert isinstance(adamw, torch.optim.AdamW)
    plan = schedule(adamw, config, 100)
    rates = []
    for _ in range(100):
        rates.append(adamw.param_groups[0]["lr"])
        adamw.step()
        plan.step()
    assert rates[0] == 0 and rates[10] == pytest.approx(5e-5) and rates[55] == pytest.approx(2.5e-5)
    assert rates[99] < 1e-7 and max(rates) == rates[10]
    sgd = optimizer(model, TrainingConfig(optimizer="sgd"))
    assert isinstance(sgd, torch.optim.SGD) and sgd.defaults["momentum"] == 0.9 and sgd.defaults["lr"] == 0.01
