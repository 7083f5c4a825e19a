"""The kernel of docs/adding_a_kernel.md is built, and gives the same bits."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = '-std=c++17 -O1 -fPIC -ffp-contract=off -shared -pthread'.split()
COMPARE = '''
import sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from mmreact.packed import native
from random_programs import random_program
native.__file__ = sys.argv[1]
assert 'popcnt' in native.kernels(), native.kernels()
for seed in range(20):
    program = random_program(seed)
    x = np.random.default_rng(seed).normal(size=(2, *program.input_shape))
    names = [op.name for op in program.operations]
    got, expected = (
        native.NativeBackend(program, 1, kernel).run(x, names)
        for kernel in ('popcnt', 'portable'))
    for name in names:
        assert np.array_equal(got[name], expected[name]), (seed, name)
'''


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('c++'), reason='no C++ compiler')
def test_the_kernel_of_the_page(tmp_path):
    if 'popcnt' not in Path('/proc/cpuinfo').read_text():
        pytest.skip('the kernel of the page is for x86-64')
    text = (ROOT / 'docs/adding_a_kernel.md').read_text()
    kernel, row, declaration = re.findall(r'```cpp\n(.*?)```', text, re.DOTALL)
    csrc = shutil.copytree(ROOT / 'mmreact/csrc', tmp_path / 'csrc')
    (csrc / 'kernels/popcnt.cpp').write_text(kernel)
    table = csrc / 'kernels/kernels.cpp'
    source = table.read_text()
    for before, added in (('extern const Kernel kPortable;\n', declaration),
                          ('    &kAvx2,\n', row)):
        assert source.count(before) == 1
        source = source.replace(before, before + added)
    table.write_text(source)
    subprocess.run(['c++', *BUILD, *csrc.rglob('*.cpp'),
                    '-o', tmp_path / '_native.so'],
                   check=True)  # yapf: disable
    result = subprocess.run(
        [sys.executable, '-c', COMPARE, tmp_path / 'native.py',
         Path(__file__).parent],
        cwd=ROOT, text=True, capture_output=True)  # yapf: disable
    assert result.returncode == 0, result.stderr[-5000:]
