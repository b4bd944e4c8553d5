#!/usr/bin/env python3
"""Run ONNX's own checker, with shape inference, over files and bundle folders.

usage: check_onnx.py FILE|FOLDER...
Exit code 0 if every model passes, 65 if one does not, 66 if there is nothing to check, 64 on usage.
"""

import sys
from pathlib import Path

import onnx

USAGE, BAD_DATA, NO_INPUT = 64, 65, 66


def models(argument):
    """The ONNX files that an argument stands for."""
    path = Path(argument)
    return sorted(path.rglob("*.onnx")) if path.is_dir() else [path]


def complaint(path):
    """What the checker has against a model, None if nothing."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        return error
    return None


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return USAGE
    status = 0
    for argument in arguments:
        files = models(argument)
        if not files or not all(file.is_file() for file in files):
            print(f"{argument}: no ONNX file there", file=sys.stderr)
            status = status or NO_INPUT
            continue
        for file in files:
            error = complaint(file)
            print(f"{file}: {error or 'ok'}", file=sys.stderr if error else sys.stdout)
            if error:
                status = BAD_DATA
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
