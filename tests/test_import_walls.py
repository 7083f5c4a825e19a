"""Folder names are promises: who may import whom within mmreact."""
import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmreact'
OPENMMLAB = {'mmengine', 'mmcv', 'mmpretrain'}

# What names and downloads need: modules of zoo that leave torch alone, so that
# packed may use them.
LIGHT = {
    f'zoo/{name}'
    for name in ('__init__', 'atomic_file', 'catalogue', 'download', 'errors',
                 'file_kinds', 'files', 'part_file', 'progress', 'rows',
                 'share_links', 'transfer')
}
# part of mmreact -> (parts it may import besides itself, packages it may not).
# A module with a row of its own is a part of its own.
WALLS = {
    '__init__': ({'version'}, OPENMMLAB | {'torch', 'numpy'}),
    'version': (set(), OPENMMLAB | {'torch', 'numpy'}),
    'compat': (set(), set()),
    'functional': (set(), OPENMMLAB),
    'layers': ({'functional'}, OPENMMLAB),
    'analysis': ({'functional', 'layers'}, OPENMMLAB),
    'utils': ({'compat', 'version'} | LIGHT, set()),
    'datasets': ({'compat', 'packed', 'utils'}, set()),
    'models': ({'compat', 'functional', 'layers', 'utils',
                'zoo/model_hub'}, set()),
    'engine': ({
        'analysis', 'compat', 'datasets', 'export', 'functional', 'layers',
        'packed', 'utils', 'version'
    } | LIGHT, set()),
    'packed': ({'version'} | LIGHT, OPENMMLAB | {'torch', 'torchvision'}),
    'export': ({'functional', 'layers', 'packed', 'utils',
                'version'}, OPENMMLAB),
    'zoo': ({
        'compat', 'export', 'functional', 'layers', 'models', 'packed',
        'utils', 'version'
    } | LIGHT, set()),
    'zoo/model_hub': (LIGHT, set()),
    **dict.fromkeys(LIGHT, ({'version'} | LIGHT, OPENMMLAB | {
                                'torch', 'torchvision'
                            })),
}


def part_of(names):
    """The row of a module, given as ``[folder, module, ...]``."""
    own = '/'.join(names[:2])
    return own if own in WALLS else names[0]


