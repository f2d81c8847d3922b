"""Where Python packages come from on this machine: indexes, folders of wheels, proxies, certificate authorities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlship.errors import Finding
from mlship.image.packages.addresses import masked
from mlship.image.packages.file_indexes import file_settings
from mlship.image.packages.pip_settings import Told, pip_settings
from mlship.image.packages.uv_settings import uv_settings

_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
_PLACES = ("extra index", "find-links")  # kinds whose values may be folders
# What other clients of this machine trust; uv and pip look at their own variables only.
_OTHER_CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, repr=False)
class Source:
    """One address, or one word of settings.

    kind: as `doctor` names it. where: the file or variable that says so. by_uv: stands in a file that uv reads itself, where
    it may have a name that credentials are found by; passing it on again would lose that.
    """

    kind: str
    value: str
    where: str
    by_uv: bool = False

    def __repr__(self) -> str:
        return f"{self.kind} {masked(self.value)} ({self.where})"


@dataclass(frozen=True, repr=False)
class Indexes:
    """The union of what uv and pip are told. Credentials stay inside: only `uv_environ` and `pip_environ` hand them on.

    index: the default index, None for the public one. extra: further indexes, uv's first. links: folders or pages of wheels.
    strategy: uv's word for how several indexes are searched, where somebody said it; "" is first-index: the first one that knows a
    name is the only one for that name, extra indexes before the default one. So no stranger's index can offer a higher version
    of a private name. absent: local folders that do not exist.
    """

    index: Source | None = None
    extra: tuple[Source, ...] = ()
    links: tuple[Source, ...] = ()
    hosts: tuple[Source, ...] = ()
    strategy: str = ""
    keyring: Source | None = None
    timeout_s: str = ""
    no_index: bool = False
    certificate: Source | None = None
    client_certificate: Source | None = None
    proxies: Mapping[str, Source] = field(default_factory=dict)
    absent: tuple[Source, ...] = ()
    problems: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        return f"Indexes({', '.join(repr(source) for source in self.sources())})"

    def sources(self) -> tuple[Source, ...]:
        alone = (self.index, self.keyring, self.certificate, self.client_certificate)
        several = (*self.extra, *self.links, *self.hosts, *self.proxies.values())
        return tuple(source for source in (*alone, *several) if source)

    def exhausted(self) -> Indexes:
        """A later index may give what an earlier one has only in other versions, or for other platforms: for exact versions alone,
        which were used before."""
        return replace(self, strategy="unsafe-best-match")

    def for_hashes(self) -> Indexes:
        """For files that are asked for by their hash: whatever index has that file will do."""
        return replace(self, strategy=self.strategy or ("unsafe-best-match" if self.extra else ""))

    def other_order(self) -> Indexes | None:
        """The default index before the extra ones. None where the order is certain: one index, uv's own settings, or a strategy.

        pip has no order: nobody can tell which of them the private names are on.
        """
        if self.strategy or self.index is None or not self.extra or any(one.by_uv for one in (self.index, *self.extra)):
            return None
        *before, last = (self.index, *self.extra)
        return replace(self, index=last, extra=tuple(before))

    def uv_arguments(self) -> tuple[str, ...]:
        """What uv has no variable for. Never an address: arguments can be read by every user of the machine."""
        return ("--no-index",) if self.no_index else ()

    def uv_environ(self) -> dict[str, str]:
        """Variables for uv, with credentials; they replace the same variables of the caller's environment.

        uv is started in the project's folder, so that it finds its own files.
        """
        return _filled(
            {
                "UV_DEFAULT_INDEX": self.index.value if self.index and not self.index.by_uv else "",
                "UV_INDEX": " ".join(_told_to_uv(self.extra)),
                "UV_FIND_LINKS": ",".join(_told_to_uv(self.links)),
                "UV_INDEX_STRATEGY": self.strategy,
                "UV_INSECURE_HOST": " ".join(_told_to_uv(self.hosts)),
                "UV_KEYRING_PROVIDER": self.keyring.value if self.keyring else "",
                "UV_HTTP_TIMEOUT": self.timeout_s,
                **self._shared_environ(),
            }
        )

    def pip_environ(self) -> dict[str, str]:
        """The same for pip, which builds what has no wheel."""
        return _filled(
            {
                "PIP_INDEX_URL": self.index.value if self.index else "",
                "PIP_EXTRA_INDEX_URL": " ".join(_address(source.value) for source in self.extra),
                "PIP_FIND_LINKS": " ".join(source.value for source in self.links),
                "PIP_TRUSTED_HOST": " ".join(source.value for source in self.hosts),
                "PIP_KEYRING_PROVIDER": self.keyring.value if self.keyring else "",
                "PIP_NO_INDEX": "1" if self.no_index else "",
                "PIP_CERT": self.certificate.value if self.certificate else "",
                "PIP_CLIENT_CERT": self.client_certificate.value if self.client_certificate else "",
                "PIP_CONFIG_FILE": "/dev/null",  # all of it stands in these variables
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_NO_INPUT": "1",
                **self._shared_environ(),
            }
        )

    def _shared_environ(self) -> dict[str, str]:
        return {
            "SSL_CERT_FILE": self.certificate.value if self.certificate else "",
            "SSL_CLIENT_CERT": self.client_certificate.value if self.client_certificate else "",
            **{name: source.value for name, source in self.proxies.items()},
        }

    def local_folders(self) -> tuple[Path, ...]:
        """The folders of wheels on this machine among the sources, which nobody else can reach."""
        return tuple(path for path in (local_path(_address(source.value)) for source in (*self.links, *self.extra)) if path)

    def findings(self) -> tuple[Finding, ...]:
        """For `doctor`: every source with credentials masked as a note, and what is wrong with them."""
        notes = tuple(
            Finding(f"{source.kind} {masked(source.value)}", source.where, severity="note", code="index")
            for source in self.sources()
        )
        absent = tuple(
            Finding(
                f"{source.kind} {source.value} is not there, and is left out",
                source.where,
                severity="note",
                code="absent-folder",
            )
            for source in self.absent
        )
        return notes + absent + self.problems + _certificate_findings(self.certificate)


def find_indexes(
    environ: Mapping[str, str],
    project_root: Path,
    *,
    prefix: Path | None = None,
    file: Path | None = None,
    system: Path = Path("/"),
) -> Indexes:
    """What uv and pip are told on this machine, joined: uv's word goes first, pip's is added.

    prefix: the training environment, whose own pip.conf counts. file: the file of requirements (TrainingEnvironment.file),
    whose own indexes go first. Local folders that do not exist are left out: one machine has them, the next has not.
    netrc and keyring are left to uv. system: the root under which /etc is looked for.
    """
    told, uv_problems = uv_settings(environ, project_root, system)
    own = file_settings(file, environ) if file else {}
    uv = {key: (*own.get(key, ()), *told.get(key, ())) for key in {*own, *told}}
    pip, pip_problems = pip_settings(environ, prefix, system)
    index = _single("index", uv.get("index-url", ()), pip.get("index-url"))
    extra, absent_extra = _present(_several("extra index", uv.get("extra-index-url", ()), pip.get("extra-index-url")))
    links, absent_links = _present(_several("find-links", uv.get("find-links", ()), pip.get("find-links")))
    return Indexes(
        index=index,
        extra=extra,
        links=links,
        hosts=_several("trusted host", uv.get("trusted-host", ()), pip.get("trusted-host")),
        strategy=uv["index-strategy"][0].value if "index-strategy" in uv else "",
        keyring=_keyring(uv.get("keyring-provider", ()), pip.get("keyring-provider")),
        timeout_s=environ.get("UV_HTTP_TIMEOUT") or (pip["timeout"].value if "timeout" in pip else ""),
        no_index=pip["no-index"].value.lower() in ("1", "true", "yes", "on") if "no-index" in pip else False,
        certificate=_certificate(environ, pip),
        client_certificate=_single("client certificate", _variable(environ, "SSL_CLIENT_CERT"), pip.get("client-cert")),
        proxies=_proxies(environ, pip.get("proxy")),
        absent=(*absent_extra, *absent_links),
        problems=uv_problems + pip_problems,
    )


def local_path(address: str) -> Path | None:
    """The folder that an address means, if it is one of this machine."""
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return None if "://" in address else Path(address).expanduser().absolute()


def _single(kind: str, uv: Iterable[Told], pip: Told | None) -> Source | None:
    told = [*uv, *([pip] if pip else [])]
    return Source(kind, told[0].value, told[0].where, told[0].by_uv) if told else None


def _several(kind: str, uv: Iterable[Told], pip: Told | None) -> tuple[Source, ...]:
    found: dict[str, Source] = {}
    for told in [*uv, *([pip] if pip else [])]:
        for value in told.values:
            path = None if told.by_uv or kind not in _PLACES else local_path(_address(value))
            address = str(path) if path and "://" not in value else value
            found.setdefault(value.rstrip("/"), Source(kind, address, told.where, told.by_uv))
    return tuple(found.values())


def _told_to_uv(sources: tuple[Source, ...]) -> list[str]:
    return [source.value for source in sources if not source.by_uv]


def _present(sources: tuple[Source, ...]) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    def is_absent(source: Source) -> bool:
        path = local_path(_address(source.value))
        return path is not None and not path.exists()

    return tuple(s for s in sources if not is_absent(s)), tuple(s for s in sources if is_absent(s))


def _address(value: str) -> str:
    """UV_INDEX takes `name=https://...`."""
    name, equals, address = value.partition("=")
    return address if equals and name.replace("-", "").replace("_", "").isalnum() and "://" in address else value


def _keyring(uv: tuple[Told, ...], pip: Told | None) -> Source | None:
    asked = _single("keyring", uv, pip)
    if asked is None or asked.value not in ("subprocess", "import"):
        return None
    return Source("keyring", "subprocess", asked.where, asked.by_uv)  # uv knows no other way


def _certificate(environ: Mapping[str, str], pip: Mapping[str, Told]) -> Source | None:
    own = _single("certificates", _variable(environ, "SSL_CERT_FILE"), pip.get("cert"))
    if own is not None:
        return own
    other = next((_variable(environ, name) for name in _OTHER_CERTIFICATES if environ.get(name)), ())
    return _single("certificates", other, None)


def _certificate_findings(certificate: Source | None) -> tuple[Finding, ...]:
    if certificate is None or Path(certificate.value).exists():
        return ()
    return (
        Finding(
            f"the certificate bundle {certificate.value} is not there",
            certificate.where,
            "correct the path, or remove the setting",
            code="absent-certificates",
        ),
    )


def _proxies(environ: Mapping[str, str], pip: Told | None) -> dict[str, Source]:
    found = {name: Source("proxy", environ[name], name) for name in _PROXIES if environ.get(name)}
    if pip and not any(name.lower() in ("https_proxy", "http_proxy", "all_proxy") for name in found):
        address = pip.value if "://" in pip.value else f"http://{pip.value}"
        found["HTTPS_PROXY"] = found["HTTP_PROXY"] = Source("proxy", address, pip.where)
    return found


def _variable(environ: Mapping[str, str], name: str) -> tuple[Told, ...]:
    return (Told((environ[name],), name),) if environ.get(name) else ()


def _filled(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value}
