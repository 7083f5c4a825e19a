"""The native backend on processors that are not here, emulated by qemu-user.

Needs, on Debian, the packages qemu-user and g++-aarch64-linux-gnu. qemu does
not emulate AVX-512: those kernels are tested where the processor has them.
"""
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from random_programs import random_program
from small_networks import build_program

from mmreact.packed import PackedFile, native, save_packed

ROOT = Path(__file__).parents[2]
#: Compiler, emulator, and the processors with the kernel that they should get.
MACHINES = dict(
    x86=('g++', 'qemu-x86_64', {
        'Nehalem': 'portable',
        'SandyBridge': 'portable',
        'Haswell': 'avx2'
    }),
    arm=('aarch64-linux-gnu-g++', 'qemu-aarch64', {
        'cortex-a57': 'neon'
    }))
CASES = [(machine, cpu, kernel) for machine, (_, _, cpus) in MACHINES.items()
         for cpu, kernel in cpus.items()]


@pytest.fixture(scope='module')
def build(tmp_path_factory):
    """Returns a function: machine -> the program run_packed for it."""
    built = {}

    def get(machine):
        compiler, emulator, _ = MACHINES[machine]
        for tool in (compiler, emulator):
            if not shutil.which(tool):
                pytest.skip(f'{tool} is not installed')
        if machine not in built:
            built[machine] = tmp_path_factory.mktemp(machine) / 'run_packed'
            csrc = ROOT / 'mmreact/csrc'
            subprocess.run([
                compiler, '-std=c++17', '-O2', '-ffp-contract=off', '-static',
                '-pthread', '-I', csrc / 'include',
                Path(__file__).with_name('run_packed.cpp'),
                *csrc.rglob('*.cpp'), '-o', built[machine]
            ], check=True)  # yapf: disable
        return built[machine]

    return get


def run(command, program, x, names, folder, **environment):
    """The results, and the kernel that was taken."""
    save_packed(folder / 'net', PackedFile(program))
    x.tofile(folder / 'input')
    n, _, h, w = x.shape
    environ = {k: v for k, v in os.environ.items() if k != 'MMREACT_KERNEL'}
    out = subprocess.run([
        *command, folder / 'net', folder / 'input', *map(str,
                                                         (n, h, w)), *names
    ],
                         capture_output=True,
                         env={
                             **environ,
                             **environment
                         })
    assert out.returncode == 0, out.stderr
    values, results, at = program.infer(x.shape[1:], n), {}, 0
    for name in names:
        dtype = np.int8 if values[name].kind == 'sign' else np.float32
        count = np.prod(values[name].shape)
        results[name] = np.frombuffer(out.stdout, dtype, count, at)
        at += results[name].nbytes
    assert at == len(out.stdout)
    # qemu may warn of features that it leaves out.
    return results, out.stderr.decode().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize('machine,cpu,kernel', CASES)
def test_emulated(build, tmp_path, machine, cpu, kernel):
    """The right kernel, and the same bits as here."""
    command = [MACHINES[machine][1], '-cpu', cpu, build(machine)]
    programs = [build_program(width=w) for w in (64, 66)]
    programs += [random_program(seed) for seed in range(25)]
    for seed, program in enumerate(programs):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(1 + seed % 2, *program.input_shape))
        x = x.astype(np.float32)
        # Tanh and sigmoid are those of the machine's own library.
        names = [op.name for op in program.operations]
        exact = not {'Sigmoid', 'Tanh'
                     } & {type(op).__name__
                          for op in program.operations}
        results, taken = run(command, program, x, names, tmp_path)
        assert taken == kernel
        expected = native.NativeBackend(program).run(x, names)
        for name in names:
            got, wanted = results[name], expected[name].ravel()
            if exact:
                assert np.array_equal(got, wanted), (seed, name)
            else:
                assert np.isclose(got, wanted, 1e-4, 1e-4).mean() > 0.9


@pytest.mark.slow
def test_a_missing_instruction_set_is_refused(build, tmp_path):
    command = ['qemu-x86_64', '-cpu', 'Nehalem', build('x86')]
    program = build_program(width=64)
    x = np.zeros((1, *program.input_shape), np.float32)
    with pytest.raises(AssertionError, match="cannot run the kernel 'avx2'"):
        run(command, program, x, ['head.fc'], tmp_path, MMREACT_KERNEL='avx2')
    _, taken = run(
        command, program, x, ['head.fc'], tmp_path, MMREACT_KERNEL='portable')
    assert taken == 'portable'
