"""Types of JSON objects, apart from the array types because most commands need no NumPy."""

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]  # a decoded JSON object whose fields are not fixed by a type
JsonMapping = Mapping[str, Any]  # a JsonObject that is only read
