"""What /proc tells."""

from pathlib import Path

from mlship.bench.machine import memory_of, this_processor, tree


def process(proc: Path, pid: int, parent: int, pss_kb: int | None) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a ) b) S {parent} 1 1")
    if pss_kb is not None:
        (folder / "smaps_rollup").write_text(f"00-ff ---p\nRss:  9999 kB\nPss:  {pss_kb} kB\nPss_Dirty:  1 kB\n")


def test_memory_is_that_of_all_descendants(tmp_path: Path) -> None:
    for pid, parent, pss in ((10, 1, 100), (11, 10, 20), (12, 11, 3), (13, 1, 5000), (14, 10, None)):
        process(tmp_path, pid, parent, pss)
    (tmp_path / "15").mkdir()  # ended just now
    assert tree(10, tmp_path) == (10, 11, 14, 12)
    assert memory_of(10, tmp_path) == 123 * 1024


def test_what_nobody_tells_is_unknown(tmp_path: Path) -> None:
    assert memory_of(10, tmp_path / "none") is None
    assert this_processor(tmp_path).model
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags: x\n")
    assert this_processor(tmp_path).model == "AMD EPYC 7B13"
    assert this_processor(tmp_path).cores >= 1
