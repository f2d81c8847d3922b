import pytest
from made_archive import Gpgv, MadeArchive

from mlship.home import Home
from mlship.image.system import base
from mlship.image.system.providers import names, providers
from mlship.image.workplace import Workplace
from mlship.progress import Silent


@pytest.mark.parametrize(
    ("library", "first"),
    [
        ("libgomp.so.1", "libgomp1"),
        ("libX11.so.6", "libx11-6"),
        ("libcurl-gnutls.so.4", "libcurl-gnutls4"),
        ("libfoo_bar.so.2", "libfoo-bar2"),
        ("libtcl8.6.so", "libtcl8.6"),
        ("libglib-2.0.so.0", "libglib2.0-0"),
    ],
)
def test_a_package_is_called_as_debian_policy_says(library, first):
    assert names(library)[:2] == (first, f"{first}t64")


def test_a_file_that_names_its_whole_version_has_the_package_of_its_major_one():
    assert "libgomp1" in names("libgomp.so.1.0.0")


@pytest.mark.parametrize("library", ["../x.so", "$ORIGIN/x.so.1", "", ".so"])
def test_odd_names_have_no_package(library):
    assert names(library) == ()


@pytest.fixture
def made(tmp_path) -> MadeArchive:
    archive = MadeArchive(tmp_path / "mirror")
    for name in (*base._UNDER_PYTHON, *base._interpreter("3.11")):
        archive.add("bookworm", name)
    return archive


def asked(tmp_path, made, *libraries):
    made.publish()
    workplace = Workplace(Home(tmp_path / "home"), Gpgv(), Silent(), {})
    archive = made.archive("bookworm")
    plan = base.base_plan(workplace, archive, "3.11")
    return providers(workplace, archive, plan, libraries)


def test_a_package_that_holds_the_library_is_its_provider_with_all_that_it_brings(tmp_path, made):
    files = {"./usr/lib/x86_64-linux-gnu/libgomp.so.1": b"x"}
    made.add("bookworm", "libgomp1", files=files, Depends="gcc-12-base, libc6", Installed_Size="312")
    made.add("bookworm", "gcc-12-base", Installed_Size="100")
    (found,) = asked(tmp_path, made, "libgomp.so.1").values()
    assert (found.package, found.brings, found.size) == ("libgomp1", ("gcc-12-base", "libgomp1"), 412 * 1024)


def test_a_package_that_only_has_the_name_is_not_believed(tmp_path, made):
    made.add("bookworm", "libgomp1", files={"./usr/lib/gcc/libgomp.so.1": b"x"})
    assert asked(tmp_path, made, "libgomp.so.1", "libnowhere.so.3") == {}
