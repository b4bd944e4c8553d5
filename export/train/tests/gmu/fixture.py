#!/usr/bin/env python3
"""MM-IMDb's HDF5 form as the authors of the GMU paper publish it, small, whole and spoilt.

usage: fixture.py OUT

Writes a folder for each case, with `multimodal_imdb.hdf5` and the words beside it in `metadata.npy`. `whole` has
every dataset and attribute that the published file has, in the types that its script and fuel's H5PYDataset give
them: pictures of 3 x 256 x 160 in 32-bit numbers, genres with their names as JSON, plots as sequences of numbers of
words, and splits in an array of a compound type. The others differ from it in what their names say, with smaller
pictures. Every value follows from a fixed seed.
"""
import json
import pathlib
import pickle
import random
import sys

import h5py
import numpy

FILMS = {"train": 6, "dev": 2, "test": 2}
# In the order of the published file: the most frequent first.
GENRES = [
    "Drama", "Comedy", "Romance", "Thriller", "Crime", "Action", "Adventure", "Horror", "Documentary", "Mystery",
    "Sci-Fi", "Fantasy", "Family", "Biography", "War", "History", "Music", "Animation", "Musical", "Western", "Sport",
    "Short", "Film-Noir",
]
WORDS = ["_UNK_", ".", "the", "a", "film", "of", "N", "days", ",", "café", "'", "s", "heist", "déjà", "vu", "ends"]
# Blue, green, red: what VGG was trained less.
MEANS = numpy.array([103.939, 116.779, 123.68], dtype="float32")


def poster(film, height, width):
    """The picture of a film in RGB. The test of the loader draws the same."""
    y, x = numpy.mgrid[0:height, 0:width]
    return numpy.stack([(x + 29 * film) % 256, (y + x * film) % 256, (x * y + 7 * film) % 256], -1)


def cover(rgb):
    """What the published script keeps of a picture."""
    kept = rgb[..., ::-1].astype("float32") - MEANS
    return kept.transpose(2, 0, 1)


def splits(sources, counts):
    """What fuel's H5PYDataset.create_split_array makes of one range of every source for each split."""
    width = max(len(source) for source in sources)
    kind = numpy.dtype([
        ("split", f"S{max(map(len, counts))}"), ("source", f"S{width}"), ("start", numpy.int64), ("stop", numpy.int64),
        ("indices", h5py.special_dtype(ref=h5py.Reference)), ("available", numpy.bool_), ("comment", "S1"),
    ])
    rows = numpy.empty(len(counts) * len(sources), dtype=kind)
    start = 0
    for number, (split, count) in enumerate(counts.items()):
        for place, source in enumerate(sorted(sources)):
            rows[number * len(sources) + place] = (
                split.encode(), source.encode(), start, start + count, h5py.Reference(), True, b".",
            )
        start += count
    return rows


def write(folder, counts=FILMS, size=(256, 160), protocol=2, spoil=lambda file: None):
    """One case; `spoil` gets the file when it is whole."""
    folder.mkdir(parents=True)
    draw = random.Random(7)
    count = sum(counts.values())
    with h5py.File(folder / "multimodal_imdb.hdf5", "w") as file:
        dense = {"features": 300, "vgg_features": 4096, "three_grams": 90, "word_grams": 12}
        for name, width in dense.items():
            file.create_dataset(name, (count, width), dtype="float32")[...] = draw.random()
        images = file.create_dataset("images", [count, 3, *size], dtype="int32")
        genres = file.create_dataset("genres", (count, len(GENRES)), dtype="int32")
        plots = file.create_dataset("sequences", (count,), dtype=h5py.special_dtype(vlen=numpy.dtype("int32")))
        ids = file.create_dataset("imdb_ids", (count,), dtype="S7")
        for film in range(count):
            images[film] = cover(poster(film, *size))
            # Of every film its number's genre and the one after; the last of all has none.
            genres[film] = [int(film < count - 1 and place in (film, film + 1)) for place in range(len(GENRES))]
            plots[film] = [1 + (film + place) % (len(WORDS) - 1) for place in range(3 + 40 * film)]
        ids[...] = numpy.array([f"{film * 1009:07}" for film in range(count)], dtype="S7")
        genres.attrs["target_names"] = json.dumps(GENRES)
        for name, axes in {"images": ["batch", "channel", "height", "width"], "genres": ["batch", "classes"]}.items():
            for place, axis in enumerate(axes):
                file[name].dims[place].label = axis
        file.attrs["split"] = splits([*dense, "images", "genres", "sequences", "imdb_ids"], counts)
        spoil(file)
    number = dict(enumerate(WORDS))
    lookup = numpy.arange(len(WORDS) * 300, dtype="float32").reshape(len(WORDS), 300)
    data = {"ix_to_word": number, "word_to_ix": {word: place for place, word in number.items()},
            "vocab_size": len(WORDS), "lookup": lookup}
    write_npy(folder / "metadata.npy", data, protocol)


