from __future__ import annotations

from pytest import fixture, mark

from mlship.image.packages.addresses import masked, without_credentials
from mlship.image.packages.indexes import find_indexes

SECRET = "s3cr3t"


@fixture
def machine(tmp_path):
    """A machine's root, with helpers to write its files."""

    class Machine:
        root = tmp_path
        project = tmp_path / "project"

        def write(self, path: str, text: str):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            return file

        def indexes(self, prefix=None, **environ):
            environ = {"HOME": str(tmp_path / "home"), **environ}
            return find_indexes(environ, self.project, prefix=prefix, system=tmp_path)

    Machine.project.mkdir()
    return Machine()


def test_a_machine_without_settings_has_none(machine):
    found = machine.indexes()
    assert (found.uv_environ(), found.uv_arguments(), found.findings()) == ({}, (), ())


def test_pips_files_are_passed_on_to_uv(machine):
    machine.write(
        "etc/pip.conf",
        "[global]\nindex-url = https://pypi.example.test/simple\nextra_index_url =\n  https://a.example.test/simple\n"
        "  https://b.example.test/simple\ntrusted-host = a.example.test\ncert = /etc/ca.pem\nclient-cert = /etc/me.pem\n"
        "proxy = proxy.example.test:3128\nkeyring-provider = subprocess\ntimeout = 180\n",
    )
    assert machine.indexes().uv_environ() == {
        "UV_DEFAULT_INDEX": "https://pypi.example.test/simple",
        "UV_INDEX": "https://a.example.test/simple https://b.example.test/simple",
        "UV_INSECURE_HOST": "a.example.test",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "SSL_CLIENT_CERT": "/etc/me.pem",
        "HTTPS_PROXY": "http://proxy.example.test:3128",
        "HTTP_PROXY": "http://proxy.example.test:3128",
    }


def test_pips_precedence_is_kept(machine):
    for place in ("etc/pip.conf", "home/.config/pip/pip.conf", "venv/pip.conf"):
        machine.write(place, f"[global]\nindex-url = https://{place.split('/')[0]}.example.test/\n")
    named = machine.write("named.conf", "[install]\nindex-url = https://named.example.test/\n")
    venv = machine.root / "venv"

    def default(**more):
        return machine.indexes(**more).uv_environ()["UV_DEFAULT_INDEX"]

    assert default() == "https://home.example.test/"
    assert default(prefix=venv) == "https://venv.example.test/"
    assert default(prefix=venv, PIP_CONFIG_FILE=str(named)) == "https://named.example.test/"
    assert default(prefix=venv, PIP_INDEX_URL="https://variable.example.test/") == "https://variable.example.test/"
    assert machine.indexes(PIP_CONFIG_FILE="/dev/null").uv_environ() == {}


def test_uvs_own_word_goes_before_pips(machine):
    machine.write(
        "etc/pip.conf", "[global]\nindex-url = https://pip.example.test/\nextra-index-url = https://more.example.test/\n"
    )
    found = machine.indexes(
        UV_INDEX_URL="https://uv.example.test/", UV_EXTRA_INDEX_URL="https://x.example.test/", UV_INDEX_STRATEGY="first-index"
    )
    assert found.uv_environ() == {
        "UV_DEFAULT_INDEX": "https://uv.example.test/",
        "UV_INDEX": "https://x.example.test/ https://more.example.test/",
        "UV_INDEX_STRATEGY": "first-index",
    }


def test_the_first_index_with_a_name_has_it_alone_unless_somebody_says_otherwise(machine):
    machine.write("etc/pip.conf", "[global]\nindex-url = https://a.test/\nextra-index-url = https://b.test/ https://c.test/\n")
    found = machine.indexes()
    assert (found.strategy, found.exhausted().strategy, found.for_hashes().strategy) == (
        "",
        "unsafe-best-match",
        "unsafe-best-match",
    )
    other = found.other_order().uv_environ()
    assert (other["UV_DEFAULT_INDEX"], other["UV_INDEX"]) == ("https://c.test/", "https://a.test/ https://b.test/")
    certain = machine.indexes(UV_INDEX_STRATEGY="first-index")
    assert (certain.other_order(), certain.for_hashes().strategy) == (None, "first-index")
    machine.write("etc/pip.conf", "[global]\nextra-index-url = https://b.test/\n")
    assert machine.indexes().other_order() is None  # before the public one, always


