"""Unpickle a checkpoint without its objects, to see what torch would make.

``torch.load(weights_only=True)`` calls a few functions only, but with any
arguments: a hundred bytes are enough for a tensor of gigabytes, or for a view
beyond the end of its storage, which torch enlarges. Here the same
instructions run with stand-ins that allocate nothing and check arguments
(:mod:`.stand_ins`). What is not known by name is not called but named.
"""
import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from typing import Any, BinaryIO, Dict

from .stand_ins import StandIn, Storage, Tensor, find, is_plain
from .torch_archive import RefusedError

#: Instructions of torch's restricted unpickler. There is no other.
INSTRUCTIONS = (b'\x80 c \x81 R b a e s u ( t \x85 \x86 \x87 N \x89 \x88 ) '
                b'] } J K M G X U Q h j q r \x8a .').split(b' ')
#: Reads of one pickle, two for most instructions, and levels of nested
#: containers. A checkpoint with Adam's state takes some 250 for each weight.
MOST_STEPS, DEEPEST = 2_000_000, 64
#: Steps of an instruction that makes an object: torch looks for its type in
#: lists.
CALL, MAKE = 5, 50
#: Items that calls may take beyond one for each byte of the pickle: an
#: argument that is used once has no more.
MORE_ITEMS = 100_000
SAVE = ('Where it was written, save the weights alone: '
        'torch.save(model.state_dict(), FILE)')


class DryRun(pickle._Unpickler):
    """One pickle of a checkpoint, and the storages that it names.

    Args:
        file (BinaryIO): Positioned at the pickle; only this is read of it.
        size (int): Bytes that the pickle may have.

    Attributes:
        storages (dict[str, Storage]): By key.
        tensors (dict[int, Tensor]): By identity.
    """

    def __init__(self, file: BinaryIO, size: int):
        self.source = _Steps(file, size)
        super().__init__(self.source, encoding='utf-8')
        self.storages: Dict[str, Storage] = {}
        self.tensors: Dict[int, Tensor] = {}
        self.items = size + MORE_ITEMS

    def run(self) -> Any:
        """What the pickle describes, with stand-ins for its objects.

        Raises:
            RefusedError: If torch would not read it, or not within bounds.
        """
        try:
            result = self.load()
            _check_depth(result)
        except RefusedError:
            raise
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError,
                KeyError, IndexError, AttributeError, OverflowError,
                AssertionError) as error:
            raise RefusedError(f'is damaged: its pickle is wrong '
                               f'({str(error)[:80] or error!r})') from error
        return result

    def find_class(self, module: str, name: str) -> Any:
        module, name = NAME_MAPPING.get(
            (module, name), (IMPORT_MAPPING.get(module, module), name))
        known = find(f'{module}.{name}')
        if known is None:
            raise RefusedError(
                f'holds an object of {module[:80]}.{name[:80]}. Only tensors '
                f'and plain values are read, as others could run code. {SAVE}')
        return known

    def persistent_load(self, pid: Any) -> Storage:
        """A storage: ``('storage', type, key, location, elements)``.

        Files before torch 1.6 have a sixth item, which is None.
        """
        kind = pid[0] if isinstance(pid, tuple) and pid else None
        if kind == 'module':
            raise RefusedError(f'holds a whole network. {SAVE}')
        _, (_, size), key, _, number, *view = pid
        good = kind == 'storage' and isinstance(key,
                                                str) and view in ([], [None])
        if not good or type(number) is not int or number < 0:
            raise ValueError('a storage is described wrongly')
        # torch keeps the first of one key.
        return self.storages.setdefault(key, Storage(number, size))

    def load_proto(self) -> None:
        protocol = self.read(1)[0]
        if protocol != 2:
            raise RefusedError(
                f'was saved with pickle protocol {protocol}; torch reads 2 '
                f'alone without running what it holds. {SAVE}')

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self._take(args, CALL)
        self.stack[-1] = result = self.stack[-1](*args)
        if isinstance(result, Tensor):
            self.tensors[id(result)] = result

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        self._take(state if isinstance(state, tuple) else (state, ), MAKE)
        if isinstance(target, StandIn):
            target.__setstate__(state)
        elif type(target) is not OrderedDict:
            raise ValueError('a state is given to what has none')

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def load_newobj(self) -> None:
        self._take(self.stack[-1], MAKE)
        super().load_newobj()

    def _take(self, args: tuple, steps: int) -> None:
        """Count steps and the items of arguments, which a call may copy.

        A pickle can name the same large argument any number of times.
        """
        self.source.steps -= steps
        self.items -= len(args)
        for arg in args:
            if isinstance(arg, (str, bytes, list, tuple, dict, set)):
                self.items -= len(arg)
        if self.items < 0:
            raise RefusedError('builds far more than it holds')

    def _check_keys(self, keys: list) -> None:
        """Keys that are quick to hash, without collisions by intent."""
        if not all(map(is_plain, keys)):
            raise ValueError('the key of a dict is no text or number')

    dispatch = {
        key[0]: pickle._Unpickler.dispatch[key[0]]
        for key in INSTRUCTIONS
    }
    dispatch[pickle.PROTO[0]] = load_proto
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


class _Steps:
    """A file that ends after some bytes and after some calls."""

    def __init__(self, file: BinaryIO, size: int):
        self.file = file
        self.left = size
        self.steps = MOST_STEPS

    def read(self, number: int) -> bytes:
        self._count(number)
        return self.file.read(number)

    def readline(self) -> bytes:
        line = self.file.readline(min(self.left, 1000))
        self._count(len(line))
        return line

    def _count(self, number: int) -> None:
        self.steps -= 1
        self.left -= number
        if self.left < 0:
            raise EOFError('it is cut off')
        if self.steps < 0:
            raise RefusedError(f'has a pickle of more than {MOST_STEPS:,} '
                               'instructions')


def _check_depth(value: Any) -> None:
    """Bound how deep containers lie within each other; each counts once."""
    seen = set()
    level = [value]
    for _ in range(DEEPEST):
        inner = []
        for item in level:
            if isinstance(item, (dict, list, tuple)) and id(item) not in seen:
                seen.add(id(item))
                inner += item.values() if isinstance(item, dict) else item
        level = inner
        if not level:
            return
    raise RefusedError(f'nests its values more than {DEEPEST} deep')
