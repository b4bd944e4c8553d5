"""Bicubic resizing of bytes in fixed point, as Pillow and its descendants do it: columns first, a byte in between.

They differ in how many bits a coefficient has: Pillow 22 after the point, `fast_image_resize` as many as fit into 16
bits with the sign, which SIMD multiplies twice as fast.
"""
import math

import numpy

PILLOW_BITS = 22


def cubic(x):
    """Keys's kernel with a = -0.5."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((2.5 - 0.5 * x) * x - 4) * x + 2 if x < 2 else 0.0


def coefficients(size, new_size):
    """For each new place the first old place it takes from, and the weights of that and those after it."""
    scale = size / new_size
    reach = 2 * max(scale, 1)
    for place in range(new_size):
        centre = (place + 0.5) * scale
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), size)
        weights = numpy.array([cubic((old - centre + 0.5) / max(scale, 1)) for old in range(first, last)])
        yield first, weights / weights.sum()


def short_bits(weights):
    """Bits after the point with which the largest weight fits into a signed number of 16 bits."""
    largest = max(each.max() for _, each in weights)
    return next(bits for bits in range(22) if bits == 21 or math.floor(largest * 2 ** (bits + 1) + 0.5) >= 2**15)


def resize_rows(pixels, new_size, short):
    if pixels.shape[0] == new_size:
        return pixels
    weights = list(coefficients(pixels.shape[0], new_size))
    bits = short_bits(weights) if short else PILLOW_BITS
    rows = []
    for first, each in weights:
        fixed = numpy.trunc(each * 2**bits + numpy.copysign(0.5, each)).astype(numpy.int64)
        total = numpy.tensordot(fixed, pixels[first : first + len(fixed)].astype(numpy.int64), 1)
        rows.append(numpy.clip((total + 2 ** (bits - 1)) >> bits, 0, 255))
    return numpy.stack(rows).astype(numpy.uint8)


def shortest_edge(pixels, edge, short):
    """The centre of `pixels` [height, width, colours], whose shortest edge becomes `edge`."""
    height, width = pixels.shape[:2]
    new_height, new_width = edge * height // min(height, width), edge * width // min(height, width)
    narrowed = resize_rows(pixels.swapaxes(0, 1), new_width, short).swapaxes(0, 1)
    resized = resize_rows(narrowed, new_height, short)
    top, left = (new_height - edge) // 2, (new_width - edge) // 2
    return resized[top : top + edge, left : left + edge]
