"""The run that made a version: libraries, threads, processor, time and memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.work.training_run import INTRA_OP, describe_run, read_processor

CPU_INFO = """processor\t: 0
model name\t: Example CPU @ 2.60GHz
flags\t\t: fpu sse2 sse4_2 avx2 avx512f fma aes

processor\t: 1
model name\t: Another
"""


def test_a_run_names_releases_threads_and_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTRA_OP, "3")
    made = describe_run(seconds=1.25)
    assert (made.numpy, made.threads, made.seconds) == (np.__version__, 3, 1.25)
    assert (made.backend, made.device) == ("tensorflow", "cpu")
    assert made.backend_version.count(".") == 2
    assert made.peak_bytes > 50 * 1024**2  # TensorFlow alone takes more
    assert replace(describe_run(seconds=1.25), peak_bytes=0) == replace(made, peak_bytes=0)


def test_the_processor_is_read_with_its_vector_extensions(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(CPU_INFO)
    assert read_processor(file) == ("Example CPU @ 2.60GHz", ("avx2", "avx512f", "fma", "sse4_2"))
    file.write_text("processor\t: 0\nFeatures\t: fp asimd sve\n")
    name, extensions = read_processor(file)
    assert name
    assert extensions == ("asimd", "sve")
    assert read_processor(tmp_path / "none")[1] == ()
