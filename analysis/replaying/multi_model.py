"""Several models on one endpoint: which requests find their model in memory, when only so many fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np

from analysis.replaying.result import Flags


def loads(models: Sequence[Hashable], *, resident: int) -> Flags:
    """
    Which requests make the endpoint load their model, the least recently used one giving way when memory is full.

    Args:
        models: each request's model, in order of arrival.
        resident: how many models fit into memory at once, 1 or more.
    """
    if resident < 1:
        raise ValueError(f"at least one model must fit, got {resident}")
    held: OrderedDict[Hashable, None] = OrderedDict()
    flags = np.zeros(len(models), dtype=np.bool_)
    for i, model in enumerate(models):
        if model in held:
            held.move_to_end(model)
            continue
        flags[i] = True
        held[model] = None
        if len(held) > resident:
            held.popitem(last=False)
    return flags
