"""What a checkpoint says of itself: the config in its meta data.

MMEngine and MMClassification 0.x store the text of the config, which is
Python. It is read as literals and calls of ``dict`` and never run.
"""
import ast
from typing import Any, Mapping, Optional

from .convert import ConversionError


def backbone_options(text: Any) -> Optional[dict]:
    """Return ``model.backbone`` of a config's text.

    Returns:
        dict, optional: None if there is no text, or no such backbone in it.
    """
    if not isinstance(text, str):
        return None
    try:
        body = ast.parse(text).body
        for node in body:
            if isinstance(node, ast.Assign) and [
                    getattr(target, 'id', '') for target in node.targets
            ] == ['model']:
                backbone = _value(node.value).get('backbone')
                return backbone if isinstance(backbone, dict) else None
    except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError,
            MemoryError):
        pass
    return None


def _value(node: ast.AST) -> Any:
    """Evaluate literals, containers and ``dict(...)``."""
    if isinstance(node, ast.Call):
        if getattr(node.func, 'id', '') != 'dict' or node.args:
            raise ValueError('not a dict')
        return {k.arg: _value(k.value) for k in node.keywords}
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(k): _value(v)
            for k, v in zip(node.keys, node.values)
        }
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element) for element in node.elts]
    return ast.literal_eval(node)


def read_mmcls(options: Mapping, names: Mapping[str, str]) -> tuple:
    """Read a backbone of the reruns on MMClassification 0.x.

    IR-Net's and Bi-Real Net's blocks have the same parameter names there, and
    an activation behind the stem has no parameters: names are not enough.

    Args:
        options (Mapping): Their ``model.backbone``.
        names (Mapping[str, str]): Their names of networks -> ours.

    Returns:
        tuple[str, int]: The network and its stage.

    Raises:
        ConversionError: If it is none of these networks.
    """
    arch = options.get('arch')
    if not isinstance(arch, str) or arch not in names:
        raise ConversionError(
            f'The checkpoint is of {arch!r}, says the config in it; only '
            f'{", ".join(names)} can be converted.')
    if options.get('stem_act') is not None:
        raise ConversionError(
            f'{arch} has stem_act={options["stem_act"]!r} in the checkpoint; '
            'the stem of our network has no activation.')
    binary = options.get('binary_type', [True, True])
    if binary not in ([True, True], [True, False]):
        raise ConversionError(
            f'{arch} has binary_type={binary} in the checkpoint; (True, '
            'False), stage 1, and (True, True), stage 2, can be converted.')
    return names[arch], 2 if binary[1] else 1


#: Options of our backbones that the authors' code has not: name -> the one
#: value that it can have.
AUTHORS = dict(
    activation_binarizer='sign',
    expansion='concat',
    expansion_groups=None,
    small_input=False,
    stem_stride=2)


def read_ours(options: Mapping) -> int:
    """Return the stage of a network that was trained here.

    Args:
        options (Mapping): Our ``model.backbone``.

    Raises:
        ConversionError: If the authors' code does not know such a network.
    """
    stages = dict(real=1, scaled_sign=2)
    binarizer = options.get('weight_binarizer', 'scaled_sign')
    wrong = [
        f'{key}={options[key]!r}' for key, value in AUTHORS.items()
        if options.get(key, value) != value
    ]
    if options.get('arch', 'a') in ('b', 'c'):
        wrong.append(f'arch={options["arch"]!r}')
    if binarizer not in stages:
        wrong.append(f'weight_binarizer={binarizer!r}')
    if wrong:
        raise ConversionError(
            'The authors\' code has no network with '
            f'{", ".join(wrong)}, which the config in the checkpoint says.')
    return stages[binarizer]
