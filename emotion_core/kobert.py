"""KoBERT's tokenizer on today's transformers, and how to recognise KoBERT's files.

Gives the same ids as SKT's `KoBERTTokenizer` (github.com/SKTBrain/KoBERT,
kobert_hf), which transformers 5 can't run. Not for fetching files (`hub`) or for
the network itself, which is a plain `BertModel`.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, ClassVar

import sentencepiece
from transformers import AutoTokenizer, BertConfig, SentencePieceBackend

from .messages import EmotionError

HUB_ID = "skt/kobert-base-v1"
VOCABULARY_SIZE = 8002
SPECIAL_TOKENS = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
GOLDEN_SENTENCE = "한국어 모델을 공유합니다."
GOLDEN_IDS = (2, 4958, 6855, 2046, 7088, 1050, 7843, 54, 3)
"""What SKT's own tokenizer gives for GOLDEN_SENTENCE (kobert_hf/README.md)."""

PIECES_FILE = "spiece.model"
_PIECES_PATTERNS = (PIECES_FILE, "*.spiece", "tokenizer_78b3253a26.model", "tokenizer.model", "*.model")
_UNDERLINE = "▁"


class KoBERTTokenizer(SentencePieceBackend):
    """SentencePiece with KoBERT's own rules, right padding, `[CLS] sentence [SEP]`.

    Holds nothing that a call changes, so threads may share one. Text that spells a
    special token ("[SEP]") is read as text, unless `split_special_tokens=False`.
    """

    vocab_files_names: ClassVar = {"vocab_file": PIECES_FILE}
    model_input_names: ClassVar = ["input_ids", "token_type_ids", "attention_mask"]

    def __init__(self, vocab_file: str, **kwargs: Any) -> None:
        for name, token in zip(("unk", "pad", "cls", "sep", "mask"), SPECIAL_TOKENS, strict=True):
            kwargs.setdefault(f"{name}_token", token)
        kwargs.setdefault("split_special_tokens", True)
        kwargs.setdefault("model_max_length", 512)
        kwargs.update(special_tokens_pattern="cls_sep", token_type_ids_pattern="bert_style", padding_side="right")
        super().__init__(vocab_file=vocab_file, **kwargs)
        self._reserved = frozenset(SPECIAL_TOKENS[1:])

    def with_dropout(self, alpha: float) -> KoBERTTokenizer:
        """A tokenizer for training that draws its segmentation anew each time.

        Subword regularisation over all segmentations (Kudo 2018, arXiv:1804.10959; for a BPE model
        BPE-dropout, arXiv:1910.13267), as KoBERT's README shows: `nbest_size=-1`. `alpha` is the
        smoothing (unigram) or the dropout probability (BPE), 0 to 1.
        """
        sampling = {"enable_sampling": True, "nbest_size": -1, "alpha": alpha}
        return KoBERTTokenizer(self.vocab_file, model_max_length=self.model_max_length, sp_model_kwargs=sampling)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        pieces = []
        for piece in self.sp_model.encode(normalize(text), out_type=str):
            if piece in self._reserved:
                pieces.extend(piece)  # letter by letter: typed by a person, so not a special token
            elif len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
                pieces.extend(self._digits_and_comma(piece))
            else:
                pieces.append(piece)
        return pieces

    def _digits_and_comma(self, piece: str) -> list[str]:
        """SKT's (that is, XLNet's) rule: `1,000` must not have a piece `1,`."""
        digits = self.sp_model.encode(piece[:-1].replace(_UNDERLINE, ""), out_type=str)
        if piece[0] != _UNDERLINE and digits[0][0] == _UNDERLINE:
            digits = digits[1:] if len(digits[0]) == 1 else [digits[0][1:], *digits[1:]]
        return [*digits, piece[-1]]


def normalize(text: str) -> str:
    """What SKT's class does before SentencePiece, for a str of any length.

    Whitespace collapsed, `` and '' made quotation marks, accents dropped (NFKD without combining
    marks). Hangul comes out in conjoining letters; the pieces' own normaliser puts it together.
    """
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text


def find_pieces(folder: Path) -> Path | None:
    """The SentencePiece file of a KoBERT folder, whatever its layout calls it, or None.

    Looks in `folder`, then beside it: the old zip unpacks to `kobert_from_pretrained/` with the pieces next to it.
    """
    for place in (folder, folder.parent) if folder.name == "kobert_from_pretrained" else (folder,):
        for pattern in _PIECES_PATTERNS:
            if found := sorted(file for file in place.glob(pattern) if file.is_file()):
                return found[0]
    return None


def is_kobert(config: dict[str, Any], folder: Path) -> bool:
    """Whether `folder`, whose config.json is `config`, is KoBERT or a model made from it."""
    return config.get("vocab_size") == VOCABULARY_SIZE and find_pieces(folder) is not None


def read_tokenizer(folder: Path, strict: bool = False) -> KoBERTTokenizer:
    """The tokenizer of a KoBERT folder, its pieces verified.

    Raises EmotionError when the file is missing, unreadable, has other than 8,002 pieces or other
    special tokens, and, with `strict`, when it isn't SKT's vocabulary (`is_original`).
    """
    file = find_pieces(folder)
    if file is None:
        raise EmotionError("error.kobert.pieces_missing", folder=str(folder))
    processor = sentencepiece.SentencePieceProcessor()
    try:
        loaded = processor.LoadFromSerializedProto(file.read_bytes())
    except (OSError, RuntimeError) as error:
        raise EmotionError("error.kobert.pieces_damaged", file=str(file)) from error
    if not loaded or processor.get_piece_size() == 0:
        raise EmotionError("error.kobert.pieces_damaged", file=str(file))
    size = processor.get_piece_size()
    specials = tuple(processor.id_to_piece(i) for i in range(min(len(SPECIAL_TOKENS), size)))
    if size != VOCABULARY_SIZE or specials != SPECIAL_TOKENS:
        raise EmotionError("error.kobert.pieces_wrong", file=str(file), found=size, expected=VOCABULARY_SIZE,
                           specials=" ".join(specials))
    tokenizer = KoBERTTokenizer(str(file))
    if strict and not is_original(tokenizer):
        raise EmotionError("error.kobert.not_original", file=str(file), sentence=GOLDEN_SENTENCE)
    return tokenizer


def is_original(tokenizer: KoBERTTokenizer) -> bool:
    """Whether the vocabulary is SKT's own, by GOLDEN_IDS."""
    return tuple(tokenizer(GOLDEN_SENTENCE)["input_ids"]) == GOLDEN_IDS


class _KoBERTConfig(BertConfig):
    """Only the key under which transformers finds the tokenizer's class by its name."""

    model_type = "kobert"


AutoTokenizer.register(_KoBERTConfig, slow_tokenizer_class=KoBERTTokenizer, exist_ok=True)
