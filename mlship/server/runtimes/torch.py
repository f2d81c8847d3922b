"""PyTorch: programs of torch.export and TorchScript, and weights that fill a module of the user's own.

On the CPU, or with resources.gpu on the one GPU of this process (torch_device.py): weights once, inputs with each call.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.pickle_open import Refused
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.graph_inputs import Input, Layout, feeds, layout
from mlship.server.runtimes.observed import columns, observed_outputs, with_range
from mlship.server.runtimes.torch_device import living_gpu, torch_device
from mlship.server.runtimes.torch_observed import observed_layout
from mlship.server.runtimes.torch_weights import fill
from mlship.server.runtimes.worker_threads import threads
from mlship.server.torch_scan import allow, scan_torch


class TorchRuntime:
    """Loads what the format of the manifest entry says."""

    fork_safe = False  # torch keeps pools of threads, and nobody knows what a module of the user's own opens

    def load(self, model: manifest.Model, root: Path) -> TorchModel:
        """Raises LoadError, ImportError, and whatever a module of the user's own raises."""
        path = root / model.path
        if model.method:
            raise LoadError(f"serve.method is {model.method}; a module is called through forward alone: delete it")
        try:
            allow(scan_torch(path))
        except Refused as refused:
            raise LoadError(str(refused)) from refused
        import torch

        torch.set_num_threads(threads())
        device = torch_device(torch)
        if model.format == "pt2":
            return _exported(torch, path, model, device)
        if model.format == "torchscript":
            module = torch.jit.load(str(path), map_location=device).eval()
            names = [argument.name for argument in module.forward.schema.arguments[1:]]
            return TorchModel(torch, module, module.original_name, _unknown(names), model, device)
        module = fill(torch, _made(torch, model.loader), path, model.format).eval().to(device)
        return TorchModel(torch, module, type(module).__name__, _unknown(_parameters(module)), model, device)


class TorchModel:
    """A module behind the interface of the core."""

    def __init__(
        self,
        torch: Any,
        module: Callable[..., Any],
        title: str,
        known: Layout,
        entry: manifest.Model,
        device: Any,
        keywords: int = 0,
    ) -> None:
        """known: what it takes, its features empty where only a sample shows them. device: where the module is. keywords: how many
        inputs, from the last on, go by their names."""
        self._torch = torch
        self._device = device
        self._module = module
        self._layout = known if known.features else _told(known, entry.signature)
        self._keywords = keywords
        self._one_by_one = any(given.shape and given.shape[0] == 1 for given in known.inputs)
        self.title = title

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: an array (rows, ...), or one array a feature. A tensor is `predictions`; of several, the first, or the one of that
        name, and the others as `output_1` ... or under their names. Raises ValueError for rows that do not fit the module.
        """
        fed = feeds(self._layout, rows)
        count = len(next(iter(fed.values())))
        if not self._one_by_one or count == 1:
            return self._run(fed)
        import numpy

        each = [self._run({name: array[row : row + 1] for name, array in fed.items()}) for row in range(count)]
        return {name: numpy.concatenate([answer[name] for answer in each]) for name in each[0]}

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """As the program says; where it says nothing, as the sample and a trial with it show."""
        if not self._layout.features:
            self._layout = observed_layout(self._layout, self._run, self._module, sample)
        found = self._layout.signature(sample)
        seen = columns(sample)
        inputs = tuple(
            feature if feature.shape else with_range(feature, seen.get(feature.name, ())) for feature in found.inputs
        )
        found = manifest.Signature(inputs, (), found.container, found.named, found.tensor)
        outputs = _singles(observed_outputs(self, found, sample)) if sample else self._given()
        return manifest.Signature(inputs, outputs, found.container, found.named, found.tensor)

    def _given(self) -> tuple[manifest.Output, ...]:
        """What a row of zeros is answered with; nothing where the module does not take it."""
        rows = self._layout.blank()
        try:
            answer = self.predict(rows) if rows is not None else {}
        except (ValueError, RuntimeError):
            return ()
        return tuple(manifest.Output(name, array.dtype.name, array.shape[1:]) for name, array in answer.items())

    def _run(self, fed: Mapping[str, Any]) -> dict[str, Any]:
        torch = self._torch
        given = {name: torch.from_numpy(_own(array)).to(self._device) for name, array in fed.items()}
        names = list(given)
        first = len(names) - self._keywords
        try:
            with living_gpu(torch), torch.inference_mode():
                answer = self._module(*(given[name] for name in names[:first]), **{name: given[name] for name in names[first:]})
        except (IndexError, AssertionError) as error:  # an index beyond a table; a guard of torch.export
            raise ValueError(str(error)) from error
        except RuntimeError as error:
            if self._layout.features:
                raise
            raise ValueError(str(error)) from error
        with living_gpu(torch):  # a GPU's errors come when its answer is waited for
            return named_outputs(answer)


def named_outputs(answer: Any) -> dict[str, Any]:
    """Tensors as numpy arrays by the names that they have in an answer. Raises LoadError for what is no tensor."""
    if isinstance(answer, Mapping):
        named = {str(name): value for name, value in answer.items() if value is not None}
        if named and "predictions" not in named:
            first, *others = named
            named = {"predictions": named[first], **{name: named[name] for name in others}}
    elif isinstance(answer, (tuple, list)):
        named = {
            f"output_{place}" if place else "predictions": value for place, value in enumerate(answer) if value is not None
        }
    else:
        named = {"predictions": answer}
    for name, value in named.items():
        if not hasattr(value, "detach"):
            raise LoadError(f"forward gives {name} as {type(value).__name__}; give tensors, alone, in a tuple or in a dict")
    return {name: _array(value) for name, value in named.items()}


def _array(tensor: Any) -> Any:
    whole = tensor.detach()
    return (whole.float() if str(whole.dtype) == "torch.bfloat16" else whole).cpu().numpy()


def _own(array: Any) -> Any:
    """torch takes no array that may not be written into, or that lies backwards."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()


