"""What stands in a foreign network where a real layer stood."""
from typing import Any

from torch import nn

#: What is asked to find 1-bit layers, which only these themselves answer.
OWN = ('one_bit_weight', 'weight_binarizer')


class SignedLayer(nn.Sequential):
    """An RSign and a 1-bit layer, with the attributes of that layer.

    Code around a layer may read and set what the layer has: ``kernel_size``,
    ``stride``, ``in_features``, ``weight``. Attributes that the container has
    itself stay its own.

    Args:
        sign (nn.Module): In front of the layer.
        layer (nn.Module): The one whose attributes are answered.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            layer = self.__dict__.get('_modules', {}).get('1')
            if layer is None or name in OWN or name.startswith('__'):
                raise
            return getattr(layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        layer = self.__dict__.get('_modules', {}).get('1')
        if (layer is None or name in self.__dict__ or name in self._modules
                or hasattr(type(self), name) or not hasattr(layer, name)):
            super().__setattr__(name, value)
        else:
            setattr(layer, name, value)
