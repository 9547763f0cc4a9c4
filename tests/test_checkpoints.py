"""The notebook's checkpoint: the same logits as its own model, and everything else refused with nothing left behind."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertModel

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.checkpoints import import_checkpoint
from tests.tiny_kobert import save_tiny_kobert


class BERTClassifier(nn.Module):
    """The notebook's model, restated."""

    def __init__(self, bert: BertModel, classes: int = 7) -> None:
        super().__init__()
        self.bert = bert
        self.classifier = nn.Linear(bert.config.hidden_size, classes)
        self.dropout = nn.Dropout(p=0.5)

    def forward(self, token_ids: torch.Tensor, valid_length: list[int], segment_ids: torch.Tensor) -> torch.Tensor:
        mask = torch.zeros_like(token_ids)
        for row, length in enumerate(valid_length):
            mask[row][:length] = 1
        pooler = self.bert(input_ids=token_ids, token_type_ids=segment_ids.long(), attention_mask=mask.float())[1]
        return self.classifier(self.dropout(pooler))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_kobert(tmp_path / "base")


@pytest.fixture
def notebook(base: Path) -> BERTClassifier:
    torch.manual_seed(3)
    return BERTClassifier(BertModel.from_pretrained(base)).eval()


def checkpoint_of(model: nn.Module) -> dict[str, object]:
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.tensor([[2, 5, 3]]), [3], torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    return {"epoch": 10, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()}


SENTENCES = ["오늘 정말 행복해요", "1,000원이 없어졌어요 ㅠㅠ", "무서워"]


def logits_of(notebook: BERTClassifier, classifier: EmotionClassifier) -> torch.Tensor:
    """The notebook's forward on ids padded to 64, as it fed them."""
    ids = classifier._tokenizer(SENTENCES)["input_ids"]
    padded = torch.tensor([row + [1] * (64 - len(row)) for row in ids])
    with torch.no_grad():
        return notebook.eval()(padded, [len(row) for row in ids], torch.zeros_like(padded))


@pytest.mark.parametrize("form", ["notebook", "bare", "module", "position_ids"])
def test_every_form_gives_the_notebooks_logits(
        form: str, notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    content = checkpoint_of(notebook)
    state = dict(content["model_state_dict"])
    if form == "bare":
        content = state
    elif form == "module":
        content["model_state_dict"] = {f"module.{key}": value for key, value in state.items()}
    elif form == "position_ids":
        content["model_state_dict"] = state | {"bert.embeddings.position_ids": torch.arange(512)[None]}
    torch.save(content, tmp_path / "model_10.tar")
    folder = import_checkpoint(tmp_path / "model_10.tar", "old", base)
    assert folder == weights / "old" and sorted(path.name for path in weights.iterdir()) == ["old"]
    classifier = EmotionClassifier.load("old")
    found = torch.stack([torch.from_numpy(p.logits) for p in classifier.predict_many(SENTENCES)])
    torch.testing.assert_close(found, logits_of(notebook, classifier), atol=1e-5, rtol=0)


def test_the_older_file_format_is_read_too(notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "old.tar", _use_new_zipfile_serialization=False)
    assert import_checkpoint(tmp_path / "old.tar", "old", base).is_dir()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.file), "w"))


def write_bad(kind: str, notebook: BERTClassifier, file: Path) -> None:
    content = checkpoint_of(notebook)
    state = dict(content["model_state_dict"])
    if kind == "objects":
        content["extra"] = Evil(file.with_name("owned"))
    elif kind == "whole model":
        torch.save(notebook, file)
        return
    elif kind == "classes":
        state |= {"classifier.weight": torch.zeros(6, 16), "classifier.bias": torch.zeros(6)}
    elif kind == "shape":
        state["bert.pooler.dense.weight"] = torch.zeros(16, 17)
    elif kind == "expanded":
        state["bert.pooler.dense.weight"] = torch.zeros(1).expand(10**7, 10**7)
    elif kind == "missing":
        del state["bert.pooler.dense.bias"]
    elif kind == "unexpected":
        state["bert.extra"] = torch.zeros(3)
    elif kind == "nan":
        state["classifier.bias"] = torch.full((7,), float("nan"))
    elif kind == "not a dict":
        torch.save([1, 2, 3], file)
        return
    elif kind == "no weights":
        torch.save({"epoch": 3}, file)
        return
    content["model_state_dict"] = state
    torch.save(content, file)
    whole = file.read_bytes()
    if kind == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "text":
        file.write_text("이것은 모델이 아닙니다")
    elif kind == "bomb":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\0" * 50_000_000)


@pytest.mark.parametrize(("kind", "key"), [
    ("objects", "error.checkpoint.objects"), ("whole model", "error.checkpoint.objects"),
    ("classes", "error.checkpoint.classes"), ("shape", "error.checkpoint.shape"),
    ("expanded", "error.checkpoint.shape"), ("missing", "error.checkpoint.shape"),
    ("unexpected", "error.checkpoint.shape"), ("nan", "error.checkpoint.values"),
    ("not a dict", "error.checkpoint.not_notebook"), ("no weights", "error.checkpoint.not_notebook"),
    ("truncated", "error.checkpoint.damaged"), ("empty", "error.checkpoint.damaged"),
    ("text", "error.checkpoint.damaged"), ("bomb", "error.checkpoint.bomb"),
])
def test_anything_else_is_refused_in_one_sentence(
        kind: str, key: str, notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "model_10.tar"
    write_bad(kind, notebook, file)
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(file, "old", base)
    assert caught.value.key == key
    assert "\n" not in caught.value.text("ko") and "\n" not in caught.value.text("en")
    assert list(weights.iterdir()) == [], "nothing may be left behind"
    assert not (tmp_path / "owned").exists(), "nothing in the file may run"


def test_the_missing_file_and_a_base_of_another_make(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(EmotionError, match=r"no\.tar"):
        import_checkpoint(tmp_path / "no.tar", "old", base)
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    from transformers import ElectraConfig

    ElectraConfig(vocab_size=8002, embedding_size=16, hidden_size=16, num_hidden_layers=1,
                  num_attention_heads=2).save_pretrained(base)
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(tmp_path / "model.tar", "old", base)
    assert caught.value.key == "error.checkpoint.base"


@pytest.mark.parametrize("name", ["../old", "a/b", "a\\b", ".hidden", "", " ", "bundled", "Runs", "x" * 61, "CON"])
def test_a_name_that_is_no_folders_is_refused(name: str, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(tmp_path / "whatever", name, tmp_path)
    assert caught.value.key == "error.name.invalid"


def test_a_taken_name_is_refused_and_the_old_model_stays(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    folder = import_checkpoint(tmp_path / "model.tar", "내 모델 1", base)
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(tmp_path / "model.tar", "내 모델 1", base)
    assert caught.value.key == "error.name.taken"
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_full_disk_leaves_nothing(notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("emotion_core.kobert.KoBERTTokenizer.save_pretrained", full)
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(tmp_path / "model.tar", "old", base)
    assert caught.value.key == "error.disk_full" and list(weights.iterdir()) == []
