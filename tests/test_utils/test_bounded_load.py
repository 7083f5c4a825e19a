"""Checkpoint files that claim more than they hold, in bounded memory."""
import argparse
import json
import random
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_checkpoints import FILES, MEGA, PICKLES, archive, deflated
from mmengine.logging import HistoryBuffer
from torch import _weights_only_unpickler

from mmreact.engine.hooks.reproducibility_hook import get_rng_state
from mmreact.utils.bounded_load import bounded_load
from mmreact.utils.stand_ins import KNOWN
from mmreact.utils.torch_archive import RefusedError

#: Megabytes that refusing one of these files (of up to 5 MB) may take.
BOUND = 400
CHILD = '''
import json, pathlib, sys
import mmreact.models
from mmreact.utils.bounded_load import bounded_load
import torch

def peak():  # ru_maxrss begins with that of the parent
    status = pathlib.Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 1024

for path in sys.argv[2:]:
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # peak = now
    before, message = peak(), None
    try:
        torch.load(path) if sys.argv[1] == 'torch' else bounded_load(
            pathlib.Path(path))
    except Exception as error:
        message = f'{type(error).__name__}: {error}'
    print(json.dumps([path, peak() - before, message]))
'''


def loaded_elsewhere(how, paths):
    """Peak of the memory (MB) and message for each file, in a process."""
    result = subprocess.run(
        [sys.executable, '-c', CHILD, how, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {path: (peak, message) for path, peak, message in rows}


@pytest.mark.slow
def test_hostile_files_take_little_memory(tmp_path):
    words = {}
    for name, (content, word) in PICKLES.items():
        path = archive(tmp_path / f'{name}.pth', content,
                       **{'data/0': b'1234'})
        words[str(path)] = word
    for name, (write, word) in FILES.items():
        words[str(write(tmp_path / f'{name}.pth'))] = word
    results = loaded_elsewhere('mmreact', words)
    assert results.keys() == words.keys()
    wrong = {
        path: (peak, message)
        for path, (peak, message) in results.items() if peak > BOUND or (
            not (message or '').startswith('RefusedError: ')
            or words[path] not in message if words[path] else message)
    }
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.slow
def test_torch_alone_unpacks(tmp_path):
    """What is tested above can be seen."""
    path = deflated(tmp_path / 'a.pth', 300 * MEGA)
    assert path.stat().st_size < MEGA
    (peak, message), = loaded_elsewhere('torch', [path]).values()
    assert peak > 250 and message is None


@pytest.fixture(scope='module')
def training():
    """What training scripts save, one of each kind."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.BatchNorm2d(4))
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3, 5, 5)).sum().backward()
    adam.step()
    history = HistoryBuffer([1., 2.], [1, 1])
    tied = torch.arange(6.)
    return dict(
        state_dict=net.state_dict(),
        optimizer=adam.state_dict(),
        sgd=torch.optim.SGD(net.parameters(), .1).state_dict(),
        rng=get_rng_state(),
        history=dict(loss=history, lr=np.float64(3), n=np.int32(2)),
        array=np.arange(6, dtype=np.float16).reshape(2, 3),
        args=argparse.Namespace(lr=.1, names=['a'], out=Path('b/c')),
        types=[torch.float16,
               torch.device('cpu'),
               torch.Size([1, 2])],
        values={1, 2},
        counted=Counter('aab'),
        plain=(None, True, -1, 2**70, 1.5, 3j, 'ä', b'\xff', bytearray(b'x')),
        ordered=OrderedDict(a=1),
        tied=[tied, tied.view(2, 3).t(), tied[1:3],
              tied.expand(3, 6)],
        scalar=torch.tensor(3),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
        half=[torch.ones(2, dtype=t) for t in DTYPES])


DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int8,
          torch.uint8, torch.int16, torch.int32, torch.bool, torch.complex64)


@pytest.mark.parametrize('zipped', [True, False])
def test_checkpoints_of_training_are_read(training, tmp_path, zipped):
    path = tmp_path / 'a.pth'
    torch.save(training, path, _use_new_zipfile_serialization=zipped)
    result = bounded_load(path)
    assert result.keys() == training.keys()
    for key, value in training['state_dict'].items():
        assert torch.equal(result['state_dict'][key], value)
    assert result['args'].lr == .1 and str(result['args'].out) == 'b/c'
    assert result['plain'] == training['plain']
    assert all(map(torch.equal, result['tied'], training['tied']))
    assert [t.dtype for t in result['half']] == list(DTYPES)


@pytest.mark.parametrize('value', [
    torch.ones(3, dtype=torch.uint16),
    torch.ones(2, dtype=torch.float8_e5m2),
    torch.nn.Buffer(torch.ones(2)),
])
def test_newer_tensors_are_read(tmp_path, value):
    torch.save([value], tmp_path / 'a.pth')
    result, = bounded_load(tmp_path / 'a.pth')
    assert result.dtype == value.dtype and result.shape == value.shape


def test_what_is_known_is_what_torch_reads():
    """No stand-in for what torch would refuse, so that it is named."""
    allowed = {
        **_weights_only_unpickler._get_allowed_globals(),
        **_weights_only_unpickler._get_user_allowed_globals()
    }
    assert KNOWN.keys() - allowed.keys() == set()


class Own:
    """A class of a training script."""


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('value,name', [
    (torch.nn.Linear(1, 1), 'torch.nn.modules.linear.Linear'),
    (Own(), f'{__name__}.Own'),
    (Own, f'{__name__}.Own'),
    (print, 'builtins.print'),
    (Decimal(1), 'decimal.Decimal'),
    (defaultdict(list), 'collections.defaultdict'),
    (torch.ones(2).to_sparse(), 'torch._utils._rebuild_sparse_tensor'),
    (random.Random(), 'random.Random'),
])
def test_refused_objects_are_named(tmp_path, value, name, zipped):
    path = tmp_path / 'a.pth'
    torch.save(dict(a=[value]), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RefusedError) as error:
        bounded_load(path)
    message = str(error.value)
    assert f'an object of {name}. ' in message
    assert 'torch.save(model.state_dict(), FILE)' in message
    assert '\x1b' not in message and 'add_safe_globals' not in message


def test_what_a_user_allows_is_read(tmp_path):
    torch.save(dict(a=Own()), tmp_path / 'a.pth')
    with torch.serialization.safe_globals([Own]):
        assert type(bounded_load(tmp_path / 'a.pth')['a']) is Own


def test_a_newer_protocol_is_named(tmp_path):
    torch.save(dict(a=1), tmp_path / 'a.pth', pickle_protocol=4)
    with pytest.raises(RefusedError, match='pickle protocol 4'):
        bounded_load(tmp_path / 'a.pth')
