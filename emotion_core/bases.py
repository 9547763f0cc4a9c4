"""The encoder that a fine-tuning run starts from: KoBERT, a model of ours, or any other encoder.

One door for all of them: a name, a folder or a Hub id goes in, a verified
tokenizer and configuration come out, and a classifier with a fresh head on
demand. Not for models that already classify (`models`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import hub, kobert, models
from .labels import LABELS, find_label
from .messages import EmotionError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

KOBERT = "kobert"
_NAMES_OF_KOBERT = (KOBERT, kobert.HUB_ID)


@dataclass(frozen=True)
class Base:
    """An encoder on the disk: its tokenizer and configuration, verified; its weights not read yet.

    `original` is False for a KoBERT whose vocabulary is of the same make but not SKT's: a person who
    meant SKT's should hear of it (`warning`).
    """

    name: str
    folder: Path
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    original: bool = True

    @property
    def warning(self) -> EmotionError | None:
        """What to tell a person before this base is used, as a sentence to show, not to raise."""
        return None if self.original else EmotionError("warning.kobert_vocabulary", folder=str(self.folder))


def locate(source: str | os.PathLike[str], progress: hub.Progress | None = None) -> Path:
    """The folder of a base: "kobert", a name under `weights/`, a folder, or a Hub id.

    What isn't on the disk is downloaded. Raises EmotionError, see `hub.snapshot` and `models.locate`.
    """
    if str(source) in _NAMES_OF_KOBERT:
        try:
            return hub.snapshot(kobert.HUB_ID, progress)
        except EmotionError as error:
            if error.key == "error.model.unreachable":
                raise EmotionError("error.kobert.unreachable", reason=error.values["reason"]) from error
            if error.key == "error.hub.missing":  # it is there: something between here and the Hub answers in its place
                raise EmotionError("error.kobert.unreachable", reason="HTTP 404") from error
            raise
    where = models.locate(source)
    return where if isinstance(where, Path) else hub.snapshot(where, progress)


def load(source: str | os.PathLike[str], progress: hub.Progress | None = None) -> Base:
    """The base `source` (see `locate`), its tokenizer checked against its configuration.

    Raises EmotionError when it can't be had, is no encoder, or a file of it is wrong or damaged.
    """
    folder = locate(source, progress)
    config = read_config(folder)
    try:
        tokenizer = models.read_tokenizer(folder, strict=str(source) in _NAMES_OF_KOBERT)
    except EmotionError:
        raise
    except Exception as error:  # a damaged tokenizer file fails in any layer of transformers
        raise models.damaged(folder, error) from error
    models.check_tokenizer(config.vocab_size, tokenizer, str(source))
    name = folder.name if Path(source).is_dir() else str(source)
    original = not isinstance(tokenizer, kobert.KoBERTTokenizer) or kobert.is_original(tokenizer)
    return Base(name, folder, config, tokenizer, original)


def read_config(folder: Path) -> PreTrainedConfig:
    """The configuration of the encoder in `folder`; SKT's old zip doesn't name its architecture, which is BERT."""
    from transformers import AutoConfig, BertConfig

    try:
        content = json.loads((folder / "config.json").read_text("utf-8"))
        if "model_type" not in content and kobert.is_kobert(content, folder):
            return BertConfig.from_dict(content)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config.vocab_size, config.hidden_size  # noqa: B018  what every encoder has
        return config
    except FileNotFoundError as error:
        raise EmotionError("error.model.no_config", model=str(folder)) from error
    except Exception as error:
        raise models.damaged(folder, error) from error


def classifier_config(base: Base, dropout: float | None = None) -> PreTrainedConfig:
    """A copy of the base's configuration with the seven labels; `dropout` is the one before the head, 0 to 1."""
    config = type(base.config).from_dict(base.config.to_dict())
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: i for i, label in enumerate(LABELS)}
    config.problem_type = None
    if dropout is not None:
        config.classifier_dropout = dropout
    return config


def new_classifier(base: Base, dropout: float | None = None) -> PreTrainedModel:
    """The base's network in fp32 with a fresh head of seven, for training.

    For a BERT this is the notebook's `BERTClassifier`: pooler, dropout, linear. Raises EmotionError
    when the weights are missing, damaged, or not those of the configuration.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    if not any((base.folder / name).is_file() for name in models.WEIGHT_FILES):
        raise EmotionError("error.model.no_weights", model=str(base.folder))
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, "dtype": torch.float32}
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            base.folder, config=classifier_config(base, dropout), ignore_mismatched_sizes=True,
            output_loading_info=True, **options)
    except Exception as error:
        raise models.damaged(base.folder, error) from error
    wrong = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    encoder = f"{model.base_model_prefix}."  # the head, whatever it is called, begins anew; so may a pooler
    if absent := [key for key in wrong if key.startswith(encoder) and "pooler." not in key]:
        raise EmotionError("error.model.incomplete", model=str(base.folder), names=", ".join(absent[:3]))
    for name, module in model.named_modules():  # a base that classifies into seven already has a head that fits
        head = name and not f"{name}.".startswith(encoder) and not any(key.startswith(f"{name}.") for key in wrong)
        if head and hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return model


def usual_head(source: str | os.PathLike[str]) -> str:
    """What `TrainingConfig.head` is for a base where nobody says: "keep" for one that reads our seven emotions already.

    "fresh" for all others, and for what can't be read: `load` says why.
    """
    if str(source) in _NAMES_OF_KOBERT:
        return "fresh"
    try:
        where = models.locate(source)
        content = json.loads((where / "config.json").read_text("utf-8")) if isinstance(where, Path) else {}
        names = [find_label(str(name)) for name in content["id2label"].values()]
    except (EmotionError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return "fresh"
    return "keep" if len(names) == len(LABELS) and set(names) == set(LABELS) else "fresh"