def write_npy(path, data, protocol):
    """As numpy.save does, with the pickle protocol of the numpy of then."""
    if protocol is None:
        return numpy.save(path, data)
    with open(path, "wb") as file:
        numpy.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(numpy.array(data, dtype=object), file, protocol=protocol)


def replaced(name, shape, dtype, value=0):
    """The dataset `name` anew, with its attributes."""
    def spoil(file):
        attributes = dict(file[name].attrs) if name == "genres" else {}
        del file[name]
        file.create_dataset(name, shape, dtype=dtype)[...] = value
        file[name].attrs.update(attributes)
    return spoil


def put(name, place, value):
    def spoil(file):
        file[name][place] = value
    return spoil


def split_with(column, value, split=b"test", source=b"images"):
    def spoil(file):
        rows = file.attrs["split"]
        rows[column][(rows["split"] == split) & (rows["source"] == source)] = value
        file.attrs["split"] = rows
    return spoil


def every_split_with(column, value, split):
    def spoil(file):
        rows = file.attrs["split"]
        rows[column][rows["split"] == split] = value
        file.attrs["split"] = rows
    return spoil


def subset(file):
    """A split of chosen rows, which fuel allows, and the published file does not use."""
    chosen = file.create_dataset("chosen", data=numpy.array([3]))
    split_with("indices", chosen.ref)(file)


CASES = {
    "no-genres": lambda file: file.pop("genres") and None,
    "channels-last": replaced("images", (4, 8, 5, 3), "int32"),
    "bytes": replaced("images", (4, 3, 8, 5), "uint8"),
    "real-genres": replaced("genres", (4, 23), "float32"),
    "fewer-genres": replaced("genres", (4, 22), "int32"),
    "genre-of-two": put("genres", (2, 5), 2),
    "fewer-ids": replaced("imdb_ids", (3,), "S7", b"1"),
    "flat-sequences": replaced("sequences", (4,), "int32"),
    "unknown-word": put("sequences", 1, [1, 16]),
    "negative-word": put("sequences", 3, [-1]),
    "no-names": lambda file: file["genres"].attrs.pop("target_names") and None,
    "other-names": lambda file: file["genres"].attrs.update({"target_names": "Drama, Comedy"}),
    "no-split": lambda file: file.attrs.pop("split") is None,
    "plain-split": lambda file: file.attrs.update({"split": numpy.arange(3)}),
    "unknown-split": every_split_with("split", b"tiny", b"test"),
    "split-beyond": every_split_with("stop", 5, b"test"),
    "split-overlaps": every_split_with("start", 1, b"test"),
    "split-differs": split_with("stop", 3),
    "split-unavailable": split_with("available", False),
    "split-subset": subset,
    "bright-picture": put("images", (1, 2, 4, 3), 400),
}


def main():
    out = pathlib.Path(sys.argv[1])
    write(out / "whole")
    write(out / "protocol-of-now", {"train": 2, "dev": 1, "test": 1}, (8, 5), None)
    write(out / "real-pictures", {"train": 2, "dev": 1, "test": 1}, (8, 5),
          spoil=lambda file: replaced("images", (4, 3, 8, 5), "float32", [cover(poster(film, 8, 5)) for film in range(4)])(file))
    for name, spoil in CASES.items():
        write(out / name, {"train": 2, "dev": 1, "test": 1}, (8, 5), spoil=spoil)


if __name__ == "__main__":
    main()
