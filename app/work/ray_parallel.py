"""Independent pieces of one job's work on several machines of a cluster, by joblib's face of Ray.

Only a process that Ray has started as a job imports joblib and Ray. What they send between that job's own processes is
pickled; nothing of it is stored, and nothing comes from outside the cluster.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from models.training.parallel import Tasks

MAX_PROCESSES = 32  # processes, each with a TensorFlow of its own


class Cluster:
    """Does pieces of work on as many processes as the cluster has processors; they are kept until it is closed."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._pool: Any = None  # made when there is something to do

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def each(self, pieces: Tasks) -> Iterable[Any]:
        """The results of ``pieces``, in their order."""
        from joblib import delayed  # noqa: PLC0415 - on a cluster only

        if self._pool is None:
            self._pool = self._open.enter_context(_pool())
        found: list[Any] = self._pool(delayed(_done)(piece) for piece in pieces)
        return found


def _pool() -> Any:
    import ray  # noqa: PLC0415 - on a cluster only
    from joblib import Parallel, register_parallel_backend  # noqa: PLC0415
    from ray.util.joblib.ray_backend import RayBackend  # noqa: PLC0415

    ray.init(address="auto", log_to_driver=False, configure_logging=False)
    processors = int(ray.cluster_resources().get("CPU", 1))
    register_parallel_backend("ray", RayBackend)
    # Asking for no processor of their own, they never wait for one that another job's pool has while that waits for
    # theirs. A little memory they do ask for: what asks for nothing Ray places at random, and not as it is told.
    spread = {"num_cpus": 0, "memory": 1_000_000, "scheduling_strategy": "SPREAD"}
    workers = max(1, min(MAX_PROCESSES, processors))
    return Parallel(workers, "ray", batch_size=1, pre_dispatch="all", ray_remote_args=spread)


def _done(piece: Callable[[], Any]) -> Any:
    return piece()
