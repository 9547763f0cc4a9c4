"""Trims XLM-R's 250,002 pieces to those that Korean text uses and builds the tokenizer.

A piece stays when the corpus uses it at least `MIN_COUNT` times, or when it is
a single Hangul syllable, jamo, ASCII character, symbol or emoji, so that
nothing a Korean types falls to <unk> that did not before.
"""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable

import sentencepiece
from e5_weights import Pieces
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
MASK_ROW = 250001  # XLM-R's row of <mask>, past the last SentencePiece piece
UNREACHABLE = -200.0  # log-probability of the specials: a typed "<s>" is cheaper as "<", "s", ">"
MIN_COUNT = 2
MAX_LENGTH = 512


def nmt_nfkc() -> bytes:
    """SentencePiece's own `nmt_nfkc` map, taken from a throw-away model.

    It turns ㅋ and ㅠ into conjoining jamo, as XLM-R's pieces expect; Unicode's
    NFKC would go on and compose ㅋㅏ into 카, so it can't stand in.
    """
    from sentencepiece import sentencepiece_model_pb2 as pb

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["emotion", "sentence"]), model_writer=out, vocab_size=16,
        model_type="char", hard_vocab_limit=False, normalization_rule_name="nmt_nfkc", minloglevel=2,
    )
    return pb.ModelProto.FromString(out.getvalue()).normalizer_spec.precompiled_charsmap


def unigram(pieces: list[tuple[str, float]]) -> Tokenizer:
    """A Unigram tokenizer over `pieces`, normalising as XLM-R does after composing NFD Hangul."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Precompiled(nmt_nfkc()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _always_kept(piece: str) -> bool:
    bare = piece.lstrip("▁")
    if len(bare) > 1:
        return False
    if not bare or bare.isascii():
        return True
    code = ord(bare)
    hangul = 0xAC00 <= code <= 0xD7A3 or 0x1100 <= code <= 0x11FF or 0x3131 <= code <= 0x318E
    return hangul or unicodedata.category(bare) in ("So", "Sk", "Po", "Pd", "Ps", "Pe")


def choose(pieces: Pieces, corpus: Iterable[str]) -> list[int]:
    """Row numbers to keep, in the new id order: the four specials, the pieces, then <mask>."""
    full = unigram(_scored(pieces, range(len(pieces.texts))))
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in corpus:
        batch.append(text)
        if len(batch) == 10_000:
            _count(full, batch, counts)
            batch = []
    _count(full, batch, counts)
    kept = [i for i in range(4, len(pieces.texts)) if counts[i] >= MIN_COUNT or _always_kept(pieces.texts[i])]
    return [0, 1, 2, 3, *kept, MASK_ROW]


def _count(tokenizer: Tokenizer, batch: list[str], counts: Counter[int]) -> None:
    for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
        counts.update(encoding.ids)


def _scored(pieces: Pieces, rows: Iterable[int]) -> list[tuple[str, float]]:
    return [(SPECIALS[i], UNREACHABLE) if i < 4 else (pieces.texts[i], float(pieces.scores[i])) for i in rows]


def tokenizer(pieces: Pieces, keep: list[int]) -> PreTrainedTokenizerFast:
    """The tokenizer that ships: plain `PreTrainedTokenizerFast`, any transformers version reads it.

    `split_special_tokens` makes a literal `<s>` in a user's text ordinary characters.
    """
    inner = unigram([*_scored(pieces, keep[:-1]), (MASK, UNREACHABLE)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token=MASK, padding_side="right", truncation_side="right",
        model_max_length=MAX_LENGTH, split_special_tokens=True,
        model_input_names=["input_ids", "attention_mask"],
    )
