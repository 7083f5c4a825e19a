"""Count the operations and parameters of a network.

Conventions (ReActNet and Bi-Real Net): a multiply-accumulate is one
operation; only convolutions and linear layers count, which are products of
the image with weights; a layer counts as binary (BOPs) only if **both** its
input and its weights are 1-bit, else as FLOPs; ``OPs = BOPs / 64 + FLOPs``. A
stage-1 network, whose weights are real, therefore has no BOPs.
"""
from contextlib import contextmanager, suppress
from typing import Iterator, Sequence

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .ops_report import OpsReport, UncoveredWeight
from .ops_rows import Rows, packed_bytes, plain_name
from .products import ProductCounter


def count_ops(model: nn.Module, input_shape: Sequence[int]) -> OpsReport:
    """Count a model by running it once on one image.

    What runs is counted: layers, functional calls, attention and scripted
    code; code that torch compiled runs uncompiled. A tensor is 1-bit if it can
    hold +1 and -1 only, whatever the image and the weights are; that follows
    from the operations that made it and does not change with training. The
    model is left as it was, its mode, statistics and gradients included, and
    no random numbers are drawn.

    Args:
        model (nn.Module): Called as ``model(x)``.
        input_shape (Sequence[int]): ``(C, H, W)`` of one image.

    Returns:
        OpsReport: Rows in the order of execution, and totals.

    Raises:
        TypeError: If ``model`` is no module of torch.
        ValueError: If it is a scripted model that hides its products.
    """
    _check_model(model)
    like = next((p for p in model.parameters() if p.is_floating_point()),
                torch.empty(0))
    size = torch.Size(input_shape).numel()
    # Distinct values of both signs, without the random generator.
    image = torch.linspace(-1.9, 2.3, size).view(1, *input_shape).to(like)
    counter = ProductCounter(model, image)
    with _plain_inference(model), counter.watch(model), counter:
        model(image)
    _check_scripted(model, counter)
    return _report(model, counter)


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f'count_ops takes a torch.nn.Module, got {type(model).__name__}. '
            'Of an ExportedProgram, give its module().')
    if any(p.is_meta for p in model.parameters()):
        raise ValueError('The model has parameters on the meta device, which '
                         'hold no numbers. Build it on the CPU.')
    if any(map(nn.parameter.is_lazy, model.parameters())):
        raise ValueError(
            'The model has lazy layers, whose sizes are not known '
            'yet. Call it once before it is counted.')


def _check_scripted(model: nn.Module, counter: ProductCounter) -> None:
    scripted = any(
        isinstance(m, torch.jit.ScriptModule) for m in model.modules())
    if scripted and (counter.rewritten or not counter.products):
        raise ValueError(
            'The model is scripted, and its convolutions cannot be seen: they '
            'were rewritten for inference (torch.jit.optimize_for_inference) '
            'or there is no convolution or linear layer. Count the model that '
            'was scripted.')


@contextmanager
def _plain_inference(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients, compiled code and fused attention."""
    modes = {
        module: module.training
        for module in model.modules() if hasattr(module, 'training')
    }
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        with suppress(NotImplementedError):  # exported modules have one mode
            model.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), sdpa_kernel(
                SDPBackend.MATH), torch.compiler.set_stance('force_eager'):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes.items():
            module.training = mode


def _report(model: nn.Module, counter: ProductCounter) -> OpsReport:
    rows = Rows(model)
    for product in counter.products:
        rows.add(product)
    parameters = dict(model.named_parameters())
    uncovered = [
        UncoveredWeight(
            plain_name(name), tuple(p.shape), name in counter.read)
        for name, p in parameters.items()
        if p.ndim > 1 and name not in rows.covered
    ]
    params = sum(p.numel() for p in parameters.values())
    one_bit = rows.one_bit_weights()
    one_bit_params = sum(parameters[name].numel() for name in one_bit)
    size = sum(map(packed_bytes, one_bit.values())) + 4 * (
        params - one_bit_params)
    return OpsReport(
        list(rows.layers.values()), params, one_bit_params, size,
        dict(rows.beside), uncovered, dict(counter.unknown))
