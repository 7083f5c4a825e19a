"""What to run while something traces or transforms the code.

Layers here have custom gradients that save memory. They look at nodes of
autograd's graph and write into tensors, which only plain execution allows.
Everything else gets the plain definitions: the same values and gradients,
from operations that any tool knows.
"""
from functools import wraps
from typing import Callable

import torch
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function


def is_transformed() -> bool:
    """Whether code is traced, exported, compiled, or differentiated forward.

    That is under ``torch.compile``, ``torch.export``, ``torch.jit.trace``, the
    ONNX exporters, ``torch.func`` (``grad``, ``vmap``, ``jvp``, ...) and
    forward-mode differentiation.
    """
    return (torch.compiler.is_compiling() or torch.jit.is_tracing()
            or is_functional())


def is_functional() -> bool:
    """Whether ``torch.func`` or forward mode is at work."""
    return (torch._C._are_functorch_transforms_active()
            or forward_ad._current_level >= 0)


def overridable(function: Callable) -> Callable:
    """Let a function be overridden as torch's own are.

    What is like a tensor (``__torch_function__``) is asked first: a graph of
    torch.fx gets one call of the function.
    """

    @wraps(function)
    def call(*args, **kwargs):
        if has_torch_function(args):
            return handle_torch_function(call, args, *args, **kwargs)
        return function(*args, **kwargs)

    return call


class NotScriptable:
    """A layer that torch.jit.script refuses with the way to go."""

    def __prepare_scriptable__(self):
        raise RuntimeError(
            f'The source of {type(self).__name__} cannot be compiled by '
            'TorchScript. Use torch.jit.trace, torch.export, torch.compile or '
            'mmreact.export.lower.')
