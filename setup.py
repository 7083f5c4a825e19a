"""Build of mmreact; its metadata is in setup.cfg."""
import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MIM_ITEMS = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Lay out ``mmreact/.mim``, where OpenMMLab's tools look for configs.

    An editable install gets links to the checkout, a wheel gets copies.
    """

    def run(self):
        super().run()
        root = Path(__file__).resolve().parent
        base = root if self.editable_mode else Path(self.build_lib).resolve()
        mim = base / 'mmreact' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_ITEMS:
            if self.editable_mode:
                os.symlink(Path('../..', name), mim / name)
            elif (root / name).is_dir():
                ignored = shutil.ignore_patterns('__pycache__')
                shutil.copytree(root / name, mim / name, ignore=ignored)
            elif (root / name).is_file():
                shutil.copy(root / name, mim / name)


setup(cmdclass=dict(build_py=BuildWithMim))
