from __future__ import annotations

from pytest import mark
from requirements_fakes import dist, environment

from mlship.image.packages.closure import closure, owners, package_name, third_party, version_findings
from mlship.memo import Memo

JOBLIB = dist("joblib", "1.4.2")
NUMPY = dist("numpy", "2.1.0")
SKLEARN = dist(
    "scikit-learn", "1.5.2", modules="sklearn", requires=("numpy>=1.19.5", "joblib>=1.2", 'pytest; extra == "tests"')
)
JUPYTER = dist("jupyter", "1.1", requires=("notebook",))
NOTEBOOK = dist("notebook", "7.3", requires=("numpy",))


def names(found):
    return [package.name for package in found]


def test_only_what_the_modules_need_goes_into_the_image():
    found = closure(environment(NUMPY, SKLEARN, JOBLIB, JUPYTER, NOTEBOOK, dist("pytest")), ("sklearn",))
    assert names(found.packages) == ["joblib", "numpy", "scikit-learn"]
    assert names(found.roots) == ["numpy", "scikit-learn"]
    assert not found.findings


def test_numpy_is_always_among_them():
    assert names(closure(environment(NUMPY, JUPYTER, NOTEBOOK), ()).packages) == ["numpy"]


def test_modules_of_the_standard_library_need_no_package():
    assert third_party(("os.path", "_codecs", "builtins", "copyreg", "distutils", "sklearn.svm")) == ("sklearn",)


def test_a_module_of_no_package_is_a_finding_with_what_to_do():
    found = closure(environment(NUMPY), ("churn", "cv2"))
    assert [str(finding) for finding in found.findings] == [
        ".venv  the module churn is needed, and no package in .venv provides it; "
        "if it is your own code, add it to model.code; else install it: pip install churn",
        ".venv  the module cv2 is needed, and no package in .venv provides it; "
        "if it is your own code, add it to model.code; else install it: pip install opencv-python-headless",
    ]


def test_own_code_is_no_package_even_when_it_is_installed_in_place():
    own = dist("churn", modules="churn", requires=("joblib",), origin="file:/work/churn", editable=True)
    needing = dist("plugin", requires=("churn",))
    found = closure(environment(NUMPY, own, needing, JOBLIB), ("churn", "plugin"), own=("churn",))
    assert names(found.packages) == ["joblib", "numpy", "plugin"]
    assert not found.findings


def test_markers_are_those_of_the_image_not_of_this_machine():
    torch = dist("torch", requires=('nvidia-x; platform_machine == "x86_64"', 'pyobjc; sys_platform == "darwin"', "joblib"))
    env = environment(NUMPY, torch, JOBLIB, dist("pyobjc"), dist("nvidia-x"))
    assert names(closure(env, ("torch",)).packages) == ["joblib", "numpy", "nvidia-x", "torch"]
    assert names(closure(env, ("torch",), platform="linux/arm64").packages) == ["joblib", "numpy", "torch"]


def test_what_is_needed_on_linux_but_not_installed_here_is_named_as_absent():
    assert closure(environment(NUMPY, dist("torch", requires=("triton>=3",))), ("torch",)).absent == ("triton",)


def test_extras_are_followed_where_a_package_asks_for_them():
    app = dist("app", requires=("web[fast]",))
    web = dist("web", requires=('uvloop; extra == "fast"', 'docs; extra == "docs"'))
    found = closure(environment(NUMPY, app, web, dist("uvloop"), dist("docs")), ("app",))
    assert names(found.packages) == ["app", "numpy", "uvloop", "web"]


def test_a_circle_of_requirements_ends():
    found = closure(environment(NUMPY, dist("a", requires=("b",)), dist("b", requires=("a[x]",))), ("a",))
    assert names(found.packages) == ["a", "b", "numpy"]


def test_an_unreadable_requirement_of_old_metadata_is_passed_over():
    assert names(closure(environment(NUMPY, dist("old", requires=("b (>=1.0.*", "numpy"))), ("old",)).packages) == [
        "numpy",
        "old",
    ]


def test_a_namespace_has_all_its_packages():
    found = owners(environment(dist("google-auth", modules="google"), dist("protobuf", modules="google")))
    assert found["google"] == ("google-auth", "protobuf")


def test_hints_know_packages_with_other_names():
    assert [package_name(name) for name in ("sklearn", "PIL", "my_own")] == ["scikit-learn", "pillow", "my-own"]


@mark.parametrize(
    ("recorded", "found", "severity"),
    [
        ("1.5.2", "1.5.2", None),
        ("2.13.0", "2.13.0+cpu", None),
        ("1.5.2", "1.5.0", "warning"),
        ("1.5.2", "1.9.1", "error"),
        ("1.5.2", "2.5.2", "error"),
        ("odd", "odd", None),
        ("odd", "1.0", "error"),
    ],
)
def test_another_minor_version_is_an_error_and_another_patch_a_warning(recorded, found, severity):
    findings = version_findings({"scikit-learn": recorded}, {"scikit-learn": found}, ".venv")
    assert [finding.severity for finding in findings] == ([severity] if severity else [])


def test_a_version_that_differs_says_both_and_what_to_do():
    (finding,) = version_findings({"scikit-learn": "1.5.2"}, {"scikit-learn": "1.9.1"}, ".venv")
    assert str(finding) == (
        ".venv  the model was saved with scikit-learn 1.5.2; .venv has 1.9.1; "
        "pip install scikit-learn==1.5.2 there, or save the model again with 1.9.1"
    )


def test_a_file_of_requirements_is_corrected_and_not_installed_into():
    (finding,) = version_findings({"scikit-learn": "1.5.2"}, {"scikit-learn": "1.9.1"}, "requirements.txt", is_file=True)
    assert finding.fix == "require scikit-learn==1.5.2 there, or save the model again with 1.9.1"


def test_a_recorded_package_that_is_absent_is_an_error():
    (finding,) = version_findings({"scikit_learn": "1.5.2"}, {}, ".venv")
    assert "the model was saved with scikit_learn 1.5.2; .venv has none" in str(finding)
    assert finding.severity == "error"


def test_requirements_are_followed_once_for_each_environment_and_question(tmp_path):
    memo = Memo(tmp_path)
    one = environment(dist("sklearn", requires=("joblib>=1", "other; python_version<'3'")), dist("joblib"), dist("numpy"))
    plain = closure(one, ("sklearn",))
    assert closure(one, ("sklearn",), memo=memo) == closure(one, ("sklearn",), memo=memo) == plain
    newer = environment(dist("sklearn", requires=("scipy",)), dist("scipy"), dist("joblib"), dist("numpy"))
    assert closure(newer, ("sklearn",), memo=memo) == closure(newer, ("sklearn",))
    assert closure(one, ("joblib",), memo=memo) == closure(one, ("joblib",))
