"""The convolutions and matrix products that a network runs.

They are read off torch's dispatcher, where every call ends: of layers, of
functions, of attention and of scripted code. So hooks, an overridden forward
and weights that are computed on the way are seen as they are.
"""
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Dict, FrozenSet, Iterator, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .tensor_notes import Note, Origin, derive, merge, view_of

aten = torch.ops.aten
#: Convolution and linear layers.
LAYERS = (_ConvNd, nn.Linear)
CONVOLUTIONS = {aten.convolution, aten._convolution}
#: Matrix products, and those that add their product to another tensor.
PLAIN_PRODUCTS = {aten.mm, aten.bmm, aten.mv, aten.dot, aten.vdot}
ADDED_PRODUCTS = {
    aten.addmm, aten.baddbmm, aten.addbmm, aten.addmv, aten._addmm_activation
}
#: Methods that write without reading what was there.
OVERWRITES = {
    'bernoulli_', 'copy_', 'fill_', 'normal_', 'random_', 'uniform_', 'zero_'
}


@dataclass
class Product:
    """One convolution or matrix product.

    Attributes:
        kind (str): 'conv2d', 'matmul', ...
        macs (int): Its multiply-accumulates.
        x, weight (Note): On both factors; ``weight`` is the one that depends
            less on the image.
        weight_shape (tuple[int]): ``(Cout, Cin / groups, *taps)``.
        parameters (frozenset[str]): Those that the weight and the bias were
            computed from.
        one_bit_weight (bool): Whether an output channel of the weight holds
            +a and -a only.
        output_shape (tuple[int]): Without the batch.
        module (str): Path of the module that ran it.
    """
    kind: str
    macs: int
    x: Note
    weight: Note
    weight_shape: Tuple[int, ...]
    parameters: FrozenSet[str]
    one_bit_weight: bool
    output_shape: Tuple[int, ...]
    module: str


