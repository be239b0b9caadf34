"""A program: for every family of networks how far Keras, on whatever backend it was told, is from ONNX Runtime.

Prints a JSON object for each: its name, and the largest difference or what went wrong.
"""

import json

from models.engines.keras import KerasEngine, backend
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.errors import EngineMismatch
from tests.models.kinds import name_of, pairs, spec_of
from tests.models.samples import weights_of

ROWS = (7,)  # padded, and one size only, for each is compiled anew


def main() -> None:
    """Compare them all."""
    for fields in pairs():
        spec = spec_of(fields)
        weights = weights_of(spec)
        said: dict[str, object] = {"name": name_of(fields), "backend": backend()}
        try:
            said["difference"] = check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights), rows=ROWS)
        except EngineMismatch as error:
            said["error"] = str(error)
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
