"""Networks by name in PyTorch, and MMPretrain's own ways to them."""
import io
import pickle

import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.apis import ImageClassificationInferencer, ModelHub

import mmreact.models  # noqa: F401, makes the names known
from mmreact.utils.checkpoint import CheckpointError, load_checkpoint
from mmreact.zoo import ZooError, get_model, info, list_models, model_hub

FROM = {'Weights From': 'published by a test'}


@pytest.fixture
def network(make_catalogue):
    """An untrained network of the only row."""
    make_catalogue()
    torch.manual_seed(0)
    return get_model('small')


def saved(content):
    with io.BytesIO() as f:
        torch.save(content, f)
        return f.getvalue()


def weights(url, data, published):
    fields = published(data)
    return {
        'Weights': url,
        'Weights SHA256': fields['SHA256'],
        'Weights Bytes': fields['Bytes'],
        **FROM
    }


def test_published_weights(network, make_catalogue, make_server, published):
    meta = dict(dataset_meta=dict(classes=list('abcdefghij')))
    data = saved(dict(state_dict=network.state_dict(), meta=meta))
    url = f'{make_server(data).url}/small.pth'
    make_catalogue(**weights(url, data, published))
    model = get_model('small', pretrained=True)
    assert not model.training and type(model) is type(network)
    assert model._dataset_meta == meta['dataset_meta']
    for key, value in network.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    other = get_model('small')
    assert any(not torch.equal(other.state_dict()[key], value)
               for key, value in network.state_dict().items())


def test_a_checkpoint_of_ones_own(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / 'own.pth')
    for path in (tmp_path / 'own.pth', str(tmp_path / 'own.pth')):
        model = get_model('small', path)
        assert torch.equal(model.head.fc.weight, network.head.fc.weight)
    assert get_model('small', head=dict(num_classes=3)).head.fc.bias.numel() \
        == 3
    with pytest.raises(CheckpointError, match='shape: head.fc.weight'):
        get_model('small', path, head=dict(num_classes=3))
    with pytest.raises(CheckpointError, match='There is no checkpoint'):
        get_model('small', tmp_path / 'none.pth')


def test_missing_weights_are_an_error(network):
    with pytest.raises(ZooError, match='No checkpoint of small is published'):
        get_model('small', pretrained=True)
    with pytest.raises(ZooError, match="no model 'smal'. Do you mean small"):
        get_model('smal')


class Attack:
    """Unpickled without restriction, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@pytest.mark.parametrize('form', ['torch', 'pickle'])
def test_a_malicious_pickle_is_refused(network, make_catalogue, make_server,
                                       published, tmp_path, form):
    """Though its hash is the one in the catalogue."""
    evil = dict(state_dict=network.state_dict(), meta=Attack(tmp_path / 'x'))
    data = saved(evil) if form == 'torch' else pickle.dumps(evil, 2)
    url = f'{make_server(data).url}/small.pth'
    make_catalogue(**weights(url, data, published))
    message = dict(
        torch='object of (io|_io).open. Only tensors and plain values',
        pickle='a pickle that torch.save did not write')[form]
    with pytest.raises(CheckpointError, match=message):
        get_model('small', pretrained=True)
    assert not (tmp_path / 'x').exists()
    pickle.loads(pickle.dumps(Attack(tmp_path / 'x')))  # it is one
    assert (tmp_path / 'x').exists()


def test_addresses_as_checkpoints(network, make_server, tmp_path, monkeypatch):
    """A teacher's, or one given to a tool, takes the same way."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    server = make_server(saved(network.state_dict()))
    url = f'{server.url}/net.pth'
    for _ in range(2):
        assert load_checkpoint(url).keys() == network.state_dict().keys()
    assert len(server.asked) == 1
    with pytest.raises(CheckpointError, match='sha256 is .* Or give a file'):
        load_checkpoint(f'{server.url}/net-01234567.pth')
    monkeypatch.setenv('MMREACT_OFFLINE', '1')
    with pytest.raises(CheckpointError, match='put it there: '):
        load_checkpoint(f'{server.url}/other.pth')
    theirs = tmp_path / 'torch/hub/checkpoints/other.pth'
    theirs.parent.mkdir(parents=True)
    torch.save(dict(a=torch.ones(1)), theirs)
    assert load_checkpoint(f'{server.url}/other.pth').keys() == {'a'}


def test_mmpretrain_lists_our_names():
    ours = list_models()
    theirs = mmpretrain.list_models()
    assert set(ours) <= set(theirs) and 'resnet50_8xb32_in1k' in theirs
    assert mmpretrain.list_models('reactnet-a_') == list_models('reactnet-a_')
    model_hub.register()
    assert mmpretrain.list_models() == theirs


def test_mmpretrain_keeps_names_of_both():
    """VGG and ResNet: the network and the weights are the same.

    The forks have the files elsewhere; their names hold their hashes.
    """
    for name in ('vgg11_8xb32_in1k', 'resnet34_8xb32_in1k'):
        theirs = ModelHub.get(name)
        assert '/mmpretrain/' in theirs.config.filename
        url = info(name).weights.url
        assert theirs.weights.split('/')[-1] == url.split('/')[-1]
        ours = Config.fromfile(info(name).config)
        assert ours.model.backbone == theirs.config.model.backbone


def test_mmpretrain_builds_our_names():
    name = 'react-resnet18_8xb64_in1k'
    model = mmpretrain.get_model(name)
    assert type(model.backbone) is mmreact.models.ReActResNet
    assert model._metainfo.name == name
    ours = get_model(name)
    assert ours.state_dict().keys() == model.state_dict().keys()
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for given in (name, ours):
        inferencer = ImageClassificationInferencer(given, pretrained=False)
        result, = inferencer(image)
        assert result['pred_scores'].shape == (1000, )
        assert result['pred_class']