def test_what_uv_reads_itself_is_not_passed_on_again_but_pip_needs_it(machine):
    machine.write(
        "project/pyproject.toml",
        "[[tool.uv.index]]\nname = 'acme'\nurl = 'https://acme.example.test/simple'\ndefault = true\n"
        "[[tool.uv.index]]\nname = 'only'\nurl = 'https://only.example.test/simple'\nexplicit = true\n"
        "[tool.uv.pip]\nfind-links = ['/somewhere']\n",
    )
    machine.write("home/.config/uv/uv.toml", "extra-index-url = ['https://home.example.test/simple']\n")
    machine.write("etc/pip.conf", "[global]\nindex-url = https://pip.example.test/\n")
    found = machine.indexes()
    assert found.uv_environ() == {}
    assert found.pip_environ()["PIP_INDEX_URL"] == "https://acme.example.test/simple"
    assert found.pip_environ()["PIP_EXTRA_INDEX_URL"] == "https://home.example.test/simple"
    assert machine.indexes(UV_NO_CONFIG="1").uv_environ() == {"UV_DEFAULT_INDEX": "https://pip.example.test/"}
    named = machine.write("own.toml", "index-url = 'https://own.example.test/'\n")
    assert machine.indexes(UV_CONFIG_FILE=str(named)).pip_environ()["PIP_INDEX_URL"] == "https://own.example.test/"


def test_folders_that_are_not_there_are_left_out_without_noise(machine):
    (machine.root / "wheels").mkdir()
    machine.write(
        "etc/pip.conf",
        f"[global]\nfind-links = {machine.root}/wheels {machine.root}/gone\nextra-index-url = file://{machine.root}/none/simple\n",
    )
    found = machine.indexes()
    assert found.uv_environ()["UV_FIND_LINKS"] == f"{machine.root}/wheels"
    assert "UV_INDEX" not in found.uv_environ()
    assert [finding.severity for finding in found.findings()] == ["note"] * 3
    assert f"find-links {machine.root}/gone is not there, and is left out" in str(found.findings()[2])
    assert found.local_folders() == (machine.root / "wheels",)


def test_credentials_reach_uv_and_nobody_else(machine):
    address = f"https://me:{SECRET}@pypi.example.test/simple"
    machine.write(
        "etc/pip.conf",
        f"[global]\nindex-url = {address}\nextra-index-url = {address}/2\nproxy = http://p:{SECRET}@proxy.test\n",
    )
    found = machine.indexes()
    assert found.uv_environ()["UV_DEFAULT_INDEX"] == address
    said = repr(found) + " ".join(map(str, (*found.findings(), *found.uv_arguments(), *found.sources())))
    assert SECRET not in said
    assert "index https://***@pypi.example.test/simple" in said


def test_the_indexes_of_a_requirements_file_count_with_its_variables(machine):
    machine.write("project/more.txt", "-f ./wheels\n--trusted-host x.example.test\n")
    (machine.project / "wheels").mkdir()
    text = "-r more.txt\n--extra-index-url https://u:${TOKEN}@x.example.test/cpu\n-i https://own.example.test/simple\nnumpy\n"
    file = machine.write("project/requirements.txt", text)
    machine.write("etc/pip.conf", "[global]\nindex-url = https://pip.example.test/\n")
    found = find_indexes({"TOKEN": SECRET}, machine.project, file=file, system=machine.root)
    assert found.uv_environ() == {
        "UV_DEFAULT_INDEX": "https://own.example.test/simple",
        "UV_INDEX": f"https://u:{SECRET}@x.example.test/cpu",
        "UV_FIND_LINKS": f"{machine.project}/wheels",
        "UV_INSECURE_HOST": "x.example.test",
    }
    assert SECRET not in " ".join(map(str, found.findings()))


