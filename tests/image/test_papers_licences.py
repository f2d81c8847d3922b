"""Declared licences become SPDX where they leave no doubt, and nothing else does."""

from __future__ import annotations

import pytest

from mlship.image.papers.licences import debian_licence, paragraphs, spdx, wheel_licence

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


def declared(*names: str) -> str:
    return debian_licence(FORMAT + "".join(f"\nFiles: {n}\nLicense: {name}\n" for n, name in enumerate(names))).expression


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("Expat", "MIT"),
        ("Zlib", "Zlib"),
        ("zlib", "Zlib"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("AGPL-3", "AGPL-3.0-only"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Apache-2", "Apache-2.0"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("CC0", "CC0-1.0"),
        ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
        ("GPL-2+ with Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"),
        ("GPL-1+ or Expat", "GPL-1.0-or-later OR MIT"),
        ("GPL-2+ or MPL-2.0, and Expat", "(GPL-2.0-or-later OR MPL-2.0) AND MIT"),
        ("GPL-2+ and ISC or Zlib", "(GPL-2.0-or-later AND ISC) OR Zlib"),
    ],
)
def test_names_of_the_debian_format_have_one_spdx_expression(name: str, expression: str):
    assert declared(name) == expression


def test_all_licences_of_a_package_are_joined_and_each_is_named_once():
    expression = declared("GPL-2+", "Expat", "GPL-2+", "BSD-3-clause or GPL-2")
    assert expression == "(BSD-3-Clause OR GPL-2.0-only) AND GPL-2.0-or-later AND MIT"


@pytest.mark.parametrize("name", ["MIT", "X11", "public-domain", "GPL", "Artistic", "GPL-2+ with Texinfo exception"])
def test_a_name_that_may_mean_several_texts_stays_a_name_with_its_text(name: str):
    licence = debian_licence(f"{FORMAT}\nFiles: *\nLicense: {name}\n one\n .\n two\n")
    assert licence.expression.startswith("LicenseRef-")
    assert dict(licence.texts) == {licence.expression: "one\n\ntwo"}


def test_the_text_may_stand_in_a_paragraph_of_its_own():
    licence = debian_licence(f"{FORMAT}\nFiles: *\nLicense: own\n\nLicense: own\n do what you like\n")
    assert list(licence.texts.values()) == ["do what you like"]


def test_the_same_text_under_the_same_name_is_the_same_reference_in_every_package():
    one = debian_licence(f"{FORMAT}\nFiles: *\nLicense: own\n text\n")
    other = debian_licence(f"{FORMAT}\nFiles: a\nLicense: Expat\n\nFiles: *\nLicense: own\n text\n")
    third = debian_licence(f"{FORMAT}\nFiles: *\nLicense: own\n other text\n")
    assert one.expression in other.expression
    assert third.expression != one.expression


def test_a_copyright_file_for_people_declares_nothing():
    assert debian_licence("This is GPL-2.\n\nLicense: GPL-2\nFiles: *\n").expression == ""
    assert debian_licence("").expression == ""


def test_a_licence_without_a_name_is_not_given_one():
    licence = debian_licence(f"{FORMAT}\nFiles: *\nLicense:\n be nice\n")
    assert licence.expression.startswith("LicenseRef-unnamed-")
    assert list(licence.texts.values()) == ["be nice"]


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "found"),
    [
        ("mit", "", [], "MIT"),
        ("BSD-3-Clause AND MIT", "BSD", ["License :: OSI Approved :: BSD License"], "BSD-3-Clause AND MIT"),
        ("", "Apache-2.0", [], "Apache-2.0"),
        ("", "new BSD", ["License :: OSI Approved :: MIT License"], "MIT"),
        ("", "", ["License :: OSI Approved", "License :: OSI Approved :: ISC License (ISCL)"], "ISC"),
        ("", "", ["License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)"], "GPL-3.0-or-later"),
    ],
)
def test_a_wheel_declares_by_expression_then_text_then_a_single_classifier(expression, text, classifiers, found):
    assert wheel_licence(expression, text, classifiers).expression == found


@pytest.mark.parametrize(
    ("text", "classifiers", "said"),
    [
        ("BSD", ["License :: OSI Approved :: BSD License"], "BSD"),
        ("", ["License :: OSI Approved :: Apache Software License"], "Apache Software License"),
        ("", ["License :: OSI Approved :: MIT License", "License :: OSI Approved :: ISC License (ISCL)"],
         "MIT License, ISC License (ISCL)"),
        ("UNKNOWN", [], ""),
        ("a text\n  of two lines", [], "a text of two lines"),
        ("x" * 300, [], "x" * 200 + "..."),
    ],
)  # fmt: skip
def test_what_a_wheel_says_in_words_is_told_and_not_interpreted(text, classifiers, said):
    licence = wheel_licence("", text, classifiers)
    assert (licence.expression, licence.said) == ("", said)


def test_expressions_are_canonical_or_none():
    assert spdx("apache-2.0 or mit") == "Apache-2.0 OR MIT"
    assert spdx("MIT\nand more") == spdx("no licence") == spdx("MIT AND") == ""


def test_fields_of_control_files_keep_their_continuation_lines():
    assert paragraphs("A: 1\n 2\n# no\nB:3\n\n\nnot a field\nC: 4") == [{"a": "1\n2", "b": "3"}, {"c": "4"}]
