"""Whether files are worth compressing, judged by samples: trees of a forest shrink to a quarter, trained weights hardly at all.

What is stored raw is read by the server's machine, and hashed here, without unpacking anything.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

SAMPLE = 64 * 1024  # bytes; several windows of deflate
SAMPLES = 32  # of all files together: 2 MiB are read, however large they are
WORTH = 0.08  # share of the bytes that compressing has to save


def is_worth_compressing(files: Sequence[Path]) -> bool:
    """Raises OSError when a file cannot be read. A few bytes always are."""
    read, left = 0, 0
    for sample in _samples(files):
        read += len(sample)
        left += min(len(zlib.compress(sample, 1)), len(sample))
    return read < SAMPLE or left <= read * (1 - WORTH)


def _samples(files: Sequence[Path]) -> Iterator[bytes]:
    """Evenly over all bytes of all files, as if they were one."""
    sizes = [path.stat().st_size for path in files]
    step = max(sum(sizes) // SAMPLES, SAMPLE)
    start = 0  # of the next sample, from the beginning of the present file
    for path, size in zip(files, sizes, strict=True):
        with path.open("rb", buffering=0) as file:
            while start < size:
                file.seek(start)
                yield file.read(SAMPLE)
                start += step
        start -= size
