"""The job that registers an imported bundle: it checks that both engines agree on it, as training does.

Importing this module imports TensorFlow; only the process that runs a job does.
"""

from dataclasses import replace

from app.planning.bundle_import import ImportPayload
from app.problems import CorruptBundle
from app.store.outcomes import Candidate, Outcome, Ruling
from app.work.job_context import JobContext
from app.work.progress import ProgressCounter
from models.engines.keras import KerasEngine
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.forecasting import bundle
from models.network.strategies import STRATEGIES
from models.training.report import VersionReport

REASON = "imported without a backtest: move an alias to it to serve it"


def import_version(context: JobContext) -> Outcome:
    """Return the version to register: the bundle that the job was queued with, bytes unchanged.

    Raises:
        CorruptBundle: the stored bytes are not those that were sent.
        BundleError: they are no bundle that this release reads.
        EngineMismatch: ONNX Runtime and Keras differ on a member by more than ``check_parity`` accepts.
        Cancelled: the job's cancellation was requested.
        Fenced: another worker has taken the job over.
    """
    payload = ImportPayload.from_json(context.job.request)
    data = context.load_checkpoint()
    if data is None or bundle.sha256(data) != payload.sha256:
        raise CorruptBundle(f"the bytes of the bundle {payload.sha256[:12]}… are gone or damaged; import it again")
    forecaster = bundle.from_bytes(data)
    counter, largest = ProgressCounter(context, "parity", len(forecaster.members)), 0.0
    for own, weights, *_ in forecaster.members:
        if STRATEGIES[own.strategy].learns:
            largest = max(largest, check_parity(own, KerasEngine(own, weights), OnnxEngine(own, weights)))
        counter.add(1)
    spec = forecaster.spec
    return Outcome(
        result={"engines_differ_by": largest},
        version=Candidate(
            bundle=data,
            spec=spec,
            report=replace(VersionReport.unscored(spec.horizon, spec.season), engines_differ_by=largest),
            skill=None,
            data_sha256=None,
            ruling=Ruling(verdict="kept", reason=REASON, policy={"promote": "never"}),
        ),
    )
