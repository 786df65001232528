"""Type aliases for NumPy arrays: each alias stands for one dtype."""

from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

State = dict[str, npt.NDArray[Any]]
"""A fitted model's learnt state: array name -> array."""
