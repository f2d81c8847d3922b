import pytest

from mlship.image.system.apt_version import Version

# From dpkg's own tests (lib/dpkg/t/t-version.c) and versions that Debian really had.
ASCENDING = [
    ("1.0~rc1", "1.0"),
    ("1.0~~", "1.0~"),
    ("1.0~beta1~svn1245", "1.0~beta1"),
    ("1.0", "1.0-1"),
    ("1.0-1", "1.0-1.1"),
    ("1.0-9", "1.0-10"),
    ("9.0-1", "1:0.1-1"),
    ("3.11.2-6+deb12u8", "3.11.2-6+deb12u9"),
    ("3.11.2-6", "3.11.2-6+deb12u1"),
    ("2.36-9+deb12u9", "2.36-9+deb12u10"),
    ("1:2.36", "2:0"),
    ("1.0a", "1.0b"),
    ("1.0a", "1.0+"),
    ("1.2.3", "1.2.3a"),
    ("20230311", "20230311+deb12u1"),
    ("1.3.dfsg-3", "1.3.dfsg+really1.3.1-1"),
    ("0", "0.0.0.1"),
]


@pytest.mark.parametrize(("older", "newer"), ASCENDING)
def test_versions_have_dpkgs_order(older, newer):
    assert Version(older) < Version(newer)
    assert Version(newer) > Version(older)
    assert Version(older) != Version(newer)


@pytest.mark.parametrize(("one", "other"), [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0-0", "1.0"), ("01.2", "1.2")])
def test_versions_that_dpkg_calls_equal_are_equal(one, other):
    assert Version(one) == Version(other)
    assert hash(Version(one)) == hash(Version(other))


@pytest.mark.parametrize(
    ("relation", "wanted", "met"),
    [("<<", "2", True), ("<<", "1", False), ("<=", "1", True), ("=", "1", True), (">=", "1.1", False), (">>", "0.9", True)],
)
def test_relations_are_debians(relation, wanted, met):
    assert Version("1").satisfies(relation, wanted) is met
