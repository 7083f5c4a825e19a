"""Write a packed file as OpenVINO IR with 1-bit weights."""
import argparse
import sys

from mmreact.packed import describe, load_packed


def parse_args():
    parser = argparse.ArgumentParser(
        description="Write a packed file as OpenVINO IR with 1-bit weights, "
        "for OpenVINO's CPU device on x86")
    parser.add_argument('file', help='packed file')
    parser.add_argument(
        '-o',
        '--out',
        required=True,
        help='*.xml; a *.bin file is written beside it')
    parser.add_argument(
        '--batch', type=int, default=1, help='images a call (default: 1)')
    args = parser.parse_args()
    if args.batch < 1:
        parser.error('--batch takes a positive number')
    return args


def main():
    args = parse_args()
    try:
        from mmreact.packed.openvino import export_openvino
    except ImportError as error:
        return f'Error: {error}. Get it: pip install "mmreact[openvino]"'
    try:
        packed = load_packed(args.file)
        size = export_openvino(packed.program, args.out, args.batch,
                               describe(packed))
    except (ValueError, OSError) as error:
        return f'Error: {error}'
    print(f'{args.out} and its .bin: {size:,} bytes. Compile it with '
          "INFERENCE_PRECISION_HINT='f32': some processors take bf16 else.")


if __name__ == '__main__':
    sys.exit(main())
