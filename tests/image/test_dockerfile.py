from __future__ import annotations

import json
import platform
from pathlib import Path

from pytest import fixture, mark, raises
from requirements_fakes import FakeRunner, workplace

from mlship.errors import Exit, MlshipError
from mlship.image.docker_context import build_with_docker, docker_with_buildkit, local_wheels, uv_for, uv_toml, write_context
from mlship.image.dockerfile import DockerPlan, docker_context, dockerfile, file_modes, folder_plan
from mlship.image.packages.indexes import Indexes, Source
from mlship.image.plan import ImageConfig, LayerFile, LayerPlan, Wheel
from mlship.runner import Result

HASH = "e" * 64


@fixture
def plan(tmp_path):
    base = tmp_path / "base.tar"
    base.write_bytes(b"tar")
    return DockerPlan(
        project="churn",
        base=base,
        suite="bookworm",
        python="/usr/bin/python3.11",
        wheels=(Wheel("numpy", "2.1.0", HASH), Wheel("acme", "0.3", HASH[::-1], tmp_path / "acme-0.3-py3-none-any.whl")),
        layers=(
            LayerPlan("server", "server", (LayerFile("/opt/mlship/lib/x.py", content=b"x"),), "k"),
            LayerPlan("model", "churn", (LayerFile("/opt/mlship/models/churn/model.joblib", content=b"m"),), "k"),
            LayerPlan("code", "code", (), "k"),
        ),
        config=ImageConfig(
            entrypoint=("/usr/bin/python3.11", "-m", "mlship.server"), env={"A": "1"}, labels={"mlship.project": "churn"}
        ),
    )


def with_config(plan, **more):
    config = ImageConfig(**{"entrypoint": ("/python",), **more})
    return DockerPlan(plan.project, plan.base, plan.suite, plan.python, plan.wheels, plan.layers, config)


def test_the_dockerfile_has_the_order_of_the_layers(plan):
    text = dockerfile(plan).decode()
    steps = [
        line.strip() for line in text.splitlines() if line.startswith(("FROM", "ADD", "COPY", 'ENV "A', "USER", "ENTRYPOINT"))
    ]
    assert steps == [
        "FROM scratch AS base",
        'ADD ["base.tar", "/"]',
        "FROM base AS packages",
        "FROM base",
        'COPY --from=packages ["/opt/mlship/env", "/opt/mlship/env"]',
        'COPY ["layers/00-server/", "/"]',
        'COPY ["layers/01-model/", "/"]',
        'ENV "A"="1"',
        'USER "65532:65532"',
        'ENTRYPOINT ["/usr/bin/python3.11", "-m", "mlship.server"]',
    ]


def test_no_shell_reads_anything(plan):
    text = dockerfile(plan).decode()
    run = text[text.index("RUN ") : text.index("FROM base\n")]
    exec_form = json.loads(run[run.index("[") :])
    assert exec_form[:3] == ["/mnt/packages/uv", "pip", "install"]
    assert "--require-hashes" in exec_form


def test_the_dockerfile_has_no_syntax_line_that_would_be_fetched(plan):
    assert not dockerfile(plan).decode().lower().startswith("# syntax")


@mark.parametrize("evil", ["$(touch /x)", "${HOME}", '"; RUN id', "\\", "'"])
def test_values_stay_values(plan, evil):
    text = dockerfile(with_config(plan, env={"A": evil}, labels={"b": evil})).decode()
    written = json.dumps(evil).replace("$", "\\$")
    assert f'ENV "A"={written}\n' in text
    assert f'LABEL "b"={written}\n' in text


@mark.parametrize("evil", ["a\nRUN id", "a\rb", "`id`"])
def test_values_that_could_end_a_line_or_start_a_command_are_refused(plan, evil):
    with raises(MlshipError, match="a value has the"):
        dockerfile(with_config(plan, labels={"team": evil}))


def test_the_context_has_everything_that_the_dockerfile_names(plan, tmp_path):
    files = docker_context(plan, uv=Path("/uv"), local_wheels={HASH: Path("/w/numpy-2.1.0-cp311.whl")})
    assert (
        files["packages/requirements.txt"]
        == (f"acme==0.3 --hash=sha256:{HASH[::-1]}\nnumpy==2.1.0 --hash=sha256:{HASH}\n").encode()
    )
    assert set(files) == {
        "Dockerfile", ".dockerignore", "base.tar", "packages/uv", "packages/requirements.txt", "packages/wheels/.keep",
        "packages/wheels/numpy-2.1.0-cp311.whl", "packages/wheels/acme-0.3-py3-none-any.whl",
        "layers/00-server/opt/mlship/lib/x.py", "layers/01-model/opt/mlship/models/churn/model.joblib",
    }  # fmt: skip


