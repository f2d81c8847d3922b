import pytest
from made_elf import ALLOCATED, with_sections

from mlship.image.packages.debug_info import loaded_length, without_debug_info
from mlship.image.system import elf
from mlship.oci.layer import Entry


def test_debug_information_goes_and_what_is_loaded_stays(tmp_path):
    path = with_sections(tmp_path / "a.so")
    before = elf.library(path)
    (short,) = without_debug_info([Entry("opt/a.so", source=path)], tmp_path)
    assert short.source.stat().st_size == path.stat().st_size - 50_000 - 128
    assert elf.library(short.source) == before
    assert short.source.read_bytes()[40:48] == bytes(8)
    assert path.stat().st_size > 50_000


@pytest.mark.parametrize(
    "made",
    [
        {"flags": ALLOCATED},
        {"debug": 100},
        {"behind": b"PK" * 100},
    ],
    ids=["a section that is loaded", "too little to matter", "data that is no section"],
)
def test_a_file_that_is_not_only_debug_information_behind_stays_as_it_is(tmp_path, made):
    path = with_sections(tmp_path / "a.so", **made)
    assert list(without_debug_info([Entry("a.so", source=path)], tmp_path)) == [Entry("a.so", source=path)]


def test_what_is_no_library_stays(tmp_path):
    path = with_sections(tmp_path / "a.bin")
    (tmp_path / "b.so").write_bytes(b"INPUT(-lfoo)")
    entries = [
        Entry("a.bin", source=path),
        Entry("b.so", source=tmp_path / "b.so"),
        Entry("c", folder=True),
        Entry("d.so", link="a"),
    ]
    assert list(without_debug_info(entries, tmp_path)) == entries


def test_no_cut_of_a_file_ends_the_reading(tmp_path):
    content = with_sections(tmp_path / "a.so", debug=20_000).read_bytes()
    for length in (*range(130), *range(131, 600, 7), *range(601, len(content), 1501)):
        (tmp_path / "cut.so").write_bytes(content[:length])
        assert loaded_length(tmp_path / "cut.so") is None
