"""KoBERT's tokenizer on today's transformers, and how to recognise KoBERT's files.

Gives the same ids as SKT's `KoBERTTokenizer` (github.com/SKTBrain/KoBERT,
kobert_hf), which transformers 5 can't run. Not for fetching files (`hub`) or for
the network itself, which is a plain `BertModel`.
"""

from __future__ import annotations

import shutil
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
NUMBERS_FILE = "vocab.txt"
_PIECES_PATTERNS = (PIECES_FILE, "*.spiece", "tokenizer_78b3253a26.model", "tokenizer.model", "*.model")
_UNDERLINE = "▁"


class KoBERTTokenizer(SentencePieceBackend):
    """SentencePiece with KoBERT's own rules, right padding, `[CLS] sentence [SEP]`.

    Holds nothing that a call changes, so threads may share one. Text that spells a
    special token ("[SEP]") is read as text, unless `split_special_tokens=False`. The oldest pieces
    (tokenizer_78b3253a26.model, as in monologg/kobert) number themselves otherwise than the network
    does: its numbers are the lines of `vocab_txt` then.
    """

    vocab_files_names: ClassVar = {"vocab_file": PIECES_FILE, "vocab_txt": NUMBERS_FILE}
    model_input_names: ClassVar = ["input_ids", "token_type_ids", "attention_mask"]

    def __init__(self, vocab_file: str, vocab_txt: str | None = None, **kwargs: Any) -> None:
        self.vocab_txt = vocab_txt
        for name, token in zip(("unk", "pad", "cls", "sep", "mask"), SPECIAL_TOKENS, strict=True):
            kwargs.setdefault(f"{name}_token", token)
        kwargs.setdefault("split_special_tokens", True)
        kwargs.setdefault("model_max_length", 512)
        kwargs.update(special_tokens_pattern="cls_sep", token_type_ids_pattern="bert_style", padding_side="right")
        super().__init__(vocab_file=vocab_file, vocab_txt=vocab_txt, **kwargs)
        self._reserved = frozenset(SPECIAL_TOKENS[1:])

    def with_dropout(self, alpha: float) -> KoBERTTokenizer:
        """A tokenizer for training that draws its segmentation anew each time.

        Subword regularisation over all segmentations (Kudo 2018, arXiv:1804.10959; for a BPE model
        BPE-dropout, arXiv:1910.13267), as KoBERT's README shows: `nbest_size=-1`. `alpha` is the
        smoothing (unigram) or the dropout probability (BPE), 0 to 1.
        """
        sampling = {"enable_sampling": True, "nbest_size": -1, "alpha": alpha}
        return KoBERTTokenizer(self.vocab_file, self.vocab_txt, model_max_length=self.model_max_length,
                               sp_model_kwargs=sampling)

    @property
    def sp_model(self) -> Any:
        """The SentencePiece processor, numbered as the network is."""
        return self._processor

    @sp_model.setter
    def sp_model(self, processor: Any) -> None:
        self._processor = _Renumbered(processor, read_numbers(Path(self.vocab_txt))) if self.vocab_txt else processor

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the pieces, and their numbers where those are in a file of their own."""
        saved = super().save_vocabulary(save_directory, filename_prefix)
        if not self.vocab_txt:
            return saved
        target = Path(save_directory, f"{filename_prefix}-{NUMBERS_FILE}" if filename_prefix else NUMBERS_FILE)
        if not (target.exists() and target.samefile(self.vocab_txt)):
            shutil.copyfile(self.vocab_txt, target)
        return (*saved, str(target))

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


class _Renumbered:
    """A SentencePiece processor whose pieces have the numbers of another list; what isn't in it is [UNK]."""

    def __init__(self, processor: Any, tokens: list[str]) -> None:
        self.processor = processor
        self.tokens = tokens
        self.numbers = {token: number for number, token in enumerate(tokens)}

    def encode(self, text: str, out_type: type = str) -> list[str] | list[int]:
        pieces = self.processor.encode(text, out_type=str)
        return pieces if out_type is str else [self.piece_to_id(piece) for piece in pieces]

    def piece_to_id(self, piece: str) -> int:
        return self.numbers.get(piece, 0)

    def id_to_piece(self, number: int) -> str:
        return self.tokens[number]

    IdToPiece = id_to_piece  # the name by which transformers asks

    def get_piece_size(self) -> int:
        return len(self.tokens)

    def serialized_model_proto(self) -> bytes:
        return self.processor.serialized_model_proto()


def read_numbers(file: Path) -> list[str]:
    """The tokens of a vocab.txt, a line each, in the order of their numbers."""
    return [line.strip() for line in file.read_text("utf-8").split("\n")[:VOCABULARY_SIZE]]


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
    numbers = None
    if size != VOCABULARY_SIZE or specials != SPECIAL_TOKENS:
        numbers = _find_numbers(file)
        if numbers is None:
            raise EmotionError("error.kobert.pieces_wrong", file=str(file), found=size, expected=VOCABULARY_SIZE,
                               specials=" ".join(specials))
    tokenizer = KoBERTTokenizer(str(file), str(numbers) if numbers else None)
    if strict and not is_original(tokenizer):
        raise EmotionError("error.kobert.not_original", file=str(file), sentence=GOLDEN_SENTENCE)
    return tokenizer


def _find_numbers(pieces: Path) -> Path | None:
    """The vocab.txt beside `pieces`, if it is KoBERT's by its size and special tokens."""
    file = pieces.with_name(NUMBERS_FILE)
    try:
        tokens = read_numbers(file)
    except (OSError, ValueError):
        return None
    return file if len(tokens) == VOCABULARY_SIZE and tuple(tokens[:len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS else None


def is_original(tokenizer: KoBERTTokenizer) -> bool:
    """Whether the vocabulary is SKT's own, by GOLDEN_IDS."""
    return tuple(tokenizer(GOLDEN_SENTENCE)["input_ids"]) == GOLDEN_IDS


class _KoBERTConfig(BertConfig):
    """Only the key under which transformers finds the tokenizer's class by its name."""

    model_type = "kobert"


AutoTokenizer.register(_KoBERTConfig, slow_tokenizer_class=KoBERTTokenizer, exist_ok=True)
