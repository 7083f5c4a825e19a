"""Pack a trained network: 1-bit weights as bits, all else folded."""
import argparse
import os
import sys

from mmreact.utils.cli import add_cfg_options

#: Exit code where --verify finds no mistake, but too many other predictions.
UNDECIDED = 3


def parse_args():
    parser = argparse.ArgumentParser(
        description='Make a packed file of a checkpoint, which runs without '
        'PyTorch')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '-o', '--out', required=True, help='packed file (.safetensors)')
    parser.add_argument(
        '--real',
        choices=['fp32', 'fp16'],
        default='fp32',
        help='weights of layers that are not 1-bit, such as the first '
        'convolution and the classifier (default: fp32)')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images (default: what the test pipeline makes)')
    parser.add_argument(
        '--no-preprocessing',
        action='store_true',
        help='leave out what the test pipeline does with images')
    parser.add_argument(
        '--verify',
        type=int,
        default=0,
        metavar='N',
        help='compare the packed file with the checkpoint, layer by layer and '
        'on whole, on the first N test images; it is written only if they '
        'agree. Exit code 1: the file is wrong; 3: no mistake, but too many '
        'predictions differ by rounding')
    parser.add_argument(
        '--backend',
        default='reference',
        help='what --verify runs the packed file with (default: reference)')
    parser.add_argument('--data-root', help='root of the data set')
    add_cfg_options(parser)
    args = parser.parse_args()
    if not args.out.endswith('.safetensors'):
        parser.error(f'the packed file {args.out} must end with .safetensors')
    return args


def verify_file(cfg, model, path, number, backend):
    """Print how a packed file compares with the model; give the verdict."""
    from mmengine.utils import track_iter_progress

    from mmreact.engine.packing import batches
    from mmreact.export import default_batch_size, verify
    from mmreact.packed import PackedModel, load_packed
    packed = load_packed(path)
    backend = PackedModel(packed, backend).backend
    size = default_batch_size(packed.program.input_shape)
    images = batches(cfg, model, number, packed, size)
    report = verify(model, packed,
                    track_iter_progress((images, -(-number // size))), backend)
    print(f'\n{report}')
    return report.verdict


def main():
    args = parse_args()
    import mmreact.models  # noqa: F401, registers
    from mmreact.engine.packing import load_model, pack
    from mmreact.engine.test_images import note_on_sizes
    from mmreact.packed import save_packed
    from mmreact.utils.checkpoint import CheckpointError
    from mmreact.utils.config_files import read_config
    from mmreact.utils.config_options import change_config
    path = args.out
    if args.verify:
        path = path.removesuffix('.safetensors') + '.unverified.safetensors'
    try:
        cfg = read_config(args.config)
        change_config(cfg, args.cfg_options, args.data_root)
        model = load_model(cfg, args.checkpoint)
        packed = pack(cfg, args.checkpoint, model, args.shape,
                      not args.no_preprocessing)
        size = save_packed(path, packed, args.real)
        verdict = verify_file(cfg, model, path, args.verify,
                              args.backend) if args.verify else 'verified'
    except (CheckpointError, ImportError, OSError, ValueError) as error:
        return f'Error: {error}'
    if verdict == 'wrong':
        return f'Error: the packed file is not right. It is left as {path}'
    if verdict == 'undecided':
        print(
            f'The packed file is neither verified nor wrong. It is left as '
            f'{path}',
            file=sys.stderr)
        return UNDECIDED
    os.replace(path, args.out)
    whole = sum(v.numel() * v.element_size()
                for v in model.state_dict().values())
    note = note_on_sizes(packed.preprocessing)
    if note:
        print(note, file=sys.stderr)
    print(f'{args.out}: {size:,} bytes; the weights of the checkpoint: '
          f'{whole:,} bytes, {whole / size:.1f} times as many.')


if __name__ == '__main__':
    sys.exit(main())
