"""Copies of models that users bring in, without what wraps them."""
from copy import deepcopy

import torch
from torch import Tensor, nn

#: Modules that only call the one that they hold.
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside ``torch.compile``, DataParallel or DDP."""
    while True:
        if isinstance(model, _WRAPPERS):
            model = model.module
        elif 'OptimizedModule' in type(model).__name__ and hasattr(
                model, '_orig_mod'):
            model = model._orig_mod
        else:
            return model


def copy_model(model: nn.Module) -> nn.Module:
    """Copy a model, without wrappers around it or inside of it.

    Tensors that a pre-hook computed from parameters, as the weights of
    ``torch.nn.utils.weight_norm``, are copied without their history.
    ``deepcopy`` alone refuses those.

    Raises:
        ValueError: For a ScriptModule, or a lazy layer that has not run yet.
    """
    model = unwrap(model)
    memo = {}
    for path, module in model.named_modules():
        _check(path, module)
        memo.update({
            id(value): value.detach().clone()
            for value in vars(module).values()
            if isinstance(value, Tensor) and not value.is_leaf
        })
    model = deepcopy(model, memo)
    for module in list(model.modules()):
        module._compiled_call_impl = None
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = unwrap(child)
    return model


def _check(path: str, module: nn.Module) -> None:
    where = f'The module {path!r}' if path else 'The model'
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError(f'{where} is a ScriptModule, which has no Python '
                         'code. Give the model that it was made from.')
    for name, parameter in module._parameters.items():
        if nn.parameter.is_lazy(parameter):
            raise ValueError(
                f'{where} ({type(module).__name__}) is lazy: its {name} has '
                'no shape yet. Run the model once on an image.')
