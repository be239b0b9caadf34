"""The run that made a version: releases of the libraries, device, threads, processor, time and memory.

Importing this module imports Keras and its backend.
"""

import os
import platform
import resource
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from models.engines.keras import backend, sees_gpu
from models.types import JsonObject

CPU_INFO = Path("/proc/cpuinfo")
INTRA_OP = "TF_NUM_INTRAOP_THREADS"  # set by the executor, together with those of the other libraries
VECTOR_EXTENSIONS = ("sse4", "avx", "amx", "fma", "neon", "asimd", "sve", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """The run that made a version.

    On machines of one ``processor``, runs that differ in ``seconds`` and ``peak_bytes`` only give equal weights, bit
    for bit.

    ``device`` is ``cpu`` or ``gpu``; ``vector_extensions`` are those of the processor. ``seconds`` is the duration of
    the attempt, ``peak_bytes`` the greatest memory of its process, which may have run other jobs before.
    """

    forecastle: str
    python: str
    numpy: str
    onnxruntime: str
    keras: str
    backend: str
    backend_version: str
    device: str
    threads: int
    processor: str
    vector_extensions: tuple[str, ...]
    seconds: float
    peak_bytes: int

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {**asdict(self), "vector_extensions": list(self.vector_extensions)}


def describe_run(seconds: float) -> TrainingRun:
    """Return the run of this process that has made a version in ``seconds``."""
    processor, extensions = read_processor(CPU_INFO)
    return TrainingRun(
        forecastle=version("forecastle"),
        python=platform.python_version(),
        numpy=version("numpy"),
        onnxruntime=version("onnxruntime"),
        keras=version("keras"),
        backend=backend(),
        backend_version=str(sys.modules[backend()].__version__),
        device="gpu" if sees_gpu() else "cpu",
        threads=int(os.environ.get(INTRA_OP) or os.cpu_count() or 1),
        processor=processor,
        vector_extensions=extensions,
        seconds=round(seconds, 3),
        peak_bytes=peak_bytes(),
    )


def read_processor(cpu_info: Path) -> tuple[str, tuple[str, ...]]:
    """Return the processor's model and its vector extensions from a file like proc(5)'s ``cpuinfo``.

    Without such a file the name is that of the architecture, and the extensions are unknown.
    """
    try:
        lines = cpu_info.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine(), ()
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", fields.get("features", "")).split()
    return fields.get("model name", platform.machine()), tuple(sorted(filter(_is_vector_extension, flags)))


def _is_vector_extension(flag: str) -> bool:
    return flag.startswith(VECTOR_EXTENSIONS)


def peak_bytes() -> int:
    """Return the greatest memory that this process has had."""
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum if sys.platform == "darwin" else maximum * 1024  # getrusage(2): bytes there, KiB elsewhere
