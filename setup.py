"""Build of mmreact; its metadata is in setup.cfg."""
import os
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_ITEMS = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Lay out ``mmreact/.mim``, where OpenMMLab's tools look for configs.

    An editable install gets links to the checkout, a wheel gets copies.
    """

    def run(self):
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib).resolve()
        mim = base / 'mmreact' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_ITEMS:
            if self.editable_mode:
                os.symlink(Path('../..', name), mim / name)
            elif (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns('__pycache__')
                shutil.copytree(ROOT / name, mim / name, ignore=ignored)
            elif (ROOT / name).is_file():
                shutil.copy(ROOT / name, mim / name)


def csrc(*patterns):
    """Files of the C++ part, relative to this one."""
    folder = ROOT / 'mmreact' / 'csrc'
    return sorted(
        str(path.relative_to(ROOT)) for pattern in patterns
        for path in folder.rglob(pattern))


# A plain library that ctypes loads, so one file serves all Pythons. No -m
# flags: each kernel names its instruction set itself and is chosen at run
# time. Without a compiler the rest is installed.
native = Extension(
    'mmreact.packed._native',
    sources=csrc('*.cpp'),
    depends=csrc('*.h'),
    language='c++',
    extra_compile_args=[
        '-std=c++17', '-O3', '-ffp-contract=off', '-fvisibility=hidden',
        '-pthread', '-Wall', '-Wextra', '-Werror=switch', '-g0'
    ],
    extra_link_args=['-pthread'],
    py_limited_api=True,
    optional=True)

setup(cmdclass=dict(build_py=BuildWithMim), ext_modules=[native])
