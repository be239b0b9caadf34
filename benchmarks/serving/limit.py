"""The lower limit for any server of this network: ONNX Runtime alone, on windows in memory.

``python -m benchmarks.serving.limit MODEL.onnx WINDOWS.npy SECONDS`` prints the CPU seconds of one run.
"""

import sys
import time

import numpy as np

from benchmarks.serving.peers.network import open_session


def run_cpu_s(file: str, windows: str, seconds: float) -> float:
    """Return the CPU seconds of one forecast of all ``windows``, the mean over ``seconds``."""
    session, given = open_session(file), {"y": np.load(windows).astype(np.float32)}
    session.run(None, given)
    runs, spent_s, stop_s = 0, time.process_time(), time.perf_counter() + seconds
    while runs == 0 or time.perf_counter() < stop_s:
        session.run(None, given)
        runs += 1
    return (time.process_time() - spent_s) / runs


if __name__ == "__main__":
    print(run_cpu_s(sys.argv[1], sys.argv[2], float(sys.argv[3])))