def test_the_indexes_of_lock_files_count_with_the_names_that_uv_knows_them_by(machine):
    machine.write(
        "project/pyproject.toml",
        "[[tool.uv.index]]\nname='cpu'\nurl='https://cpu.example.test/simple'\nexplicit=true\n"
        "[[tool.poetry.source]]\nname='acme'\nurl='https://acme.example.test/simple'\n",
    )
    uv = machine.write("project/uv.lock", "version = 1\n")
    poetry = machine.write("project/poetry.lock", "[[package]]\nsource={type='legacy', url='https://p.example.test/simple'}\n")

    def extra(file):
        return find_indexes({}, machine.project, file=file, system=machine.root).uv_environ()["UV_INDEX"]

    assert extra(uv) == "cpu=https://cpu.example.test/simple"
    assert extra(poetry) == "https://p.example.test/simple"
    assert extra(machine.project / "pyproject.toml") == "cpu=https://cpu.example.test/simple https://acme.example.test/simple"


def test_pip_without_any_index_means_uv_without_one(machine):
    machine.write("etc/pip.conf", "[global]\nno-index = true\n")
    assert machine.indexes().uv_arguments() == ("--no-index",)
    assert machine.indexes().pip_environ()["PIP_NO_INDEX"] == "1"


def test_the_machines_proxies_and_certificates_count(machine):
    machine.write("etc/pip.conf", "[global]\nproxy = http://pip.example.test\ncert = /pip.pem\n")
    environ = machine.indexes(https_proxy="http://own.example.test", SSL_CERT_FILE="/own.pem").uv_environ()
    assert environ == {"https_proxy": "http://own.example.test", "SSL_CERT_FILE": "/own.pem"}


def test_certificates_of_other_clients_are_taken_where_nothing_else_says(machine):
    assert machine.indexes(REQUESTS_CA_BUNDLE="/r.pem").uv_environ() == {"SSL_CERT_FILE": "/r.pem"}


def test_certificates_that_are_not_there_are_an_error_for_doctor(machine):
    found = [str(finding) for finding in machine.indexes(SSL_CERT_FILE="/gone.pem").findings() if finding.severity == "error"]
    assert found == ["SSL_CERT_FILE  the certificate bundle /gone.pem is not there; correct the path, or remove the setting"]


@mark.parametrize(("path", "text"), [("etc/pip.conf", "no section\n"), ("etc/uv/uv.toml", "a = \n")])
def test_a_damaged_file_is_a_warning_with_its_name(machine, path, text):
    machine.write(path, text)
    (finding,) = machine.indexes().findings()
    assert finding.severity == "warning"
    assert f"{machine.root}/{path} cannot be read" in str(finding)


def test_a_percent_sign_is_a_percent_sign(machine):
    machine.write("etc/pip.conf", "[global]\nindex-url = https://u:a%40b@x.example.test/\n")
    assert machine.indexes().uv_environ()["UV_DEFAULT_INDEX"] == "https://u:a%40b@x.example.test/"


def test_a_named_index_keeps_its_name_for_uv_and_loses_it_for_pip(machine):
    found = machine.indexes(UV_INDEX="acme=https://acme.example.test/simple")
    assert found.uv_environ()["UV_INDEX"] == "acme=https://acme.example.test/simple"
    assert found.pip_environ()["PIP_EXTRA_INDEX_URL"] == "https://acme.example.test/simple"


@mark.parametrize(
    ("address", "recorded", "shown"),
    [
        ("https://u:p@h.test/x", "https://h.test/x", "https://***@h.test/x"),
        ("https://token@h.test/x?sig=1", "https://h.test/x", "https://***@h.test/x?***"),
        ("https://h.test/x", "https://h.test/x", "https://h.test/x"),
        ("ssh://git:p@h.test/x", "ssh://git@h.test/x", "ssh://***@h.test/x"),
        ("https://u:p@[::1]:8080/x#a", "https://[::1]:8080/x#a", "https://***@[::1]:8080/x#a"),
        ("https://u:p@[bad/x", "***", "***"),
        ("/opt/wheels", "/opt/wheels", "/opt/wheels"),
    ],
)
def test_addresses_lose_their_secrets(address, recorded, shown):
    assert without_credentials(address) == recorded
    assert masked(address) == shown
