from mlship.image.packages.abi import abi_findings, newest_glibc
from mlship.image.packages.wheel_files import InstalledWheel, installed_wheels, owner
from mlship.image.system import elf


def found(*wheels, files=None, python="3.11", platform="linux/amd64"):
    return abi_findings(wheels, files or {}, python_minor=python, platform=platform, glibc="2.36", suite="bookworm")


def wheel(*tags, name="fast_trees", files=()):
    return InstalledWheel(name, "1.2", tags, frozenset(files))


def library(*versions, machine=elf.X86_64):
    return elf.Library(machine, "", (), versions={"libc.so.6": versions})


def test_wheels_that_fit_are_not_mentioned():
    fitting = (
        "cp311-cp311-manylinux_2_17_x86_64",
        "py3-none-any",
        "cp38-abi3-manylinux_2_28_x86_64",
        "cp311-cp311-linux_x86_64",
    )
    assert found(*map(wheel, fitting), wheel("cp311-cp311-musllinux_1_2_x86_64", "py3-none-any"), wheel()) == ()


def test_a_wheel_for_a_newer_c_library_is_refused_with_both_versions():
    (told,) = found(wheel("cp311-cp311-manylinux_2_39_x86_64"))
    said = "fast-trees 1.2 does not run on bookworm: its tag cp311-cp311-manylinux_2_39_x86_64 asks for glibc 2.39, and the base has 2.36"
    assert (told.what, told.code, told.severity) == (said, "newer-glibc", "error")
    assert "older version" in told.fix


def test_a_wheel_for_another_python_or_processor_is_refused():
    for tag in ("cp312-cp312-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_aarch64", "cp311-cp311-musllinux_1_2_x86_64"):
        (told,) = found(wheel(tag))
        assert told.what == f"fast-trees 1.2 is made for {tag}; the image has Python 3.11 on linux/amd64, glibc 2.36"
        assert told.code == "other-platform-wheel"


def test_symbols_count_where_the_tag_says_nothing():
    local = wheel("cp311-cp311-linux_x86_64", files=["fast_trees/_c.so"])
    (told,) = found(local, files={"fast_trees/_c.so": library("GLIBC_2.2.5", "GLIBC_2.38")})
    assert told.what == (
        "fast-trees 1.2 does not run on bookworm: fast_trees/_c.so asks for symbols of glibc 2.38, and the base has 2.36"
    )
    assert found(local, files={"fast_trees/_c.so": library("GLIBC_2.36", "GLIBC_PRIVATE")}) == ()


def test_libraries_for_other_processors_are_passed_over():
    both = wheel("py3-none-any", files=["a/arm.so"])
    assert found(both, files={"a/arm.so": library("GLIBC_2.38", machine=elf.AARCH64)}) == ()


def test_versions_are_compared_as_numbers():
    assert newest_glibc(library("GLIBC_2.9", "GLIBC_2.34", "GLIBC_2.2.5")) == (2, 34)


def test_dist_info_says_whose_a_file_is_and_what_it_was_made_for(tmp_path):
    info = tmp_path / "fast_trees-1.2.dist-info"
    info.mkdir()
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_17_x86_64\nTag: cp311-cp311-manylinux2014_x86_64\n"
    )
    (info / "RECORD").write_text('fast_trees/_c.so,sha256=x,1\n"fast_trees/a,b.py",,\n')
    (tmp_path / "other-1.dist-info").mkdir()
    wheels = installed_wheels(tmp_path)
    assert wheels[0] == InstalledWheel(
        "fast_trees",
        "1.2",
        ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64"),
        frozenset({"fast_trees/_c.so", "fast_trees/a,b.py"}),
    )
    assert owner(wheels, "fast_trees/_c.so") == "fast-trees 1.2"
    assert owner(wheels, "unknown/x.so") == "unknown"
