"""Independent pieces of one job's work on several machines of a Ray cluster, through joblib.

Only a process that Ray has started as a job imports joblib and Ray. The job's own processes exchange pickled pieces;
none of that is stored, and none comes from outside the cluster.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from models.training.parallel import Tasks

MAX_PROCESSES = 32  # each has a TensorFlow of its own


class RayPool:
    """As many processes as the cluster has processors, started with the first pieces and kept until the end."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._pool: Any = None  # a joblib.Parallel, once there are pieces

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def map(self, pieces: Tasks) -> Iterable[Any]:
        """Run ``pieces`` and return their results, in their order."""
        from joblib import delayed  # noqa: PLC0415 - on a cluster only

        if self._pool is None:
            self._pool = self._open.enter_context(_pool())
        found: list[Any] = self._pool(delayed(_call)(piece) for piece in pieces)
        return found


def _pool() -> Any:
    import ray  # noqa: PLC0415 - on a cluster only
    from joblib import Parallel, register_parallel_backend  # noqa: PLC0415
    from ray.util.joblib.ray_backend import RayBackend  # noqa: PLC0415

    ray.init(address="auto", log_to_driver=False, configure_logging=False)
    processors = int(ray.cluster_resources().get("CPU", 1))
    register_parallel_backend("ray", RayBackend)
    # 0 CPUs each, so that the pools of two jobs cannot wait for one another. A little memory each, because Ray places a
    # process that asks for no resource at random, whatever its scheduling strategy.
    spread = {"num_cpus": 0, "memory": 1_000_000, "scheduling_strategy": "SPREAD"}
    workers = max(1, min(MAX_PROCESSES, processors))
    return Parallel(workers, "ray", batch_size=1, pre_dispatch="all", ray_remote_args=spread)


def _call(piece: Callable[[], Any]) -> Any:
    return piece()
