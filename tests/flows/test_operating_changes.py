"""What a plan says of the operating part: each setting that differs, by the name that it has in mlship.yaml."""

from mlship.flows.operating_changes import changed_settings

BEFORE = {
    "service": "ecs",
    "settings": {"region": "eu-west-1", "subnets": ("a", "b")},
    "labels": {"team": "growth"},
    "replicas": {"min": 1, "max": 1},
    "request_timeout_s": 2.0,
    "keep": 5,
}


def test_what_is_written_alike_does_not_differ():
    assert changed_settings(BEFORE, {**BEFORE, "settings": {"region": "eu-west-1", "subnets": ["a", "b"]}}, "aws") == ()


def test_each_change_has_the_files_own_name():
    after = {
        "service": "lambda",
        "settings": {"region": "eu-west-1", "subnets": ["a"], "port": 8080},
        "replicas": {"min": 2, "max": 10},
        "request_timeout_s": 5.0,
        "rollout": {"name": "canary", "bake_s": 300.0, "gates": ["x" * 90]},
        "keep": 5,
    }
    assert changed_settings(BEFORE, after, "aws") == (
        "labels.team: growth -> left out",
        "rollout.bake: left out -> 300s",
        f'rollout.gates: left out -> ["{"x" * 75}...',
        "rollout.strategy: left out -> canary",
        "scale.replicas: 1 -> 2..10",
        "serve.request_timeout: 2s -> 5s",
        "targets.aws.port: left out -> 8080",
        "targets.aws.service: ecs -> lambda",
        'targets.aws.subnets: ["a", "b"] -> ["a"]',
    )
