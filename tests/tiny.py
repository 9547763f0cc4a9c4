"""A tiny random model of the same make as the real ones, made on the fly in under a second."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from emotion_core.labels import LABELS

CHARACTERS = [chr(code) for code in range(0xAC00, 0xD7A4)] + [chr(code) for code in range(33, 127)] + list("ㅋㅎㅠㅜ")


def save_tiny_model(folder: Path, labels: tuple[str, ...] = LABELS, seed: int = 0, positions: int = 32) -> Path:
    """Save a random two-layer BERT of hidden size 16 and a one-character tokenizer; returns `folder`."""
    torch.manual_seed(seed)
    vocabulary = {token: i for i, token in enumerate(["[UNK]", "[PAD]", "[CLS]", "[SEP]", *CHARACTERS])}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=positions, split_special_tokens=True,
    )
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=positions, pad_token_id=1, id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)}, initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
