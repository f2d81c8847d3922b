"""The files of a base that maintainer scripts would write: users, name service, certificates, and which files to leave out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

USERS = """\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin
"""  # nonroot's home is /tmp: the only folder that a read-only container can be given to write to
GROUPS = """\
root:x:0:
nogroup:x:65534:
nonroot:x:65532:
"""
NSSWITCH = """\
passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
"""
BUNDLE = "etc/ssl/certs/ca-certificates.crt"

_USELESS = re.compile(
    r"""
      usr/share/doc/[^/]+/(?!copyright$)
    | usr/share/(doc-base|man|info|locale|lintian|bug|menu|applications|pixmaps|bash-completion|perl5|debconf
                |base-files|gdb|gcc|i18n|libc-bin|readline|reportbug|zsh|fish|binfmts|python3/runtime\.d)(/|$)
    | usr/share/zoneinfo/(posix|right)(/|$)
    | usr/lib/[^/]+/(gconv|engines-3)(/|$) | usr/lib/gconv(/|$) | usr/lib/[^/]+/libexpatw\.so
    | usr/lib/locale/(?!C\.utf8)
    | usr/lib/(systemd|init|lsb|tmpfiles\.d|sysusers\.d|dpkg|apt)(/|$)
    | usr/lib/python3\.\d+/(test|tests|idlelib|turtledemo|tkinter|pydoc_data|lib2to3/tests|distutils/tests|unittest/test|__pycache__)(/|$)
    | usr/lib/python3\.\d+/.*/__pycache__(/|$)
    | usr/lib/python3\.\d+/lib-dynload/(_test|_ctypes_test|_xx|xx)
    | usr/lib/python3\.\d+/(turtle|_pydecimal|_pyio|_osx_support|ctypes/_aix|asyncio/(windows_events|windows_utils))\.py$
    | usr/lib/python3/dist-packages(/|$)
    | etc/(init\.d|default|cron[^/]*|logrotate\.d|profile\.d|skel|update-motd\.d|binfmt\.d|ca-certificates|kernel|apt|dpkg
           |issue|issue\.net|motd|debconf\.conf|rpc|bindresvport\.blacklist)(/|$)
    | (var|home|root|boot|dev|proc|sys|run|mnt|media|srv|opt|tmp|games)(/|$)
    """,
    re.VERBOSE,
)
# What services hardly ever import of Python. It is there, not compiled: whoever imports one of these waits some milliseconds.
_SELDOM = re.compile(
    r"""
      encodings/(?!(__init__|aliases|ascii|base64_codec|cp437|cp1252|hex_codec|idna|latin_1|punycode|raw_unicode_escape|unicode_escape
                |utf_8|utf_8_sig|utf_16|utf_16_be|utf_16_le|utf_32)\.py$)
    | (curses|dbm|msilib|venv|wsgiref|xml/dom|xmlrpc)/
    | (aifc|asynchat|asyncore|bdb|cgi|cgitb|chunk|cmd|code|codeop|compileall|crypt|doctest|ftplib|imaplib|imghdr|imp|mailbox|mailcap
      |modulefinder|netrc|nntplib|optparse|pdb|pickletools|pipes|plistlib|poplib|profile|pstats|pty|py_compile|pyclbr|rlcompleter
      |sched|shelve|smtpd|smtplib|sndhdr|statistics|stringprep|sunau|symtable|tabnanny|telnetlib|trace|tracemalloc|uu|wave
      |webbrowser|xdrlib|zipapp|cProfile|filecmp|getopt)\.py$
    | asyncio/proactor_events\.py$ | email/(_header_value_parser|contentmanager|generator|headerregistry)\.py$
    | unittest/mock\.py$ | urllib/robotparser\.py$ | zoneinfo/_zoneinfo\.py$
    """,
    re.VERBOSE,
)
_PROGRAMS = re.compile(r"usr/(bin|sbin|games|libexec)/")
_SHELLS = re.compile(r"usr/s?bin/(ba|da|z|k|c|tc|fi|a|mk)?sh$")


def wanted(package: str, requested: bool, python: str) -> Callable[[str], bool]:
    """Which files of a package go into a base, by path without leading slash.

    Programs stay only of packages that `build.packages` names, and shells only of packages named like them. python: path of
    the interpreter without leading slash; it always stays.
    """

    def answer(path: str) -> bool:
        if path == python:
            return True
        if _USELESS.match(path):
            return False
        if _PROGRAMS.match(path):
            return requested and (not _SHELLS.match(path) or PurePosixPath(path).name == package)
        return True

    return answer


def is_compiled(module: str) -> bool:
    """Whether a base holds the compiled form beside this file of Python's own library: `email/message.py`."""
    return not _SELDOM.match(module)


def certificate_bundle(root: Path) -> bytes:
    """All certificates of the package ca-certificates in one file, sorted by name."""
    found = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    return b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in found)


def status(control: str, sha256: str) -> str:
    """The package's entry for /var/lib/dpkg/status.d, where scanners look when there is no dpkg.

    sha256: of the .deb file, hex; named as in an archive's list of packages.
    """
    first, _, rest = control.strip().partition("\n")
    return f"{first}\nStatus: install ok installed\n{rest}\nSHA256: {sha256}\n"


def present(md5sums: str, tree: Path) -> str:
    """The lines whose files are in the tree: status.d/NAME.md5sums says which package a file of the image belongs to."""
    kept = [line for line in md5sums.splitlines(keepends=True) if (tree / line[34:].rstrip("\n")).is_file()]
    return "".join(kept)
