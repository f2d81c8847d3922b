import pytest

from mlship.errors import MlshipError
from mlship.oci.registry.reference import Reference, is_loopback, parse_reference

D = "sha256:" + "ab" * 32

GOOD = {
    "localhost:5000/x": Reference("localhost:5000", "x"),
    "localhost/x:1": Reference("localhost", "x", "1"),
    "127.0.0.1:5000/team/churn:v1": Reference("127.0.0.1:5000", "team/churn", "v1"),
    "[::1]:5000/x:v1": Reference("[::1]:5000", "x", "v1"),
    "[2001:db8::1]/x": Reference("[2001:db8::1]", "x"),
    "python": Reference("docker.io", "library/python"),
    "python:3.11-slim": Reference("docker.io", "library/python", "3.11-slim"),
    "team/churn": Reference("docker.io", "team/churn"),
    "docker.io/python": Reference("docker.io", "library/python"),
    "api.docker.io/team/churn": Reference("api.docker.io", "team/churn"),
    "R.Example.com/team/x": Reference("r.example.com", "team/x"),
    f"r.example.com/team/x@{D}": Reference("r.example.com", "team/x", "", D),
    f"r.example.com/team/x:v1@{D}": Reference("r.example.com", "team/x", "v1", D),
    "1.dkr.ecr.eu-west-1.amazonaws.com/a__b/c--d.e_f": Reference("1.dkr.ecr.eu-west-1.amazonaws.com", "a__b/c--d.e_f"),
}

BAD = {
    "": "it is empty",
    "https://r.example.com/team/x": "has no scheme",
    "r.example.com/team/x:v 1": "it has ' ' in it",
    "r.example.com/team/x\n": "it has '\\n' in it",
    "r.example.com/": "names a registry and no repository",
    "r.example.com/Team/x": "the repository 'Team/x' has upper-case letters; write 'team/x'",
    "r.example.com/team//x": "'team//x' is not a repository",
    "r.example.com/team/-x": "'team/-x' is not a repository",
    "r.example.com/team/x:": "'' is not a tag",
    "r.example.com/team/x:-v1": "'-v1' is not a tag",
    f"r.example.com/team/x:{'v' * 129}": "is not a tag",
    "r.example.com/team/x@sha256:abc": "'sha256:abc' is not a digest",
    "r.example.com/team/x@": "'' is not a digest",
    f"r.example.com/team/x@{D}@{D}": "more than one @",
    "user:word@r.example.com/team/x": "'***@r.example.com/team/x' is not an image reference: there are credentials in it",
    "https://user:word@r.example.com/team/x": "'https://***@r.example.com/team/x' is not an image reference: there are credentials in it",
    "r.example.com:0/x": "'0' is not a port",
    "r.example.com:70000/x": "'70000' is not a port",
    "r.example.com:/x": "'' is not a port",
    "[::1/x": "'[::1' is not an IPv6 address",
    "[nonsense]:5000/x": "'[nonsense]:5000' is not an IPv6 address",
    "[::1]5000/x": "'[::1]5000' is not an IPv6 address",
    "[fe80::1%eth0]/x": "is not an IPv6 address",
    "Team/x": "the repository 'Team/x' has upper-case letters",
    "-a.b/x": "'-a.b' is not a host name",
    f"r.example.com/{'x' * 256}": "longer than 255",
    "../x": "'..' is not a host name",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_reference_is_read_as_docker_reads_it(text: str) -> None:
    assert parse_reference(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_nonsense_is_refused_with_place_and_remedy(text: str) -> None:
    with pytest.raises(MlshipError) as refused:
        parse_reference(text, where="mlship.yaml:12 targets.aws.repository")
    assert BAD[text] in str(refused.value)
    assert refused.value.where == "mlship.yaml:12 targets.aws.repository"
    assert refused.value.fix
    assert "word" not in str(refused.value)
    assert refused.value.code == "bad-reference"


def test_a_reference_prints_as_it_is_written() -> None:
    for text in ("localhost:5000/x", f"[::1]:5000/x:v1@{D}"):
        assert str(parse_reference(text)) == text


def test_without_tag_and_digest_it_means_latest_and_a_digest_counts_more_than_a_tag() -> None:
    assert parse_reference("r.example.com/x/y").version == "latest"
    assert parse_reference(f"r.example.com/x/y:v1@{D}").version == D
    assert str(parse_reference("r.example.com/x/y:v1").at(D)) == f"r.example.com/x/y@{D}"


def test_this_machine_is_known_by_all_of_its_names() -> None:
    assert all(map(is_loopback, ("localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "a.localhost:1")))
    assert not any(map(is_loopback, ("localhost.example.com", "10.0.0.1:5000", "[2001:db8::1]:5000", "docker.io")))
