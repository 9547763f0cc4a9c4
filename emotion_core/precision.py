"""Which number format this machine computes fastest in, measured once and remembered.

bfloat16 halves the work where the processor multiplies it (AVX512-BF16, AMX, newer ARM) and
multiplies it where it doesn't: no flag tells by how much, a few milliseconds of measuring do.
Not for int8: as it comes it changes the emotion of too many sentences.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .messages import EmotionError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "float32", "bfloat16")
WORTH_IT = 1.2
"""bfloat16 is taken when this many times as fast as float32: below that, exactness is the better bargain."""


def resolve(precision: str, device: torch.device) -> torch.dtype:
    """The dtype that `precision`, one of PRECISIONS, means on `device`.

    "auto": what EMOTION_PRECISION names, else bfloat16 or float16 on a CUDA device that has them, the
    measured choice on a CPU, else float32. Raises EmotionError for another name.
    """
    import torch

    if precision == "auto":
        precision = os.environ.get("EMOTION_PRECISION") or "auto"
    if precision not in PRECISIONS:
        raise EmotionError("error.precision", precision=precision, names=", ".join(PRECISIONS))
    if precision != "auto":
        return getattr(torch, precision)
    if device.type == "cpu":
        return torch.bfloat16 if _bfloat16_gain() >= WORTH_IT else torch.float32
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return torch.bfloat16
        return torch.float16 if capability >= (7, 0) else torch.float32
    return torch.float32


def cache_file() -> Path:
    """Where the measurement is kept: the user's cache folder, or the folder that EMOTION_CACHE names."""
    if named := os.environ.get("EMOTION_CACHE"):
        return Path(named) / "precision.json"
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "emotion-studio" / "precision.json"


def _bfloat16_gain() -> float:
    """How many times as fast as float32 bfloat16 is here, from the cache or measured now."""
    try:
        known = json.loads(cache_file().read_text("utf-8"))
        if known["machine"] == _machine():
            return float(known["bfloat16_gain"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        pass  # never measured, damaged, or not ours to read: measure
    gain = measure()
    with contextlib.suppress(OSError, RuntimeError):  # read-only home: measured again next time
        remember(gain)
    return gain


def remember(gain: float) -> None:
    """Keep `gain` as this machine's. Raises OSError where the cache can't be written."""
    file = cache_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=file.parent, prefix=".precision-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({"machine": _machine(), "bfloat16_gain": round(gain, 2)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, file)
    except OSError:
        Path(fresh).unlink(missing_ok=True)
        raise


def _machine() -> str:
    """What the measurement depends on; after a change of any of it, it is taken anew."""
    import torch

    name = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {name} {capability}, torch {torch.__version__}"


def measure(tokens: int = 64, inputs: int = 768, outputs: int = 3072, repeats: int = 20) -> float:
    """Time of one float32 product of an encoder's shape over that of a bfloat16 one; 0 where there is no kernel.

    The answer is remembered, so it must be right on a busy machine too: the best of many short ones, each by one
    thread, since two that wait for each other are interrupted nearly always.
    """
    import torch

    from .packed import Linear, has_bfloat16

    if not has_bfloat16():
        return 0.0
    weight, bias = torch.randn(outputs, inputs), torch.randn(outputs)
    best: dict[torch.dtype, list[float]] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            sides = [(Linear(weight, bias, dtype), torch.randn(tokens, inputs).to(dtype))
                     for dtype in (torch.float32, torch.bfloat16)]
            for _ in range(repeats + 1):  # the first is to warm up, then the two in turn
                for linear, x in sides:
                    begun = time.perf_counter()
                    linear(x)
                    best.setdefault(x.dtype, []).append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)
    return min(best[torch.float32][1:]) / min(best[torch.bfloat16][1:])
