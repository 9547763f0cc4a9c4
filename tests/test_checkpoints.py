"""The notebook's checkpoint: the same logits as its own model, and everything else refused with nothing left behind."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import BertModel

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.checkpoints import _check_values, import_checkpoint
from emotion_core.messages import message
from emotion_core.models import saved_models
from tests.conftest import ROOT
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


def names(weights: Path) -> list[str]:
    """What is in the folder besides its lock."""
    return sorted(path.name for path in weights.iterdir() if path.name != ".lock")


SENTENCES = ["오늘 정말 행복해요", "1,000원이 없어졌어요 ㅠㅠ", "무서워"]


def logits_of(notebook: BERTClassifier, classifier: EmotionClassifier) -> torch.Tensor:
    """The notebook's forward on ids padded to 64, as it fed them."""
    ids = classifier._tokenizer(SENTENCES)["input_ids"]
    padded = torch.tensor([row + [1] * (64 - len(row)) for row in ids])
    with torch.no_grad():
        return notebook.eval()(padded, [len(row) for row in ids], torch.zeros_like(padded))


@pytest.mark.parametrize("form", ["notebook", "bare", "module", "position_ids", "model", "double", "half"])
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
    elif form == "model":
        content = {"epoch": 1, "model": state, "optimizer": content["optimizer_state_dict"]}
    elif form == "double":
        content["model_state_dict"] = {key: value.double() for key, value in state.items()}
    elif form == "half":
        notebook.half().float()
        content["model_state_dict"] = {key: value.half() for key, value in state.items()}
    torch.save(content, tmp_path / "model_10.tar")
    folder = import_checkpoint(tmp_path / "model_10.tar", "old", base)
    assert folder == weights / "old" and names(weights) == ["old"]
    classifier = EmotionClassifier.load("old")
    found = torch.stack([torch.from_numpy(p.logits) for p in classifier.predict_many(SENTENCES)])
    torch.testing.assert_close(found, logits_of(notebook, classifier), atol=1e-5, rtol=0)


def test_the_older_file_format_is_read_too(notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "old.tar", _use_new_zipfile_serialization=False)
    assert import_checkpoint(tmp_path / "old.tar", "old", base).is_dir()


@pytest.mark.parametrize("new", [True, False])
def test_an_open_file_is_read_without_a_copy(
        new: bool, notebook: BERTClassifier, base: Path, weights: Path) -> None:
    upload = io.BytesIO()
    torch.save(checkpoint_of(notebook), upload, _use_new_zipfile_serialization=new)
    import_checkpoint(upload, "old", base)
    classifier = EmotionClassifier.load("old")
    found = torch.stack([torch.from_numpy(p.logits) for p in classifier.predict_many(SENTENCES)])
    torch.testing.assert_close(found, logits_of(notebook, classifier), atol=1e-5, rtol=0)
    for bad in (b"", b"text", upload.getvalue()[:5000]):
        broken = io.BytesIO(bad)
        broken.name = "../model.tar"
        with pytest.raises(EmotionError) as caught:
            import_checkpoint(broken, "other", base)
        assert caught.value.values == {"file": "model.tar"}


def test_a_base_with_another_vocabulary_is_said(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    said: list[EmotionError] = []
    import_checkpoint(tmp_path / "model.tar", "old", base, warn=said.append)
    assert len(said) == 1 and str(base) in said[0].text("ko") and str(base) in said[0].text("en")
    monkeypatch.setattr("emotion_core.kobert.is_original", lambda _: True)
    import_checkpoint(tmp_path / "model.tar", "other", base, warn=said.append)
    assert len(said) == 1


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.file), "w"))