def _singles(outputs: Sequence[manifest.Output]) -> tuple[manifest.Output, ...]:
    """Floats of a module are single ones, which JSON does not show."""
    return tuple(
        manifest.Output(output.name, "float32" if output.dtype == "float64" else output.dtype, output.shape)
        for output in outputs
    )


def _unknown(names: Sequence[str]) -> Layout:
    return Layout(tuple(Input(name, "float32", ()) for name in names), (), "array", is_one_table=True)


def _told(known: Layout, signature: manifest.Signature) -> Layout:
    """What the manifest says of a module that says nothing itself."""
    if not signature.inputs:
        return known
    inputs = known.inputs
    if signature.tensor and len(inputs) == 1:
        inputs = (Input(inputs[0].name, signature.inputs[0].dtype, ()),)
        return Layout(inputs, signature.inputs, signature.container, is_one_table=True)
    named = tuple(Input(feature.name, feature.dtype, (-1, *feature.shape)) for feature in signature.inputs)
    return Layout(named, signature.inputs, signature.container)


def _exported(torch: Any, path: Path, model: manifest.Model, device: Any) -> TorchModel:
    program = torch.export.load(str(path))
    args, kwargs = _children(program.call_spec.in_spec)
    places, keywords = _children(args), tuple(kwargs.context or ())
    names = program.graph_signature.user_inputs
    placed = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    is_flat = all(spec.is_leaf() for spec in (*places, *_children(kwargs)))
    if not is_flat or not all(hasattr(placed.get(name), "dtype") for name in names):
        raise LoadError("the program takes lists, dicts or numbers beside tensors; export it with tensors alone")
    # arguments by name have the name that forward gives them; a placeholder's may be another
    called = (*names[: len(places)], *map(str, keywords))
    inputs = [Input(word, *_kind(placed[name])) for word, name in zip(called, names, strict=True)]
    return TorchModel(torch, _moved(program, device).module(), "torch.export", layout(inputs), model, device, len(keywords))


def _moved(program: Any, device: Any) -> Any:
    """The device stands in the program, too, where forward makes tensors of its own."""
    if device.type == "cpu":
        return program
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, str(device))


def _children(spec: Any) -> Sequence[Any]:
    """Of a tree of arguments; the attribute is what torch had before 2.10."""
    found: Sequence[Any] = spec.children() if hasattr(spec, "children") else spec.children_specs
    return found


def _kind(value: Any) -> tuple[str, tuple[int, ...]]:
    dtype = str(value.dtype).removeprefix("torch.")
    return dtype if dtype in manifest.DTYPES else "", tuple(size if type(size) is int else -1 for size in value.shape)


def _made(torch: Any, loader: str) -> Any:
    """The module that `module:Class` makes. Raises LoadError."""
    name, _, attribute = loader.partition(":")
    if not name or not attribute:
        raise LoadError("weights need the model that they belong to: write model.loader: module:Class")
    maker = getattr(importlib.import_module(name), attribute, None)
    if not callable(maker):
        raise LoadError(f"the module {name} has no class {attribute}")
    try:
        module = maker()
    except TypeError as error:
        raise LoadError(
            f"{loader} cannot be made without arguments ({error}); name a function that makes it: def small(): return {attribute}(...)"
        ) from error
    if not isinstance(module, torch.nn.Module):
        hint = "; for a class with load(path) and predict(rows) write framework: python" if hasattr(module, "load") else ""
        raise LoadError(f"{loader} gives {type(module).__name__}, which is no torch.nn.Module{hint}")
    return module


def _parameters(module: Any) -> list[str]:
    """Names of what forward needs."""
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = inspect.signature(module.forward).parameters.values()
    needed = [each.name for each in given if each.kind in kinds and each.default is inspect.Parameter.empty]
    return needed or [each.name for each in given if each.kind in kinds][:1] or ["x"]