@mark.parametrize("target", ["opt/x", "/opt/../etc/passwd"])
def test_a_layer_cannot_leave_the_image(plan, target):
    odd = DockerPlan(
        plan.project, plan.base, plan.suite, plan.python, (), (LayerPlan("code", "c", (LayerFile(target),), ""),), plan.config
    )
    with raises(ValueError, match="is not an absolute path inside the image"):
        docker_context(odd, uv=Path("/uv"), local_wheels={})


def test_a_folder_becomes_a_layer_without_foreign_bytecode(tmp_path):
    (tmp_path / "a/__pycache__").mkdir(parents=True)
    for name in ("a/x.py", "a/__pycache__/x.pyc"):
        (tmp_path / name).touch()
    assert [file.target for file in folder_plan("server", "server", tmp_path, "/opt/mlship/lib").files] == [
        "/opt/mlship/lib/a/x.py"
    ]


def test_a_written_context_has_the_modes_that_the_image_shall_have(plan, tmp_path):
    layer = LayerPlan("code", "c", (LayerFile("/a/run", content=b"", mode=0o755), LayerFile("/a/b", content=b"")), "")
    modes = file_modes(DockerPlan("p", plan.base, "s", "/py", (), (layer,), plan.config))
    write_context(tmp_path / "c", {"layers/00-code/a/run": b"", "layers/00-code/a/b": b"", "packages/uv": b""}, modes)
    found = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert found == {"run": 0o755, "b": 0o644, "uv": 0o755}


def clients(tmp_path, **kinds):
    """Docker clients in folders of PATH: `plugin`, `old` (BuildKit built in) or `bare` (new, without the plugin)."""
    for folder in kinds:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "docker").touch(mode=0o755)

    def answer(command):
        kind = kinds[Path(command.argv[0]).parent.name]
        if "buildx" in command.argv:
            return Result(0 if kind == "plugin" else 1, b"", b"")
        if "version" in command.argv:
            return Result(1, b'"20.10.24"\n' if kind == "old" else b'"28.2.2"\n', b"no daemon")
        return None

    return FakeRunner(answer), {"PATH": ":".join(str(tmp_path / folder) for folder in kinds)}


def test_the_first_client_that_has_buildkit_is_taken(tmp_path):
    runner, environ = clients(tmp_path, first="bare", second="old", third="plugin")
    assert docker_with_buildkit(runner, environ) == str(tmp_path / "second/docker")


def test_a_client_without_buildkit_says_what_to_install(tmp_path):
    runner, environ = clients(tmp_path, first="bare")
    with raises(
        MlshipError, match=r"first/docker has no BuildKit: its buildx plugin is not installed; install the docker-buildx plugin"
    ):
        docker_with_buildkit(runner, environ)


def test_no_client_at_all_says_so():
    with raises(MlshipError, match="the program docker is not installed; install it, or build without it: mlship build"):
        docker_with_buildkit(FakeRunner(), {"PATH": "/nowhere"})


SECRET = Indexes(
    index=Source("index", "https://u:s3cr3t@x.test/simple", "pip.conf"),
    extra=(
        Source("extra index", "name=https://y.test/simple", "UV_INDEX"),
        Source("extra index", "file:///srv/simple", "pip.conf"),
    ),
    links=(Source("find-links", "/srv/wheels", "pip.conf"), Source("find-links", "https://z.test/", "pip.conf")),
    strategy="unsafe-best-match",
)


def test_a_build_step_gets_the_sources_that_it_can_reach():
    assert uv_toml(SECRET) == (
        'index-url = "https://u:s3cr3t@x.test/simple"\nextra-index-url = ["https://y.test/simple"]\n'
        'find-links = ["https://z.test/"]\nindex-strategy = "unsafe-best-match"\n'
    )