STRANGE = {
    "meta": lambda: torch.zeros(7, 16, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    "sparse": lambda: torch.eye(7, 16).to_sparse(),
    "csr": lambda: torch.eye(7, 16).to_sparse_csr(),
    "float8": lambda: torch.zeros(7, 16).to(torch.float8_e4m3fn),
    "complex": lambda: torch.zeros(7, 16, dtype=torch.complex64),
    "whole numbers": lambda: torch.zeros(7, 16, dtype=torch.int64),
    "quantised": lambda: torch.quantize_per_tensor(torch.zeros(7, 16), 0.1, 0, torch.qint8),
}


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
    elif kind == "twice":
        state |= {f"module.{key}": torch.zeros_like(value) for key, value in state.items()}
    elif kind == "numbered":
        state = dict(enumerate(state.values()))
    elif kind in STRANGE:
        state["classifier.weight"] = STRANGE[kind]()
    elif kind == "double":
        state["classifier.bias"] = torch.full((7,), 1e300, dtype=torch.float64)
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
    assert names(weights) == [], "nothing may be left behind"
    assert not (tmp_path / "owned").exists(), "nothing in the file may run"


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "stored zip"])
def test_an_archive_that_holds_the_checkpoint_is_told_from_a_damaged_one(
        kind: str, notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    """As a cloud drive packs a download of several files, or as somebody took the name .tar at its word."""
    torch.save(checkpoint_of(notebook), tmp_path / "inside.tar")
    file = tmp_path / "model_10.tar"
    if kind.startswith("tar"):
        with tarfile.open(file, "w:gz" if kind == "tar.gz" else "w") as archive:
            archive.add(tmp_path / "inside.tar", "inside.tar")
    else:
        packing = zipfile.ZIP_STORED if kind == "stored zip" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(file, "w", packing) as archive:
            archive.write(tmp_path / "inside.tar", "inside.tar")
    assert refusal(file, base) == "error.checkpoint.archive"
    assert refusal(io.BytesIO(file.read_bytes()), base) == "error.checkpoint.archive"
    assert names(weights) == []


@pytest.mark.parametrize("key", ["bert.\nx", "bert." + "y" * 5000, "bert.\u202egnp"])
def test_a_long_or_broken_name_in_the_file_stays_one_short_sentence(
        key: str, notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(notebook.state_dict() | {key: torch.zeros(2)}, tmp_path / "model.tar")
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(tmp_path / "model.tar", "old", base)
    for said in (caught.value.text("ko"), caught.value.text("en")):
        assert "bert." in said and len(said) < 400 and said.isprintable()


PLAIN = r"""
import re, sys
from transformers import AutoTokenizer
try:
    AutoTokenizer.from_pretrained(sys.argv[1])
except Exception:
    print("refused")
card = open(sys.argv[1] + "/README.md", encoding="utf-8").read()
code = re.search("```python\n(.*?)\n```", card, re.S)[1].replace("PATH/TO/THIS/FOLDER", sys.argv[1])
first, pipeline, use = code.split("\n")
exec(first), exec(pipeline)
print([one["label"] for one in eval(use)[0]])
"""


def test_transformers_alone_refuses_the_folder_and_its_card_says_how_to_open_it(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model_10.tar")
    steps: list[str] = []
    folder = import_checkpoint(tmp_path / "model_10.tar", "old", base, step=steps.append)
    assert steps == ["import.reading", "import.base", "import.checking", "import.writing"]
    card = (folder / "README.md").read_text("utf-8")
    assert "# old" in card and "model_10.tar" in card and "0 공포 (fear)" in card
    assert message("card.opening_ours", "ko") in card and message("card.opening_ours", "en") in card
    ran = subprocess.run([sys.executable, "-c", PLAIN, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    refused_, labels = ran.stdout.splitlines()
    expected = [score.label for score in EmotionClassifier.load("old").predict("아파요").ranked[:2]]
    assert refused_ == "refused" and labels == str(expected)


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


def test_a_legacy_file_that_announces_more_than_it_holds_is_refused(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    """The older format sets memory aside by what it is told; the bytes never come."""
    file = tmp_path / "model.tar"
    state = dict(notebook.state_dict())
    state["bert.pooler.dense.weight"] = torch.zeros(123_456_789)[:256].view(16, 16)
    torch.save(state, file, _use_new_zipfile_serialization=False)
    with file.open("rb+") as written:
        written.truncate(3_000_000)
    assert refusal(file, base) in {"error.checkpoint.damaged", "error.checkpoint.bomb"}
    torch.save(state, file)
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "cut.tar", "w", zipfile.ZIP_STORED) as cut:
        for entry in whole.infolist():
            content = whole.read(entry)
            cut.writestr(entry.filename, content if len(content) < 10_000_000 else content[:64])
    assert refusal(tmp_path / "cut.tar", base) in {"error.checkpoint.damaged", "error.checkpoint.bomb"}
    assert names(weights) == []


def test_tensors_that_no_file_could_hold_are_never_touched() -> None:
    value = torch.zeros(1000)
    with pytest.raises(EmotionError) as caught:
        _check_values({"classifier.weight": value}, "x.tar", 3999)
    assert caught.value.key == "error.checkpoint.bomb"
    _check_values({"classifier.weight": value, "again": value[:10]}, "x.tar", 4000)


def refusal(file: Path | io.BytesIO, base: Path, name: str = "old") -> str:
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(file, name, base)
    assert "\n" not in caught.value.text("ko") and "\n" not in caught.value.text("en")
    return caught.value.key


@pytest.mark.parametrize("file", ["no.tar", "x" * 5000, "\0", ".", "/dev/null", ""])
def test_a_path_that_is_no_file(file: str, base: Path, weights: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path / file, base) == "error.checkpoint.missing"


def test_a_bad_name_is_said_before_the_file_is_read(weights: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.tar", tmp_path, "../old") == "error.name.invalid"


def test_a_taken_name_is_refused_and_the_old_model_stays(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    folder = import_checkpoint(tmp_path / "model.tar", "내 모델 1", base)
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(EmotionError) as caught:
        import_checkpoint(tmp_path / "model.tar", "내 모델 1", base)
    assert caught.value.key == "error.name.taken"
    assert (folder / "model.safetensors").read_bytes() == before


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_for_safetensors(*_: object, **__: object) -> None:
    raise SafetensorError('Error while serializing: I/O error: No space left on device (os error 28)')


@pytest.mark.parametrize(("where", "failure"), [
    ("emotion_core.kobert.KoBERTTokenizer.save_pretrained", full_disk),
    ("transformers.BertForSequenceClassification.save_pretrained", full_for_safetensors),
    ("pathlib.Path.mkdir", full_disk), ("tempfile.mkdtemp", full_disk), ("os.fsync", full_disk),
    ("shutil.disk_usage", lambda _: SimpleNamespace(free=1000)),
])
def test_a_full_disk_leaves_nothing(where: str, failure: object, notebook: BERTClassifier, base: Path, weights: Path,
                                    tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    monkeypatch.setattr(where, failure)
    assert refusal(tmp_path / "model.tar", base) == "error.disk_full"
    assert names(weights) == []


def test_a_weights_folder_that_cannot_be_made_or_read(
        notebook: BERTClassifier, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    monkeypatch.setenv("EMOTION_WEIGHTS", str(tmp_path / "model.tar"))
    assert refusal(tmp_path / "model.tar", base) == "error.unwritable"
    monkeypatch.setenv("EMOTION_WEIGHTS", str(tmp_path / "model.tar" / "weights"))
    assert refusal(tmp_path / "model.tar", base) == "error.unwritable"


KILLED = """
import os, sys
from emotion_core import checkpoints
checkpoints._settle = lambda folder: os._exit(9)  # as a kill between writing and naming
checkpoints.import_checkpoint(sys.argv[1], "old", sys.argv[2])
"""


def test_what_a_kill_left_is_swept_away_by_the_next_import(
        notebook: BERTClassifier, base: Path, weights: Path, tmp_path: Path) -> None:
    torch.save(checkpoint_of(notebook), tmp_path / "model.tar")
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "model.tar", base], cwd=ROOT, check=False)
    assert killed.returncode == 9 and names(weights)[0].startswith(".importing-")
    assert saved_models() == []
    import_checkpoint(tmp_path / "model.tar", "old", base)
    assert names(weights) == ["old"]
