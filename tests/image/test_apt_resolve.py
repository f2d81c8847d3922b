import pytest

from mlship.errors import MlshipError
from mlship.image.system.apt_index import Distribution, Packages
from mlship.image.system.apt_resolve import relations, resolve


def distribution(*stanzas: str) -> Distribution:
    common = f"Filename: pool/x.deb\nSize: 1\nSHA256: {'0' * 64}\n"
    text = "\n".join(
        f"Package: {stanza.strip()}\n" + ("" if "Version:" in stanza else "Version: 1\n") + common for stanza in stanzas
    )
    return Distribution("bookworm", (Packages((text + "\n").encode(), "http://mirror.example.test/debian"),))


def names(*args, **kwargs) -> list[str]:
    return [package.name for package in resolve(*args, **kwargs)]


def test_the_closure_follows_depends_and_pre_depends():
    archive = distribution(
        "python3.11\nDepends: libc6 (>= 1), zlib1g:any", "libc6\nPre-Depends: libgcc-s1 [amd64]", "zlib1g", "libgcc-s1", "other"
    )
    assert names(archive, ["python3.11"]) == ["libc6", "libgcc-s1", "python3.11", "zlib1g"]


def test_packages_for_maintainer_scripts_are_not_followed():
    archive = distribution("ca-certificates\nDepends: openssl (>= 1.1), debconf (>= 0.5) | debconf-2.0", "openssl", "debconf")
    assert names(archive, ["ca-certificates"]) == ["ca-certificates"]


def test_a_package_for_maintainer_scripts_stays_when_it_is_asked_for():
    assert names(distribution("bash\nDepends: libtinfo6", "libtinfo6"), ["bash"]) == ["bash", "libtinfo6"]


def test_what_only_pythons_needless_modules_need_is_not_followed():
    python = "libpython3.13-stdlib\nDepends: libdb5.3t64, libreadline8t64 (>= 6), libtirpc3 (>= 1), libssl3"
    archive = distribution(python, "libdb5.3t64", "libreadline8t64", "libssl3", "libtirpc3\nDepends: libkrb5-3", "libkrb5-3")
    assert names(archive, ["libpython3.13-stdlib"]) == ["libpython3.13-stdlib", "libssl3"]
    assert names(archive, ["libpython3.13-stdlib", "libdb5.3t64"]) == ["libdb5.3t64", "libpython3.13-stdlib", "libssl3"]


def test_what_another_package_needs_comes_though_python_could_do_without():
    archive = distribution("libpython3.11-stdlib\nDepends: libdb5.3", "libsasl2-2\nDepends: libdb5.3", "libdb5.3")
    assert "libdb5.3" in names(archive, ["libpython3.11-stdlib", "libsasl2-2"])


def test_the_first_alternative_that_is_there_is_taken():
    archive = distribution("a\nDepends: gone | c | d", "c", "d")
    assert names(archive, ["a"]) == ["a", "c"]


def test_an_alternative_that_is_chosen_already_serves():
    assert names(distribution("a\nDepends: c | d", "c", "d"), ["d", "a"]) == ["a", "d"]


def test_a_provided_name_serves_where_no_package_has_it():
    archive = distribution("a\nDepends: libssl", "libssl3\nProvides: libssl (= 3.0), other", "z\nProvides: libssl")
    assert names(archive, ["a"]) == ["a", "libssl3"]


def test_a_provided_name_without_version_does_not_meet_a_version():
    archive = distribution("a\nDepends: libx (>= 2)", "b\nProvides: libx", "c\nProvides: libx (= 2.1)")
    assert names(archive, ["a"]) == ["a", "c"]


def test_a_package_that_is_too_old_names_who_needs_it():
    with pytest.raises(MlshipError, match=r"a needs b \(>= 2\), which bookworm does not have"):
        resolve(distribution("a\nDepends: b (>= 2)", "b"), ["a"])


def test_a_name_that_does_not_exist_is_refused_with_how_to_find_it():
    with pytest.raises(MlshipError, match="bookworm has no package libgompp") as raised:
        resolve(distribution("libgomp1"), ["libgompp"])
    assert raised.value.where == "mlship.yaml build.packages"
    assert raised.value.fix == "find its name with: apt-cache search libgompp"


def test_circles_end():
    assert names(distribution("a\nDepends: b", "b\nDepends: a"), ["a"]) == ["a", "b"]


def test_a_dependency_that_cannot_be_read_is_refused():
    with pytest.raises(MlshipError, match="cannot be read: 'a b c'"):
        relations("a b c")
