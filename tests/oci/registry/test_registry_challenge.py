import pytest

from mlship.oci.registry.challenge import Challenge, best, challenges


def test_a_bearer_challenge_is_read_with_commas_inside_its_scope() -> None:
    header = 'Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a/b:pull,push"'
    assert challenges(header) == [
        Challenge(
            "bearer",
            {"realm": "https://auth.example.com/token", "service": "r.example.com", "scope": "repository:a/b:pull,push"},
        )
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="r"', [("basic", {"realm": "r"})]),
        ("Basic", [("basic", {})]),
        ("bAsIc Realm=r , charset=UTF-8", [("basic", {"realm": "r", "charset": "UTF-8"})]),
        ('Basic realm="a \\"b\\"", Bearer realm="x"', [("basic", {"realm": 'a "b"'}), ("bearer", {"realm": "x"})]),
        ("Negotiate, Basic realm=r", [("negotiate", {}), ("basic", {"realm": "r"})]),
        ("NTLM TlRMTVNTUA==, Bearer realm=x", [("ntlm", {}), ("bearer", {"realm": "x"})]),
        ('Bearer  realm = "x" ,  scope=""', [("bearer", {"realm": "x", "scope": ""})]),
        ('Bearer realm="never closed', [("bearer", {})]),
        ("", []),
        (",,,", []),
        ('"', []),
    ],
)
def test_challenges_are_read_as_the_specification_says(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(found.scheme, dict(found.parameters)) for found in challenges(header)] == expected


def test_bearer_goes_before_basic_whatever_the_order() -> None:
    assert best(['Basic realm="r"', 'Bearer realm="https://a"']) == Challenge("bearer", {"realm": "https://a"})
    assert best(['Basic realm="r", Bearer realm="https://a"']) == Challenge("bearer", {"realm": "https://a"})
    assert best(["Bearer", "Basic"]) == Challenge("basic", {})
    assert best(["Negotiate"]) is None
    assert best([]) is None
