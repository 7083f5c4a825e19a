"""Which sums are of whole numbers, for engines that would round them."""
from typing import Mapping

from .ops import Operation, Pad, Value


def sums_whole_numbers(op: Operation, values: Mapping[str, Value],
                       operations: Mapping[str, Operation]) -> bool:
    """Whether a 1-bit layer adds whole numbers: signs, maybe with a border.

    Args:
        op (BinaryConv2d | BinaryLinear): The layer.
        values (dict): Name -> kind and shape of its value.
        operations (dict): Name -> operation.
    """
    before = operations.get(op.inputs[0])
    name = op.inputs[0]
    if isinstance(before, Pad) and float(before.value).is_integer():
        name = before.inputs[0]
    return values[name].kind == 'sign'
