"""What a layer computes is lowered, whatever its type and attributes say."""
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from mmreact.export import LoweringError, lower, verify
from mmreact.layers import BinaryConv2d, RSign
from mmreact.packed import ops
from mmreact.packed.reference import ReferenceBackend


def check(model, x):
    """The program gives what the model gives; ``verify`` finds the same."""
    model.eval()
    program = lower(model, x.shape[1:])
    with torch.no_grad():
        truth = model(x).numpy()
    result = ReferenceBackend(program).run(x.numpy(), [program.output])
    np.testing.assert_allclose(
        result[program.output], truth, rtol=1e-4, atol=1e-5)
    report = verify(model, program, x)
    assert report.ok, report.table()
    return program


def conv(*hooks):
    return nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())


def one_bit():
    return nn.Sequential(RSign(4), BinaryConv2d(4, 6, 3), nn.BatchNorm2d(6))


# Each makes the weight of a layer something else than a parameter.
REPARAMETRIZED = dict(
    weight_norm=lambda layer: nn.utils.weight_norm(layer),
    weight_norm_all=lambda layer: nn.utils.weight_norm(layer, dim=None),
    spectral_norm=lambda layer: nn.utils.spectral_norm(layer),
    new_weight_norm=lambda layer: parametrizations.weight_norm(layer),
    new_spectral_norm=lambda layer: parametrizations.spectral_norm(layer),
    pruned=lambda layer: prune.l1_unstructured(layer, 'weight', 0.5),
    pruned_channels=lambda layer: prune.ln_structured(layer, 'weight', 0.5, 2,
                                                      0),
    own=lambda layer: nn.utils.parametrize.register_parametrization(
        layer, 'weight', Doubled()),
)


class Doubled(nn.Module):

    def forward(self, weight):
        return 2 * weight - weight.mean()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('make', [conv, one_bit])
@pytest.mark.parametrize('name', REPARAMETRIZED)
def test_effective_weights(name, make, images):
    """Also after load_state_dict, when the attribute is that of before."""
    place = 0 if make is conv else 1
    model, other = make(), make()
    for net in (model, other):
        REPARAMETRIZED[name](net[place])
        net(torch.randn(2, 4, 8, 8))
    model.load_state_dict(other.state_dict())
    program = check(model, images(2, 4, 8, 8))
    kinds = [type(op) for op in program.operations]
    assert (ops.BinaryConv2d in kinds) == (make is one_bit)


def test_buffers_and_tied_weights(images):
    model = nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    model[1].weight = model[0].weight
    weight = model[2].weight.detach().clone()
    del model[2].weight
    model[2].register_buffer('weight', weight)
    program = check(model, images(2, 4, 5, 5))
    first, second, third = program.operations
    assert (first.weight == second.weight).all()
    assert (third.weight == weight.numpy()).all()


class Standardized(nn.Conv2d):
    """Weight standardisation, in the method that Conv2d calls."""

    def _conv_forward(self, x, weight, bias):
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        return super()._conv_forward(x, weight, bias)


class Scaled(nn.Linear):

    def forward(self, x):
        return F.linear(x, 3 * self.weight, self.bias)


class Centred(BinaryConv2d):
    """A 1-bit layer that overrides what the packed one relies on."""

    def _constant_weight(self):
        return super()._constant_weight() * 2


class Property(BinaryConv2d):
    """The weight is computed when it is read."""

    @property
    def weight(self):
        return self._parameters['weight'] - 0.05


class Named(BinaryConv2d):
    """Only adds to the class: still a 1-bit layer."""

    def __init__(self, *args):
        super().__init__(*args)
        self.note = 'mine'

    def extra_repr(self):
        return self.note

    def helper(self):
        return 1


def on_instance(layer, function):
    """Replace a layer's forward."""
    forward = layer.forward
    layer.forward = lambda x: function(forward(x))
    return layer


def patched(layer):
    """Replace a method that its forward calls."""
    layer._conv_forward = lambda x, weight, bias: F.conv2d(x, -weight, bias)
    return layer


OVERRIDDEN = dict(
    conv_forward=lambda: nn.Sequential(Standardized(4, 3, 3)),
    forward=lambda: nn.Sequential(nn.Flatten(), Scaled(144, 3)),
    instance=lambda: nn.Sequential(
        on_instance(nn.Conv2d(4, 3, 3), lambda y: y * 2)),
    instance_method=lambda: nn.Sequential(patched(nn.Conv2d(4, 3, 3))),
    instance_root=lambda: on_instance(nn.Conv2d(4, 3, 3), torch.relu),
    instance_bn=lambda: nn.Sequential(
        on_instance(nn.BatchNorm2d(4), lambda y: y - 1)),
    binary=lambda: nn.Sequential(RSign(4), Centred(4, 3, 3)),
    binary_instance=lambda: nn.Sequential(
        RSign(4), on_instance(BinaryConv2d(4, 3, 3), torch.relu)),
    binary_method=lambda: nn.Sequential(
        RSign(4), patched(BinaryConv2d(4, 3, 3))),
    rsign_instance=lambda: nn.Sequential(
        on_instance(RSign(4), lambda y: y + 1), nn.Conv2d(4, 3, 3)),
)


@pytest.mark.parametrize('name', OVERRIDDEN)
def test_overridden_methods(name, images):
    try:
        check(OVERRIDDEN[name](), images(2, 4, 6, 8)[..., :6])
    except LoweringError as error:  # RSign's own forward has no functions
        assert name == 'rsign_instance' and "'0' (RSign)" in str(error)


