"""A traced model, run node by node."""
from copy import deepcopy
from typing import Any, Dict

import torch
from torch import Tensor, fx

from .lowering import Lowered


class Replay(fx.Interpreter):
    """The traced model in one dtype."""

    def __init__(self, lowered: Lowered, dtype: torch.dtype):
        module = deepcopy(lowered.module).to(dtype)
        super().__init__(module, graph=lowered.module.graph)
        self.dtype = dtype

    @torch.no_grad()
    def run_all(self, x: Tensor) -> Dict[fx.Node, Any]:
        """The values of all nodes."""
        values: Dict[fx.Node, Any] = {}
        for node in self.graph.nodes:
            if node.op == 'placeholder':
                values[node] = x.to(self.dtype)
            elif node.op != 'output':
                values[node] = self._call(node, values.__getitem__)
        return values

    @torch.no_grad()
    def evaluate(self, node: fx.Node, known: Dict[fx.Node, Any]) -> Tensor:
        """The value of a node, from those of known ones."""
        values = {
            n: v.to(self.dtype) if isinstance(v, Tensor) else v
            for n, v in known.items()
        }

        def value(n: fx.Node):
            if n not in values:
                values[n] = self._call(n, value)
            return values[n]

        return value(node)

    def call_module(self, target, args, kwargs):
        # Without hooks: what they do is in the graph.
        return self.fetch_attr(target).forward(*args, **kwargs)

    def _call(self, node: fx.Node, value):
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), value)
        return getattr(self, node.op)(node.target, args, kwargs)
