"""The shell: JSON on stdout, one sentence on stderr, exit status."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertModel

from emotion_core import EmotionClassifier
from emotion_core.cli import main
from emotion_core.labels import LABELS
from emotion_core.messages import message
from emotion_core.phrasing import describe
from tests.conftest import ROOT
from tests.test_checkpoints import BERTClassifier
from tests.tiny_kobert import save_tiny_kobert


def run(*arguments: str | bytes, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m emotion_core` as a process of its own, in another folder than the project's."""
    result = subprocess.run(
        [sys.executable, "-m", "emotion_core", *arguments], input=stdin, capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment}, cwd="/",
    )
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout.decode(), result.stderr.decode())


def test_predict_prints_one_json_object_a_line(tiny_folder: Path, tiny: EmotionClassifier) -> None:
    result = run("predict", "아파요", "ㅋㅋㅋ개웃겨", "--model", str(tiny_folder))
    assert result.returncode == 0 and result.stderr == ""
    for line, sentence in zip(result.stdout.splitlines(), ["아파요", "ㅋㅋㅋ개웃겨"], strict=True):
        found, expected = json.loads(line), tiny.predict(sentence)
        assert list(found) == ["text", "top", "second", "logits", "probabilities"]
        assert found["text"] == sentence
        assert found["top"]["label"] == expected.top.label
        assert found["top"]["probability"] == pytest.approx(expected.top.probability, abs=1e-5)
        assert (found["second"] is None) == (expected.second is None)
        assert list(found["logits"]) == list(found["probabilities"]) == list(LABELS)
        assert list(found["logits"].values()) == pytest.approx(expected.logits.tolist(), abs=1e-4)


def test_sentences_from_standard_input(tiny_folder: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.TextIOWrapper(io.BytesIO("\ufeff아파요\r\n\n와 대박\n".encode()))
    monkeypatch.setattr(sys, "stdin", lines)
    assert main(["predict", "--model", str(tiny_folder)]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["아파요", "와 대박"]


def test_undecodable_bytes_and_a_foreign_locale_do_no_harm(tiny_folder: Path) -> None:
    sentence = b"\xff\xfe " + "아파 😂".encode()
    result = run("predict", sentence, "--model", str(tiny_folder), PYTHONIOENCODING="cp949")
    assert result.returncode == 0 and result.stderr == ""
    assert json.loads(result.stdout)["text"].endswith("아파 😂")


def test_an_empty_sentence_is_said_and_the_others_are_scored(tiny_folder: Path, capsys) -> None:
    assert main(["predict", "  ", "아파요", "--model", str(tiny_folder)]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["아파요"]
    assert "비어" in err and len(err.splitlines()) == 1


def test_a_cut_sentence_is_said(tiny_folder: Path, capsys) -> None:
    assert main(["predict", "가" * 100, "--model", str(tiny_folder)]) == 0
    assert "32토큰" in capsys.readouterr().err


@pytest.mark.parametrize(("language", "words"), [("ko", "찾을 수 없습니다"), ("en", "There is no model")])
def test_a_failure_is_one_sentence_in_the_readers_language(language: str, words: str) -> None:
    result = run("predict", "안녕", "--model", "없는모델", EMOTION_LANGUAGE=language)
    assert result.returncode == 1 and result.stdout == ""
    assert words in result.stderr and len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback() -> None:
    result = run("predict", "안녕", "--model", "없는모델", "--debug")
    assert result.returncode == 1 and "Traceback" in result.stderr


def test_an_unforeseen_error_is_one_sentence_too(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("첫째 줄\n둘째 줄")

    monkeypatch.setattr(EmotionClassifier, "load", broken)
    assert main(["predict", "안녕"]) == 1
    err = capsys.readouterr().err
    assert "첫째 줄" in err and "둘째 줄" not in err and "--debug" in err


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["predict", "--no-such-option"]])
def test_wrong_arguments_exit_with_two(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_package_imports_no_streamlit_and_no_torch_until_it_loads_a_model() -> None:
    code = "import sys, emotion_core, emotion_core.cli; assert not {'torch', 'streamlit', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_no_module_of_the_core_imports_streamlit() -> None:
    for file in (ROOT / "emotion_core").rglob("*.py"):
        assert "streamlit" not in [word for line in file.read_text("utf-8").splitlines()
                                   if line.strip().startswith(("import ", "from ")) for word in line.split()], file


def test_chat_answers_until_zero(tiny_folder: Path) -> None:
    done = run("chat", "--model", str(tiny_folder), stdin="안녕하세요\n\n   \n고마워\n 0 \n이것은 읽지 않음\n".encode())
    sentences = [describe(EmotionClassifier.load(tiny_folder).predict(text), "ko") for text in ("안녕하세요", "고마워")]
    assert done.returncode == 0
    assert done.stdout.splitlines() == sentences
    assert done.stderr.splitlines() == [message("error.sentence.empty", "ko")] * 2


def test_chat_ends_with_its_input(tiny_folder: Path) -> None:
    done = run("chat", "--model", str(tiny_folder), stdin="안녕".encode())
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


def test_import_then_predict(weights: Path, tmp_path: Path) -> None:
    base = save_tiny_kobert(tmp_path / "base")
    model = BERTClassifier(BertModel.from_pretrained(base))
    torch.save({"epoch": 1, "model_state_dict": model.state_dict(), "optimizer_state_dict": {}}, tmp_path / "m.tar")
    done = run("import", str(tmp_path / "m.tar"), "--name", "옛 모델", "--base", str(base))
    assert json.loads(done.stdout) == {"model": "옛 모델", "folder": str(weights / "옛 모델")}, done.stderr
    assert done.returncode == 0
    assert json.loads(run("predict", "안녕", "--model", "옛 모델").stdout)["text"] == "안녕"
    again = run("import", str(tmp_path / "m.tar"), "--name", "옛 모델", "--base", str(base))
    assert again.returncode == 1 and again.stdout == ""
    assert again.stderr.strip() == message("error.name.taken", "ko", name="옛 모델")
