"""Which number format this machine computes fastest in, measured once and remembered.

bfloat16 halves the work where the processor multiplies it (AVX512-BF16, AMX, newer ARM) and
multiplies it where it doesn't: no flag tells by how much, a few milliseconds of measuring do.
How much faster int8 products are is measured here too; what makes them faithful is `cascade`'s.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
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
        return torch.bfloat16 if remembered("bfloat16_gain", measure) >= WORTH_IT else torch.float32
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return torch.bfloat16
        return torch.float16 if capability >= (7, 0) else torch.float32
    return torch.float32


def is_free(precision: str) -> bool:
    """Whether `precision`, and EMOTION_PRECISION for "auto", leave the number format to what is faster."""
    return precision == "auto" and os.environ.get("EMOTION_PRECISION", "auto") in ("", "auto")


def int8_gain(dtype: torch.dtype) -> float:
    """How many times as fast as one in `dtype` a product in int8 is on this machine's CPU."""
    return remembered(f"int_mm_gain_over_{str(dtype).removeprefix('torch.')}", lambda: measure_int8(dtype))


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


def remembered(name: str, measured: Callable[[], float]) -> float:
    """What the cache has under `name`, or `measured` now, to four digits."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        return float(_known()[name])
    value = float(f"{measured():.4g}")  # never done, damaged, or not ours to read
    with contextlib.suppress(OSError, RuntimeError):  # read-only home: measured again next time
        remember(name, value)
    return value


def _known() -> dict[str, object]:
    """What was measured on this machine. Raises what reading a file and odd JSON raise."""
    known = json.loads(cache_file().read_text("utf-8"))
    return known if known["machine"] == _machine() else {}


def remember(name: str, value: float) -> None:
    """Keep `value` as this machine's. Raises OSError where the cache can't be written."""
    file = cache_file()
    known: dict[str, object] = {}
    with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        known = _known()
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=file.parent, prefix=".precision-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({**known, "machine": _machine(), name: value}, stream)
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
    weight, bias, x = torch.randn(outputs, inputs), torch.randn(outputs), torch.randn(tokens, inputs)
    exact, rounded = (Linear(weight, bias, dtype) for dtype in (torch.float32, torch.bfloat16))
    few = x.to(torch.bfloat16)
    return _ratio(lambda: exact(x), lambda: rounded(few), repeats)


def measure_int8(dtype: torch.dtype, tokens: int = 512, inputs: int = 768, outputs: int = 3072,
                 repeats: int = 5) -> float:
    """Time of one product in `dtype`, of an encoder's shape in bulk, over that of an int8 one, rounding included;
    0 where there is no kernel."""
    import torch

    from .int8 import Int8Linear, steps
    from .packed import Linear

    exact = Linear(torch.randn(outputs, inputs), torch.randn(outputs), dtype)
    x = torch.randn(tokens, inputs)
    same = x.to(dtype)
    try:
        rounded = Int8Linear(exact, steps())
    except RuntimeError:  # torch has the function and nothing behind it
        return 0.0
    return _ratio(lambda: exact(same, "gelu"), lambda: rounded(x, "gelu"), repeats)


def _ratio(slow: Callable[[], object], fast: Callable[[], object], repeats: int) -> float:
    """The shortest time of `slow` over that of `fast`, each `repeats` times on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times: tuple[list[float], list[float]] = ([], [])
    try:
        with torch.inference_mode():
            for _ in range(repeats + 1):  # the first is to warm up, then the two in turn
                for side, taken in zip((slow, fast), times, strict=True):
                    begun = time.perf_counter()
                    side()
                    taken.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)
    return min(times[0][1:]) / min(times[1][1:])
