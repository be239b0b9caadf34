"""Messages written without the package ``onnx`` are read by that package as they were meant."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models.engines import onnx_proto
from models.engines.onnx import build_graph
from tests.models.kinds import name_of, pairs, spec_of
from tests.models.samples import weights_of

WHOLE = st.integers(-(2**63), 2**63 - 1)
NAME = st.text(max_size=200)
VALUE = WHOLE | NAME | st.lists(WHOLE) | st.lists(NAME, min_size=1)  # of an attribute


def encoded(value):
    """An attribute as the package gives it: texts as bytes."""
    if isinstance(value, list):
        return [encoded(one) for one in value]
    return value.encode() if isinstance(value, str) else value


@given(
    NAME,
    st.lists(NAME),
    st.lists(NAME),
    st.dictionaries(NAME, WHOLE | NAME | st.lists(WHOLE) | st.lists(NAME, min_size=1)),
)
def test_a_node_is_read_as_it_was_meant(operator, inputs, outputs, attributes):
    read = onnx.NodeProto.FromString(onnx_proto.node(operator, inputs, outputs, attributes))
    assert (read.op_type, list(read.input), list(read.output)) == (operator, inputs, outputs)
    found = {one.name: helper.get_attribute_value(one) for one in read.attribute}
    assert found == {name: encoded(value) for name, value in attributes.items()}


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 200, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_tensor_keeps_its_name_shape_and_numbers(shape, dtype):
    value = (np.random.default_rng(0).normal(size=shape) * 1e4).astype(dtype)
    for one in (value, value.T):  # the second is not contiguous in memory
        read = TensorProto.FromString(onnx_proto.tensor("gewöhnlich", one))
        assert read.name == "gewöhnlich"
        again = numpy_helper.to_array(read)
        assert (again.dtype, again.shape, again.tolist()) == (one.dtype, one.shape, one.tolist())


def test_numbers_of_another_type_are_not_written():
    with pytest.raises(KeyError, match="float64"):
        onnx_proto.tensor("x", np.zeros(1))


def test_an_input_has_sizes_and_names_of_sizes():
    read = onnx.ValueInfoProto.FromString(onnx_proto.value_info("past", ["B", 1, 300]))
    assert read == helper.make_tensor_value_info("past", TensorProto.FLOAT, ["B", 1, 300])


@pytest.mark.parametrize("fields", pairs(), ids=name_of)
def test_every_graph_passes_the_checker_of_onnx(fields):
    spec = spec_of(fields)
    read = onnx.load_model_from_string(build_graph(spec, weights_of(spec)))
    onnx.checker.check_model(read, full_check=True)
    assert (read.ir_version, read.opset_import[0].version) == (onnx_proto.IR_VERSION, onnx_proto.OPSET)
