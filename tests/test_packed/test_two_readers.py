"""What Python accepts, the C interface accepts, and the reverse."""
import json
import re
from collections import Counter
from itertools import islice

import pytest
from mutants import (header_mutants, json_mutants, literal_mutants,
                     name_mutants, paths, split, tensor_mutants, text_mutants,
                     variants)
from safetensors import SafetensorError

from mmreact.packed import native
from mmreact.packed.container import loads
from mmreact.packed.file import decode

try:
    native.library()
except ImportError:
    pytest.skip('the compiled library was not built', allow_module_level=True)

FILES = dict(variants())


def python_refusal(data):
    """Why Python refuses a file; None if it does not."""
    try:
        decode(*loads(data))
        return None
    except (ValueError, SafetensorError) as error:
        return str(error)


def native_refusal(data):
    lib = native.library()
    model = lib.mmr_load_buffer(data, len(data), b'portable', 1)
    if not model:
        return lib.mmr_error().decode()
    lib.mmr_free(model)
    return None


def compare(mutants):
    """Number of accepted and refused files; fails if verdicts differ."""
    counts, different = Counter(), []
    for what, data in mutants:
        python, c = python_refusal(data), native_refusal(data)
        counts[python is None] += 1
        if (python is None) != (c is None):
            different.append((what, python, c))
    assert not different, '\n'.join(
        [f'{len(different)} differ', *map(str, different[:40])])
    return counts


@pytest.mark.parametrize('name', FILES)
def test_valid_files(name):
    assert compare([(name, FILES[name])]) == {True: 1}


def program_paths(stride, start):
    program = json.loads(split(FILES['whole'])[0]['__metadata__']['program'])
    return list(islice(paths(program), start, None, stride))


@pytest.mark.parametrize('stride,start', [(16, 0), *[
    pytest.param(16, start, marks=pytest.mark.slow) for start in range(1, 16)
]])
def test_programs(stride, start):
    counts = compare(
        json_mutants(FILES['whole'], 'program', program_paths(stride, start)))
    assert counts[False] > 500 and counts[True] > 10


@pytest.mark.parametrize('key', ['classes', 'source'])
def test_other_parts(key):
    counts = compare(json_mutants(FILES['whole'], key))
    assert counts[False] > 100 and counts[True] > 10


@pytest.mark.parametrize('name', [
    'whole', 'opencv stretch',
    pytest.param('pillow fit', marks=pytest.mark.slow)
])
def test_preprocessing(name):
    counts = compare(json_mutants(FILES[name], 'preprocessing'))
    assert counts[False] > 300 and counts[True] > 10


@pytest.mark.parametrize('mutants', [
    text_mutants, literal_mutants, header_mutants, tensor_mutants,
    lambda data: name_mutants()
], ids=['texts', 'literals', 'headers', 'tensors', 'names'])  # yapf: disable
def test_files(mutants):
    counts = compare(mutants(FILES['whole']))
    assert counts[False] > 20 and counts[True] > 3


def test_half_precision():
    counts = compare(tensor_mutants(FILES['fp16']))
    assert counts[False] > 20 and counts[True] > 3


def test_messages_name_the_same_field():
    """The attribute or key that was changed is in both messages."""
    data, asked, named = FILES['whole'], 0, 0
    for key in ('preprocessing', 'program'):
        for what, mutant in json_mutants(
                data, key,
                program_paths(31, 5) if key == 'program' else None):
            fields = [step for step in what[1] if isinstance(step, str)]
            python, c = python_refusal(mutant), native_refusal(mutant)
            if python and fields and re.search(rf'\b{fields[-1]}\b', python):
                asked += 1
                named += bool(re.search(rf'\b{fields[-1]}\b', c))
    assert named > 0.95 * asked > 100
