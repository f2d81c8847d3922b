import random

from mlship.oci.compressible import SAMPLE, SAMPLES, is_worth_compressing


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def test_weights_stay_raw_and_what_repeats_is_compressed(tmp_path):
    weights, tree = tmp_path / "weights", tmp_path / "tree"
    weights.write_bytes(noise(1, 5 * SAMPLE))
    tree.write_bytes(bytes(range(64)) * 1000)
    assert not is_worth_compressing([weights])
    assert is_worth_compressing([tree])


def test_many_files_are_judged_together_by_their_bytes(tmp_path):
    small = tmp_path / "config.json"
    small.write_bytes(b"{}" * 100)
    weights = tmp_path / "weights"
    weights.write_bytes(noise(2, 2 * SAMPLE))
    assert not is_worth_compressing([small, weights])


def test_of_a_large_file_only_samples_from_all_over_it_are_read(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:  # sparse: zeros but for the last samples
        file.truncate(100 * SAMPLES * SAMPLE)
        file.seek(50 * SAMPLES * SAMPLE)
    assert is_worth_compressing([path])


def test_nothing_is_worth_anything(tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    assert is_worth_compressing([empty])
    assert is_worth_compressing([])