def imported(tree, package):
    """Yield ``(line, absolute name)`` of all that a module imports.

    Also what it imports by a constant name at run time.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split('.')[:1 - node.level or None]
            base = '.'.join(base if node.level else [])
            module = '.'.join(filter(None, [base, node.module]))
            for alias in node.names:
                yield node.lineno, f'{module}.{alias.name}'
        elif isinstance(node, ast.Call):
            function = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            constants = [
                arg.value for arg in node.args if
                isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
            if function in ('import_module', '__import__') and constants:
                name = constants[0]
                level = len(name) - len(name.lstrip('.'))
                base = package.split('.')[:1 - level or None] if level else []
                yield node.lineno, '.'.join([*base, name.lstrip('.')])


def violations(root):
    """Return a line for each import that crosses a wall below ``root``."""
    found = []
    for path in sorted(root.rglob('*.py')):
        relative = path.relative_to(root)
        part = part_of(relative.with_suffix('').parts)
        if part not in WALLS:
            found.append(f'{relative}: {part} has no row in WALLS')
            continue
        parts, packages = WALLS[part]
        package = '.'.join(['mmreact', *relative.parts[:-1]])
        tree = ast.parse(path.read_text(), str(path))
        for line, name in imported(tree, package):
            top, *rest = name.split('.')
            if top == 'mmreact':
                inner = part_of(rest or ['__init__'])
                wrong = inner not in {part, '__version__'} | parts
            else:
                wrong = top in packages
            if wrong:
                found.append(f'{relative}:{line} imports {name}')
    return found


def test_walls_stand():
    assert violations(PACKAGE) == []


def test_the_walk_sees_the_imports():
    """Guards the test above: with nothing seen, nothing is wrong."""
    tree = ast.parse((PACKAGE / 'models/backbones/reactnet.py').read_text())
    names = {name for _, name in imported(tree, 'mmreact.models.backbones')}
    assert names >= {
        'torch', 'mmengine.model.BaseModule', 'mmreact.layers.RSign',
        'mmreact.models.utils.check_choice',
        'mmreact.functional.estimators.Estimator'
    }
    folders = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert folders <= set(WALLS)
    modules = {part for part in WALLS if '/' in part}
    assert all((PACKAGE / f'{module}.py').exists() for module in modules)
    assert folders >= {'functional', 'layers', 'models', 'engine', 'analysis'}


@pytest.mark.parametrize('path,source,name', [
    ('packed/model.py', 'import torch', 'torch'),
    ('packed/model.py', 'import torch.nn as nn', 'torch.nn'),
    ('packed/model.py', 'from mmengine import x', 'mmengine.x'),
    ('packed/deep/er.py', 'def f():\n    import mmcv', 'mmcv'),
    ('packed/__init__.py', 'from ..layers import RSign',
     'mmreact.layers.RSign'),
    ('packed/deep/er.py', 'from ...functional import sign',
     'mmreact.functional.sign'),
    ('packed/model.py', 'import mmreact', 'mmreact'),
    ('packed/model.py', 'from mmreact import RSign', 'mmreact.RSign'),
    ('functional/a.py', 'from mmpretrain.registry import MODELS',
     'mmpretrain.registry.MODELS'),
    ('functional/a.py', 'from ..layers.rsign import RSign',
     'mmreact.layers.rsign.RSign'),
    ('layers/a.py', 'from .. import models', 'mmreact.models'),
    ('layers/a.py', 'from ..utils.checkpoint import x',
     'mmreact.utils.checkpoint.x'),
    ('layers/a.py', 'try:\n    import mmengine\nexcept ImportError:\n    pass',
     'mmengine'),
    ('analysis/a.py', 'import mmreact.models.backbones',
     'mmreact.models.backbones'),
    ('export/trace.py', 'from mmreact.models import ReActNet',
     'mmreact.models.ReActNet'),
    ('export/a/b.py', 'from ...models.utils import x',
     'mmreact.models.utils.x'),
    ('utils/a.py', 'from ..models import x', 'mmreact.models.x'),
    ('utils/a.py', 'from ..engine import x', 'mmreact.engine.x'),
    ('models/a.py', 'from ..engine.hooks import x', 'mmreact.engine.hooks.x'),
    ('datasets/a.py', 'from ..engine import x', 'mmreact.engine.x'),
    ('compat.py', 'from .engine import x', 'mmreact.engine.x'),
    ('packed/model.py', 'from ..zoo import get_model',
     'mmreact.zoo.get_model'),
    ('packed/model.py', 'from ..zoo.models import get_model',
     'mmreact.zoo.models.get_model'),
    ('zoo/files.py', 'import torch', 'torch'),
    ('zoo/files.py', 'from .models import x', 'mmreact.zoo.models.x'),
    ('zoo/__init__.py', 'from ..utils.checkpoint import x',
     'mmreact.utils.checkpoint.x'),
    ('zoo/models.py', 'from ..engine import x', 'mmreact.engine.x'),
    ('__init__.py', 'from .layers import RSign', 'mmreact.layers.RSign'),
    ('__init__.py', 'import torch', 'torch'),
    ('layers/a.py', "import importlib\nimportlib.import_module('mmcv.ops')",
     'mmcv.ops'),
    ('layers/a.py', "from importlib import import_module as i\n__import__("
     "'mmreact.models')", 'mmreact.models'),
])
def test_a_broken_wall_is_found(tmp_path, path, source, name):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(source)
    found, = violations(tmp_path)
    assert found.startswith(f'{path}:') and found.endswith(f'imports {name}')


@pytest.mark.parametrize('path,source', [
    ('packed/model.py', 'import numpy\nfrom .file import x\nfrom . import y'),
    ('packed/model.py', 'from .. import __version__\nimport torchlike'),
    ('packed/deep/er.py', 'from ..model import x\nfrom .. import model'),
    ('packed/model.py', 'def f():\n    from ..zoo.files import packed_file'),
    ('zoo/models.py', 'import torch\nfrom .files import x'),
    ('zoo/official.py', 'from ..utils.checkpoint import x\nimport torch'),
    ('layers/a.py', 'import torch\nfrom ..functional.conv import x'),
    ('layers/__init__.py', 'from .rsign import RSign\nfrom . import binary'),
    ('models/heads/a.py', 'from ...layers import x\nfrom ..utils import y'),
    ('engine/hooks/a.py', 'from ..atomic_backend import x\nimport mmengine'),
    ('export/a.py', 'from ..packed.program import x\nimport torch'),
    ('functional/a.py', '"""import mmengine"""  # from ..models import x'),
])
def test_what_is_allowed(tmp_path, path, source):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(source)
    assert violations(tmp_path) == []


def test_a_new_folder_needs_a_row(tmp_path):
    (tmp_path / 'new').mkdir()
    (tmp_path / 'new/a.py').write_text('')
    assert violations(tmp_path) == ['new/a.py: new has no row in WALLS']
