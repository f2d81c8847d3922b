"""Values get into documents as values, whatever they hold."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
import yaml

from mlship.errors import MlshipError
from mlship.templating import finaliser_of, in_compose, in_dockerfile, in_haproxy, in_yaml, render, templates_folder
from mlship.units import Memory, Secret

HOSTILE = [
    "plain",
    "",
    "no",
    "3.10",
    "~",
    "a: b",
    "a #b",
    "x\nenv: injected",
    "x\r\nRUN rm -rf /",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "$HOME ${HOME} $$ $(id)",
    "`id`",
    "'; DROP",
    '" quoted "',
    "back\\slash\\",
    "*a &b !c %d @e",
    "<<: x",
    "--- \n...",
    "tab\there",
    "nul\x00",
    "esc\x1b[2J",
    "c1\u0085\u009b",
    "sep\u2028\u2029",
    "bidi\u202e\u2066",
    "bom\ufeff",
    "größe 模型 😀",
    "\uffff",
]


def document(folder: Path, name: str, template: str, value: object) -> str:
    (folder / f"{name}.j2").write_text(template)
    return render(f"{name}.j2", value, folder).decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_yaml_values_stay_values(text: str, tmp_path: Path) -> None:
    template = "name: {{ value.text }}\nlist: {{ value.list }}\nkeys:\n  {{ value.text }}: {{ value.text }}\n"
    written = document(tmp_path, "service.yaml", template, {"text": text, "list": [text, {"k": text}]})
    assert yaml.safe_load(written) == {"name": text, "list": [text, {"k": text}], "keys": {text: text}}
    assert all(character.isprintable() or character == "\n" for character in written)


@pytest.mark.parametrize("value", [True, None, 5, 0.25, [1, "x"], {"a": {"b": None}}, (), "2026-01-01"])
def test_yaml_takes_what_json_has(value: object) -> None:
    assert yaml.safe_load(in_yaml(value)) == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("value", [Secret("x"), Memory(1), Path("x"), float("nan"), float("inf"), {1: "a"}, object(), b"x"])
def test_other_types_are_a_bug_and_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        in_yaml(value)


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="a value has half of a surrogate pair, which is not text"):
        document(tmp_path, "x.yaml", "{{ value }}", "\ud800")


@pytest.mark.parametrize("text", HOSTILE)
def test_compose_puts_no_variables_into_values(text: str, tmp_path: Path) -> None:
    written = document(tmp_path, "compose.yaml", "image: {{ value }}\n", text)
    doubled = yaml.safe_load(written)["image"]
    assert re.fullmatch(r"([^$]|\$\$)*", doubled, re.DOTALL)
    assert doubled.replace("$$", "$") == text


@pytest.mark.parametrize("text", HOSTILE)
def test_haproxy_values_are_single_quoted_or_refused(text: str, tmp_path: Path) -> None:
    try:
        written = document(tmp_path, "haproxy.cfg", "server a {{ value }} check\n", text)
    except MlshipError as error:
        assert "an HAProxy configuration cannot hold" in str(error)
        assert set(text) & set("'\"%\u2028\u2029") or re.search("[\x00-\x1f\x7f-\x9f]", text)
    else:
        assert written == f"server a '{text}' check\n"
        assert shlex.split(written)[2] == text


@pytest.mark.parametrize("value", [True, None, 0.5, ["a"]])
def test_haproxy_takes_texts_and_whole_numbers_only(value: object) -> None:
    assert in_haproxy(8080) == "8080"
    with pytest.raises(TypeError):
        in_haproxy(value)


def dockerfile_words(line: str) -> list[str]:
    """As Docker reads double quotes: a backslash escapes a quote, a dollar and itself; a bare dollar would be a variable."""
    assert not re.search(r"(?<!\\)(\\\\)*\$", line), "a variable"
    return [re.sub(r'\\(["$\\])', r"\1", word) for word in re.findall(r'"((?:[^"\\]|\\.)*)"', line)]


@pytest.mark.parametrize("text", HOSTILE)
def test_dockerfile_values_stay_on_their_line_and_hold_no_variable(text: str, tmp_path: Path) -> None:
    try:
        written = document(tmp_path, "Dockerfile", "ENV A={{ value }}\n", text)
    except MlshipError as error:
        assert "a Dockerfile cannot hold" in str(error)
        assert "`" in text or re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
    else:
        assert written.count("\n") == 1
        assert dockerfile_words(written) == [text]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_dockerfiles_exec_form_stays_json_or_is_refused(text: str, tmp_path: Path) -> None:
    try:
        written = document(tmp_path, "Dockerfile", "CMD {{ value }}\n", ["run", text])
    except MlshipError:
        assert set(text) & set("`$\\\u2028\u2029") or re.search("[\x00-\x1f\x7f-\x9f]", text)
    else:
        assert json.loads(written.removeprefix("CMD ")) == ["run", text]


@pytest.mark.parametrize("value", [True, None, 0.5, [1], {"a": "b"}])
def test_a_dockerfile_takes_texts_whole_numbers_and_lists_of_texts_only(value: object) -> None:
    assert in_dockerfile(8080) == "8080"
    with pytest.raises(TypeError):
        in_dockerfile(value)


def test_the_finaliser_follows_the_name() -> None:
    assert finaliser_of("docker/Dockerfile.j2") is in_dockerfile
    assert finaliser_of("x/base.Dockerfile.j2") is in_dockerfile
    assert finaliser_of("docker/compose.yaml.j2") is in_compose
    assert finaliser_of("docker/docker-compose.prod.yml.j2") is in_compose
    assert finaliser_of("kubernetes/service.yaml.j2") is in_yaml
    assert finaliser_of("docker/haproxy.cfg.j2") is in_haproxy


@pytest.mark.parametrize(
    "name", ["run.sh.j2", "x.j2", "page.html.j2", "README.md.j2", "x.json.j2", "yaml.j2", "Dockerfile.sh.j2"]
)
def test_an_unknown_kind_refuses_to_render(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{{ value }}")
    with pytest.raises(ValueError, match="have no finaliser"):
        render(name, "x", tmp_path)


def test_what_the_value_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError, match="imgae"):
        document(tmp_path, "x.yaml", "image: {{ value.imgae }}", SimpleNamespace(image="a"))


def test_templates_loop_without_leaving_blank_lines(tmp_path: Path) -> None:
    template = "hosts:\n{% for host in value %}\n  - {{ host }}\n{% endfor %}\n"
    assert document(tmp_path, "x.yaml", template, ["a", "b"]) == 'hosts:\n  - "a"\n  - "b"\n'


def test_a_filter_does_not_go_around_the_finaliser(tmp_path: Path) -> None:
    written = document(tmp_path, "x.yaml", "a: {{ value | safe }}\nb: {{ value ~ '' | upper }}\n", "x\ny: z")
    assert yaml.safe_load(written) == {"a": "x\ny: z", "b": "x\ny: z"}


@pytest.mark.parametrize(
    "template", ["{{ ''.__class__.__mro__ }}", "{{ value.append(1) }}", "{{ value.__init__.__globals__ }}"]
)
def test_templates_reach_nothing_but_their_value(template: str, tmp_path: Path) -> None:
    with pytest.raises((jinja2.exceptions.SecurityError, TypeError)):
        document(tmp_path, "x.yaml", template, [1])


def test_a_template_cannot_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.yaml").write_text("x")
    with pytest.raises(jinja2.TemplateNotFound):
        render("../secret.yaml", "x", tmp_path / "in")


def test_a_checkout_has_its_templates_beside_the_package() -> None:
    assert templates_folder() == Path(__file__).parent.parent / "templates"


def test_an_installed_package_has_its_templates_inside(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "mlship" / "_templates").mkdir(parents=True)
    assert templates_folder(tmp_path / "mlship") == tmp_path / "mlship" / "_templates"


def test_an_installation_without_templates_says_how_to_mend_it(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="has no templates; pip install --force-reinstall mlship"):
        templates_folder(tmp_path / "mlship")


@pytest.mark.parametrize("text", HOSTILE)
def test_groovy_values_are_single_quoted_or_refused(text: str, tmp_path: Path) -> None:
    try:
        written = document(tmp_path, "Jenkinsfile", "NAME = {{ value }}\n", [text])
    except MlshipError as error:
        assert "a Jenkinsfile cannot hold" in str(error)
        assert re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
    else:
        inside = re.fullmatch(r"NAME = \['((?:[^'\\\n]|\\\\|\\')*)'\]\n", written)
        assert inside and re.sub(r"\\(.)", r"\1", inside[1]) == text


@pytest.mark.parametrize("value", [True, None, 5, {"a": "b"}])
def test_groovy_takes_texts_only(value: object) -> None:
    with pytest.raises(TypeError):
        finaliser_of("Jenkinsfile.j2")(value)