def docker_run(plan, tmp_path, code=0):
    runner, environ = clients(tmp_path, bin="plugin")
    seen = {}

    def build(command):
        if command.argv[1] != "build":
            return None
        seen["argv"] = " ".join(command.argv)
        seen["secret"] = Path(seen["argv"].split("id=indexes,src=")[1].split()[0]).read_text()
        folder = Path(command.argv[-1])
        seen["files"] = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "uv")
        Path(command.argv[command.argv.index("--iidfile") + 1]).write_text("sha256:abc\n")
        return Result(code, b"step 5\nfailed: no route", b"")

    runner.answers = (build, *runner.answers)
    (tmp_path / "acme-0.3-py3-none-any.whl").write_bytes(b"w")
    environ.update(HTTPS_PROXY="http://u:s3cr3t@proxy.test")
    doors = {**workplace(tmp_path, runner, SECRET), "environ": environ, "project_root": tmp_path}
    return build_with_docker(plan, platform="linux/amd64", glibc="2.36", **doors), seen


def test_credentials_are_secrets_of_buildkit_and_nowhere_else(plan, tmp_path):
    image, seen = docker_run(plan, tmp_path)
    assert image == "sha256:abc"
    assert "s3cr3t" not in seen["argv"] and b"s3cr3t" not in seen["files"]
    assert "s3cr3t" in seen["secret"]
    assert "--build-arg HTTPS_PROXY" in seen["argv"]
    assert not list((tmp_path / "home/cache").glob(".docker-*"))


def test_a_failed_docker_build_shows_its_last_lines(plan, tmp_path):
    with raises(
        MlshipError, match=r"docker build failed \(exit 1\); mlship doctor checks the engine and the indexes"
    ) as caught:
        docker_run(plan, tmp_path, code=1)
    assert (caught.value.exit, caught.value.details[-1]) == (Exit.BUILD_FAILED, "failed: no route")


def test_wheels_that_only_this_machine_has_are_found_by_their_hash(tmp_path):
    import hashlib

    links, index = tmp_path / "links", tmp_path / "simple"
    (index / "two").mkdir(parents=True)
    links.mkdir()
    for name in ("one-1.0+cpu-py3-none-any.whl", "two-2.0-py3-none-any.whl", "one-0.9-py3-none-any.whl", "junk.whl"):
        (links / name).write_bytes(name.encode())
    (links / "two-2.0-py3-none-any.whl").rename(tmp_path / "two-2.0-py3-none-any.whl")
    (index / "two/index.html").write_text(
        '<a href="../../two-2.0-py3-none-any.whl#sha256=x">two</a><a href="https://x.test/two-2.0.whl">x</a>'
    )

    def sha(name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()

    wheels = (
        Wheel("one", "1.0+cpu", sha("one-1.0+cpu-py3-none-any.whl")),
        Wheel("two", "2.0", sha("two-2.0-py3-none-any.whl")),
        Wheel("three", "1", HASH),
    )
    sources = Indexes(links=(Source("find-links", str(links), "x"),), extra=(Source("extra index", index.as_uri(), "x"),))
    found = local_wheels(wheels, sources)
    assert {path.name for path in found.values()} == {"one-1.0+cpu-py3-none-any.whl", "two-2.0-py3-none-any.whl"}
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == sha256 for sha256, path in found.items())


def test_uv_for_another_platform_comes_from_its_wheel_once(tmp_path):
    def answer(command):
        target = Path(command.argv[command.argv.index("--target") + 1])
        (target / "bin").mkdir(parents=True)
        (target / "bin/uv").touch()
        assert "aarch64-manylinux_2_36" in command.argv or "x86_64-manylinux_2_36" in command.argv
        return b""

    doors = {key: value for key, value in workplace(tmp_path, FakeRunner(answer)).items() if key != "progress"}
    other = "linux/arm64" if platform.machine() == "x86_64" else "linux/amd64"
    found = uv_for(other, "2.36", project_root=tmp_path, **doors)
    assert uv_for(other, "2.36", project_root=tmp_path, **{**doors, "runner": FakeRunner()}) == found


def test_uv_that_cannot_be_had_for_a_platform_is_an_error(tmp_path):
    doors = workplace(tmp_path, FakeRunner(lambda command: Result(1, b"", b"no")))
    doors.pop("progress")
    other = "linux/arm64" if platform.machine() == "x86_64" else "linux/amd64"
    with raises(MlshipError, match=r"uv \S+ for linux/\w+ cannot be had from the indexes; mlship doctor shows the indexes"):
        uv_for(other, "2.36", project_root=tmp_path, **doors)
