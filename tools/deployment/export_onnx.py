"""Write a packed file as ONNX model, in real numbers."""
import argparse
import sys

from mmreact.packed import describe, load_packed


def parse_args():
    parser = argparse.ArgumentParser(
        description='Write a packed file as ONNX model in real numbers, for '
        'engines that know no 1-bit layers')
    parser.add_argument('file', help='packed file')
    parser.add_argument('-o', '--out', required=True, help='*.onnx')
    return parser.parse_args()


def main():
    args = parse_args()
    try:
        from mmreact.packed.onnx import OPSET, export_onnx
    except ImportError as error:
        return f'Error: {error}. Get it: pip install "mmreact[onnx]"'
    try:
        packed = load_packed(args.file)
        size = export_onnx(packed.program, args.out, describe(packed))
    except (ValueError, OSError) as error:
        return f'Error: {error}'
    print(f'{args.out}: {size:,} bytes, opset {OPSET}')


if __name__ == '__main__':
    sys.exit(main())
