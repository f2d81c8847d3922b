"""Docstrings that compiled files go without: nobody reads them in a served image, and every worker holds them in memory.

Of scikit-learn and what it imports they are 6 MB of 118 MB a worker, and 3 MB of an image (measured with scikit-learn 1.9 and
scipy 1.17). Only of packages whose every module was seen to import without them: numpy, for one, changes its own while it loads.
What such a module assigns to a `__doc__` as it is imported goes, too: scipy.stats puts pages together at each start, and reads
its own sources for those that have no text (0.4 s of a processor, in every process that loads scikit-learn).
"""

from __future__ import annotations

from collections.abc import Collection

from mlship.image.packages.environment import normalised

# name of the wheel -> its folder
BARE = {"joblib": "joblib", "narwhals": "narwhals", "pandas": "pandas", "scikit-learn": "sklearn", "scipy": "scipy"}

# For the image's interpreter, whatever its version (3.11 on): `bare` gives the code without the docstrings of its functions,
# classes and module. Each becomes an empty text, because code that looks at one expects a text. What is used for anything else
# stays: the compiler keeps equal constants of one piece of code once. `undocumented` gives what is to be compiled instead of a
# source: the same where nothing of it, outside of functions, assigns to a `__doc__`.
SCRIPT = """
import ast, opcode, re, sys
ASSIGNED = re.compile(rb"\\.__doc__\\s*[^\\s=]?=(?!=)")
class Undocumented(ast.NodeTransformer):
    def visit_FunctionDef(self, node):
        return node
    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef
    def visit_Assign(self, node):
        targets = getattr(node, "targets", None) or [node.target]
        is_doc = all(isinstance(target, ast.Attribute) and target.attr == "__doc__" for target in targets)
        return ast.copy_location(ast.Pass(), node) if is_doc else node
    visit_AugAssign = visit_Assign
def undocumented(source):
    return Undocumented().visit(ast.parse(source)) if ASSIGNED.search(source) else source
LOAD_CONST, STORE_NAME, OF_CONSTANTS = opcode.opmap["LOAD_CONST"], opcode.opmap["STORE_NAME"], set(opcode.hasconst)
IS_FUNCTION, WITH_DOCSTRING = 2, 0x4000000  # flags of code objects; the second from 3.14 on
def bare(code):
    kept = [bare(part) if isinstance(part, type(code)) else part for part in code.co_consts]
    place = docstring_of(code)
    if place is not None:
        kept[place] = ""
    return code.replace(co_consts=tuple(kept))
def docstring_of(code):
    if not code.co_consts:
        return None
    if code.co_flags & IS_FUNCTION:
        has_one = code.co_flags & WITH_DOCSTRING if sys.version_info >= (3, 14) else not code.co_name.startswith("<")
        return 0 if has_one and isinstance(code.co_consts[0], str) and not loads(code, 0) else None
    if "__doc__" not in code.co_names:
        return None
    name, steps = code.co_names.index("__doc__"), code.co_code
    for at in range(2, min(len(steps), 60), 2):
        if steps[at] == STORE_NAME and steps[at + 1] == name:
            place = steps[at - 1]
            is_text = steps[at - 2] == LOAD_CONST and isinstance(code.co_consts[place], str)
            return place if is_text and loads(code, place) == 1 else None
def loads(code, place):
    steps = code.co_code
    return sum(1 for at in range(0, len(steps), 2) if steps[at] in OF_CONSTANTS and steps[at + 1] == place)
def is_bare(path, folders):
    return not folders.isdisjoint(path.split("/"))
"""


def folders_without(whole: Collection[str]) -> tuple[str, ...]:
    """Folders of packages that go without, but for wheels of which nothing is to be left out. Pure."""
    kept = set(map(normalised, whole))
    return tuple(sorted(folder for name, folder in BARE.items() if name not in kept))
