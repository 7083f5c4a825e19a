"""Look into a network: keep what some of its layers give."""
from contextlib import contextmanager
from typing import Dict, Iterator, List, Sequence

from torch import Tensor, nn


@contextmanager
def record_outputs(model: nn.Module,
                   names: Sequence[str]) -> Iterator[List[Tensor]]:
    """Keep the outputs of layers while the model runs once.

    Hooks are there within the context only, so that a model which is not
    looked into does not pay for it.

    Args:
        model (nn.Module): The model.
        names (Sequence[str]): Layers as in ``model.named_modules()``, e.g.
            'backbone.layer1.0'.

    Yields:
        list[Tensor]: Filled when the context is left, in the order of
        ``names``.

    Raises:
        ValueError: If there is no such layer, or it did not run or gave
            something else than a tensor.
    """
    outputs: Dict[str, Tensor] = {}
    recorded: List[Tensor] = []
    layers = find_layers(model, names)
    handles = [
        layer.register_forward_hook(lambda module, args, output, name=name:
                                    outputs.update({name: output}))
        for name, layer in zip(names, layers)
    ]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        if not isinstance(outputs.get(name), Tensor):
            raise ValueError(
                f'The layer {name} was to give a feature map, but gave '
                f'{type(outputs.get(name)).__name__}.')
        recorded.append(outputs[name])


def find_layers(model: nn.Module, names: Sequence[str]) -> List[nn.Module]:
    """Find layers by name.

    Raises:
        ValueError: If there is no such layer. The message lists the layers
            beside it.
    """
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            parent = name
            while parent not in modules:
                parent = parent.rpartition('.')[0]
            children = [key for key, _ in modules[parent].named_children()]
            raise ValueError(
                f'{type(model).__name__} has no layer {name!r}. '
                f'{"Its layers" if not parent else "Those of " + parent}: '
                f'{", ".join(children) or "none"}.')
    return [modules[name] for name in names]