class ProductCounter(TorchDispatchMode):
    """Within it, products are listed and tensors are followed.

    Args:
        model (nn.Module): Whose parameters and buffers are named.
        image (Tensor): Its input.

    Attributes:
        products (list[Product]): In the order of execution.
        read (set[str]): Parameters and buffers that an operation read.
        rewritten (bool): Whether code ran that was rewritten for oneDNN.
        unknown (Counter[str]): Calls of operations that are not torch's own.
    """

    def __init__(self, model: nn.Module, image: Tensor):
        super().__init__()
        self.products: List[Product] = []
        self.read = set()
        self.rewritten = False
        self.unknown = Counter()
        self.path = ''
        self.notes: Dict[StorageWeakRef, Note] = {
            _storage(image): Note(Origin.IMAGE)
        }
        self.one_bit = {
            f'{name}.weight'.lstrip('.')
            for name, module in model.named_modules()
            if getattr(module, 'one_bit_weight', False)
        }
        self.state = defaultdict(list)
        for name, tensor in (*model.named_parameters(),
                             *model.named_buffers()):
            start = tensor.storage_offset()
            self.state[_storage(tensor)].append(
                (start, start + tensor.numel(), name))

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Know the module that runs, and the shape that a layer returns."""
        hooks = []
        for name, module in model.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                hooks += self._hook(name, module)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, name: str, module: nn.Module) -> list:
        outside = []

        def enter(*_):
            outside.append((self.path, len(self.products)))
            self.path = name

        def leave(module, args, output):
            self.path, first = outside.pop()
            if isinstance(module, LAYERS) and isinstance(output, Tensor):
                for product in self.products[first:]:
                    if product.module == name:
                        product.output_shape = tuple(output.shape[1:])

        return [
            module.register_forward_pre_hook(enter, prepend=True),
            module.register_forward_hook(leave)
        ]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        if func.namespace not in ('aten', 'prim', 'prims'):
            self.unknown[str(func.overloadpacket)] += 1
        self.rewritten |= func.overloadpacket is aten.to_mkldnn
        notes = self._read(func, args, kwargs)
        out = func(*args, **kwargs)
        self._count(func, args, out)
        self._write(func, args, kwargs, notes, out)
        return out

    def _note(self, tensor: Tensor) -> Note:
        key = _storage(tensor)
        if key is None:
            return Note()
        if key in self.notes:
            return self.notes[key]
        if key in self.state:
            place = tensor.storage_offset()
            return Note(
                Origin.WEIGHTS,
                frozenset(name for start, stop, name in self.state[key]
                          if start <= place < max(stop, start + 1)))
        if tensor.ndim == 0 and not tensor.is_complex():
            return Note(Origin.CONSTANT, values=frozenset([float(tensor)]))
        return Note()

    def _read(self, func, args, kwargs) -> list:
        """What an operation reads: tensors, notes and views."""
        name = func.overloadpacket.__name__
        if name.startswith('new_') or name.endswith('_like'):
            return []  # reads the shape
        tensors = [
            x for x in tree_leaves((args, _without_out(func, kwargs)))
            if isinstance(x, Tensor)
        ]
        if name in OVERWRITES:
            tensors = tensors[1:]
        notes = [(x, self._note(x), view_of(x, _storage(x))) for x in tensors]
        self.read.update(*(note.parameters for _, note, _ in notes))
        return notes

    def _write(self, func, args, kwargs, notes, out) -> None:
        """Note what is known of the results."""
        before = {
            _storage(x)
            for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)
        }
        kwargs = _without_out(func, kwargs)
        for x in tree_leaves(out):
            if not isinstance(x, Tensor):
                continue
            key = _storage(x)
            if key is None:
                continue
            if key not in before:
                self.notes[key] = derive(func, args, kwargs, notes, x)
            elif func._schema.is_mutable:
                note = derive(func, args, kwargs, notes, x)
                whole = x.numel() * x.element_size() == _bytes(x)
                self.notes[key] = note if whole else merge(self._note(x), note)

    def _count(self, func, args, out) -> None:
        packet = func.overloadpacket
        if packet in CONVOLUTIONS:
            x, weight, bias, *window = args
            # A transposed convolution spends its taps per input position.
            positions = x if window[3] else out
            macs = positions.numel() * weight[0].numel()
            self._add(f'conv{weight.ndim - 2}d', macs, x, weight, weight, bias,
                      out)
        elif packet in PLAIN_PRODUCTS:
            self._count_matrices(args[0], args[1], None, out)
        elif packet in ADDED_PRODUCTS:
            self._count_matrices(args[1], args[2], args[0], out)
        elif packet is aten.mkldnn_rnn_layer:
            x, hidden = args[0], args[5]
            for weight, bias in ((args[1], args[3]), (args[2], args[4])):
                macs = x[..., 0].numel() * weight.numel()
                self._add('rnn', macs, x, weight, weight, bias, hidden)

    def _count_matrices(self, a, b, bias, out) -> None:
        macs = a.numel() * (b.shape[-1] if b.ndim > 1 else 1)
        if self._note(a).origin < self._note(b).origin:
            self._add('matmul', macs, b, a, a, bias, out)
        else:
            rows = b.mT if b.ndim > 1 else b
            self._add('matmul', macs, a, b, rows, bias, out)

    def _add(self, kind, macs, x, weight, rows, bias, out) -> None:
        """List a product; ``rows`` is the weight by output channels."""
        if rows.ndim == 3 and len(rows) == 1 and kind == 'matmul':
            rows = rows[0]
        note = self._note(weight)
        parameters = note.parameters
        if isinstance(bias, Tensor):
            parameters = parameters | self._note(bias).parameters
        few = note.one_bit_weight or note.parameters & self.one_bit
        positions = kind == 'matmul' and out.ndim == 2 and len(out) > 1
        shape = out.shape if positions else out.shape[1:]
        self.products.append(
            Product(kind, macs, self._note(x), note, tuple(rows.shape),
                    parameters,
                    bool(few) and _two_magnitudes(rows), tuple(shape),
                    self.path))


def _two_magnitudes(weight: Tensor) -> bool:
    """Whether each row of a weight holds +a and -a only.

    Within a percent: public code adds and subtracts another tensor.
    """
    magnitude = weight.abs().reshape(len(weight), -1)
    scale = magnitude[:, :1]
    return bool(((magnitude - scale).abs() <= 0.01 * scale).all())


def _without_out(func, kwargs: dict) -> dict:
    """Arguments without those that are only written to."""
    written = {
        argument.name
        for argument in func._schema.arguments
        if argument.kwarg_only and argument.is_out
    }
    return {key: x for key, x in kwargs.items() if key not in written}


def _storage(tensor: Tensor) -> Optional[StorageWeakRef]:
    """Equal for views of the same memory; None for e.g. sparse tensors."""
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):
        return None


def _bytes(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()
