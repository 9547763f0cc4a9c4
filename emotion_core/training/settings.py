"""The settings of a run as a person sees them: their order and limits in a form, what they and their values are called.

The defaults are `TrainingConfig`'s, which also checks; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..messages import message


@dataclass(frozen=True)
class Setting:
    """One setting. kind: "int", "float", "choice" or "bool"; choices: (value, catalogue key) of a "choice"."""

    name: str
    label_key: str
    help_key: str
    kind: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[tuple[str, str], ...] = ()
    advanced: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("epochs", "setting.epochs", "setting.epochs_help", "int", 1, 1000, 1),
    Setting("batch_size", "setting.batch_size", "setting.batch_size_help", "int", 1, 4096, 1),
    Setting("learning_rate", "setting.learning_rate", "setting.learning_rate_help", "float", 1e-9, 10.0, 1e-5),
    Setting("optimizer", "setting.optimizer", "setting.optimizer_help", "choice",
            choices=(("adamw", "setting.optimizer_adamw"), ("sgd", "setting.optimizer_sgd"))),
    Setting("dropout", "setting.dropout", "setting.dropout_help", "float", 0.0, 0.95, 0.05),
    Setting("max_length", "setting.max_length", "setting.max_length_help", "int", 4, 512, 1),
    Setting("test_size", "setting.test_size", "setting.test_size_help", "float", 0.01, 0.9, 0.05),
    Setting("seed", "setting.seed", "setting.seed_help", "int", 0, 2**32 - 1, 1),
    Setting("head", "setting.head", "setting.head_help", "choice", advanced=True,
            choices=(("fresh", "setting.head_fresh"), ("keep", "setting.head_keep"))),
    Setting("best_metric", "setting.best_metric", "setting.best_metric_help", "choice", advanced=True,
            choices=(("macro_f1", "setting.best_metric_macro_f1"), ("loss", "setting.best_metric_loss"))),
    Setting("patience", "setting.patience", "setting.patience_help", "int", 0, 1000, 1, advanced=True),
    Setting("class_weights", "setting.class_weights", "setting.class_weights_help", "bool", advanced=True),
    Setting("label_smoothing", "setting.label_smoothing", "setting.label_smoothing_help", "float", 0.0, 0.9, 0.05,
            advanced=True),
    Setting("frozen_layers", "setting.frozen_layers", "setting.frozen_layers_help", "int", 0, 100, 1, advanced=True),
    Setting("precision", "setting.precision", "setting.precision_help", "choice", advanced=True,
            choices=(("auto", "setting.precision_auto"), ("fp32", "setting.precision_fp32"),
                     ("bf16", "setting.precision_bf16"))),
    Setting("gradient_accumulation", "setting.gradient_accumulation", "setting.gradient_accumulation_help", "int", 1,
            4096, 1, advanced=True),
    Setting("warmup_ratio", "setting.warmup_ratio", "setting.warmup_ratio_help", "float", 0.0, 1.0, 0.05,
            advanced=True),
    Setting("weight_decay", "setting.weight_decay", "setting.weight_decay_help", "float", 0.0, 1.0, 0.01,
            advanced=True),
    Setting("max_grad_norm", "setting.max_grad_norm", "setting.max_grad_norm_help", "float", 1e-6, 1e6, 0.5,
            advanced=True),
    Setting("subword_dropout", "setting.subword_dropout", "setting.subword_dropout_help", "float", 0.0, 0.9, 0.05,
            advanced=True),
    Setting("split_seed", "setting.split_seed", "setting.split_seed_help", "int", 0, 2**32 - 1, 1, advanced=True),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}

PRESET_NAMES: tuple[tuple[str, str, str], ...] = (
    ("notebook", "preset.notebook", "preset.notebook_help"),
    ("quick", "preset.quick", "preset.quick_help"),
)
"""(preset, catalogue key of its name, of a line about it)."""


def label(name: str, language: str) -> str:
    """What a setting is called."""
    return message(BY_NAME[name].label_key, language) if name in BY_NAME else name


def written(name: str, value: Any, language: str) -> str:
    """A setting's value as a person reads it."""
    setting = BY_NAME.get(name)
    if value is None:
        return message("training.same_seed", language) if name == "split_seed" else "–"
    if name == "optimizer":
        return {"adamw": "AdamW", "sgd": "SGD"}.get(value, str(value))
    if setting and setting.kind == "choice":
        known = dict(setting.choices)
        return message(known[value], language) if value in known else str(value)
    if isinstance(value, bool):
        return message("training.yes" if value else "training.no", language)
    return f"{value:g}" if isinstance(value, float) else str(value)


def said(settings: Mapping[str, Any], language: str) -> str:
    """Settings with their values in a few words."""
    return ", ".join(f"{label(name, language)} {written(name, value, language)}" for name, value in settings.items())