@pytest.mark.parametrize('cls,one_bit', [(Named, True), (Centred, False)])
def test_subclasses_of_one_bit_layers(cls, one_bit, images):
    """One that only adds to it stays 1-bit."""
    program = check(nn.Sequential(RSign(4), cls(4, 3, 3)), images(2, 4, 6, 6))
    assert (type(program.operations[-1]) is ops.BinaryConv2d) == one_bit


def hooked(layer, pre=None, post=None, **kwargs):
    model = nn.Sequential(layer, nn.ReLU())
    if pre:
        layer.register_forward_pre_hook(pre, **kwargs)
    if post:
        layer.register_forward_hook(post, **kwargs)
    return model


HOOKED = dict(
    pre=lambda: hooked(nn.Conv2d(4, 3, 3), lambda m, args: args[0] * 2),
    post=lambda: hooked(nn.Conv2d(4, 3, 3), None, lambda m, args, y: y - 0.5),
    kwargs=lambda: hooked(
        nn.Conv2d(4, 3, 3),
        lambda m, args, kwargs: ((args[0] + 1, ), kwargs),
        with_kwargs=True),
    both=lambda: hooked(
        nn.BatchNorm2d(4), lambda m, args: args[0] + 1, lambda m, args, y: y *
        args[0]),
    binary=lambda: nn.Sequential(
        RSign(4), hooked(BinaryConv2d(4, 3, 3), None, lambda m, a, y: y + 1)),
    rsign=lambda: nn.Sequential(
        hooked(RSign(4), lambda m, args: args[0] - 0.3), nn.Conv2d(4, 3, 3)),
    observed=lambda: hooked(
        BinaryConv2d(4, 3, 3), None, lambda m, args, y: seen.append(y.shape)),
    root=lambda: on_root(nn.Sequential(nn.Conv2d(4, 3, 3))),
    backward=lambda: with_backward_hooks(nn.Conv2d(4, 3, 3)),
)
seen: list = []


def on_root(model):
    model.register_forward_hook(lambda m, args, y: y * 3)
    return model


def with_backward_hooks(layer):
    layer.register_full_backward_hook(lambda *args: None)
    return nn.Sequential(layer, nn.ReLU())


@pytest.mark.parametrize('name', HOOKED)
def test_hooks(name, images):
    check(HOOKED[name](), images(2, 4, 6, 6))


def test_global_hooks(images):
    """A hook for all modules, here of one type, is followed as well."""

    def double(module, args, y):
        return y * 2 if isinstance(module, (nn.Conv2d, RSign)) else None

    handle = nn.modules.module.register_module_forward_hook(double)
    try:
        check(
            nn.Sequential(RSign(4), nn.Conv2d(4, 3, 3), nn.ReLU()),
            images(2, 4, 6, 6))
    finally:
        handle.remove()


def test_a_hook_that_reads_numbers_is_named():
    model = hooked(
        nn.Conv2d(4, 3, 3), None, lambda m, args, y: y * float(y.mean()))
    with pytest.raises(LoweringError, match=r"'0' \(Conv2d\) cannot be tr"):
        lower(model, (4, 6, 6))


class Compiled(nn.Sequential):
    """Stands for a model whose own ``compile`` was called."""


WRAPPED = dict(
    compiled=torch.compile,
    compiled_twice=lambda model: nn.DataParallel(torch.compile(model)),
    parallel=nn.DataParallel,
    compiled_part=lambda model: nn.Sequential(
        torch.compile(model[0]), *model[1:]),
    compiled_in_place=lambda model: (model.compile(), model)[1],
    averaged=torch.optim.swa_utils.AveragedModel,
)


@pytest.mark.parametrize('name', WRAPPED)
def test_wrappers_are_taken_off(name, images):
    """The names are those of the model itself, where it is one."""
    model = one_bit().eval()
    program = lower(WRAPPED[name](deepcopy(model)), (4, 6, 6))
    plain = lower(model, (4, 6, 6))
    names = [op.name for op in program.operations]
    prefix = 'module.' if name == 'averaged' else ''
    assert names == [prefix + op.name for op in plain.operations]
    assert (program.operations[1].weight == plain.operations[1].weight).all()


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3))


def scripted():
    return torch.jit.script(nn.Sequential(nn.Conv2d(4, 3, 3)))


def script_inside():
    return nn.Sequential(nn.ReLU(), scripted())


def quantized():
    return nn.Sequential(torch.ao.nn.quantized.Conv2d(4, 3, 3))


def dynamic():
    return torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Flatten(), nn.Linear(144, 2)), {nn.Linear})


def recurrent():
    return nn.Sequential(nn.Flatten(2), nn.LSTM(36, 3))


def attention():
    return nn.Sequential(
        nn.Flatten(2), nn.TransformerEncoderLayer(36, 4, batch_first=True))


def unregistered():
    model = nn.Sequential()
    layers = [nn.Conv2d(4, 3, 3)]
    model.forward = lambda x: layers[0](x)
    return model


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('make,words', [
    (lazy, ["'0' (LazyConv2d) is lazy", 'Run the model once']),
    (scripted, ['The model is a ScriptModule', 'made from']),
    (script_inside, ["'1' is a ScriptModule"]),
    (quantized, ["'0'"]),
    (dynamic, ["'1'"]),
    (recurrent, ["'1' (LSTM"]),
    (attention, ["'1' (TransformerEncoderLayer"]),
    (unregistered, ['not installed as a submodule']),
])
def test_what_is_not_possible_is_said(make, words):
    with pytest.raises(LoweringError) as error:
        lower(make(), (4, 6, 6))
    for word in words:
        assert word in str(error.value)
