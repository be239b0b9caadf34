"""Program that compares Keras, on the backend of ``KERAS_BACKEND``, with ONNX Runtime for every kind of network.

It prints a JSON object for each kind: its name, and the largest difference or the error.
"""

import json

from models.engines.keras import KerasEngine, backend
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.errors import EngineMismatch
from tests.models.kinds import name_of, pairs, spec_of
from tests.models.samples import weights_of

ROWS = (7,)  # padded; one size only, because Keras compiles for each


def main() -> None:
    """Compare all kinds."""
    for fields in pairs():
        spec = spec_of(fields)
        weights = weights_of(spec)
        result: dict[str, object] = {"name": name_of(fields), "backend": backend()}
        try:
            result["difference"] = check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights), rows=ROWS)
        except EngineMismatch as error:
            result["error"] = str(error)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
