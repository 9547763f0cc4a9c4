"""A tiny KoBERT: a BERT of its architecture beside 8,002 SentencePiece pieces of the same make, made on the fly."""

from __future__ import annotations

import csv
import functools
import io
from pathlib import Path

import sentencepiece
import torch
from transformers import BertConfig, BertModel

SAMPLES = Path(__file__).parents[1] / "emotion_core" / "samples" / "train.csv"
EXTRA = ["1,000원 2,500명 10,000개 3,", "전화는 010,1234 번입니다", "A B c d 1 2 3 ! ?"] * 40


@functools.cache
def pieces() -> bytes:
    """A SentencePiece model of 8,002 pieces with KoBERT's special tokens, trained on our sample sentences."""
    with SAMPLES.open(encoding="utf-8-sig", newline="") as lines:
        sentences = [row["Sentence"] for row in csv.DictReader(lines)] + EXTRA
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=written, vocab_size=8002, model_type="bpe",
        character_coverage=1.0, unk_id=0, pad_id=1, bos_id=2, eos_id=3, unk_piece="[UNK]", pad_piece="[PAD]",
        bos_piece="[CLS]", eos_piece="[SEP]", control_symbols=["[MASK]"], minloglevel=2,
    )
    return written.getvalue()


def tiny_config() -> BertConfig:
    """KoBERT's configuration, made small."""
    return BertConfig(vocab_size=8002, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=32, max_position_embeddings=512, pad_token_id=1, initializer_range=0.5)


def save_tiny_kobert(folder: Path, pieces_name: str = "spiece.model", seed: int = 0) -> Path:
    """Write it as the Hub's snapshot has it, the pieces under `pieces_name`; returns `folder`."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    BertModel(tiny_config()).save_pretrained(folder)
    (folder / pieces_name).write_bytes(pieces())
    return folder
