"""A fine-tuned module as an inference artefact: the graph, the tokenizer and `hub.json`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hub import __version__
from hub.backend import paddle
from hub.constants import MANIFEST_FILE
from hub.errors import InputError, MissingPackageError, ModelError, OutputError
from hub.inference.engines import GRAPH_FILES, open_engine
from hub.module import Module
from hub.registry.manifest import Manifest, write_manifest
from hub.tasks.answering import run
from hub.tasks.passages import read

# The oldest opset that has every operator of the graph; older runtimes can load it.
_OPSET = 17
_TOLERANCE = 1e-4
# Short, long, mixed and empty texts: what a graph with a fixed shape would get wrong.
_PROBES = (
    "你好",
    "这家酒店的电话是多少",
    "帮我查一下明天 8:30 从北京到上海的高铁票，要 2 张二等座，谢谢！",
    "iPhone 15 Pro Max 多少钱？",
    "",
    "今天天气不错，" * 40,
)


def export(
    module: Module, output: str | Path, format: str = "onnx", overwrite: bool = False
) -> float:
    """Write `module` for an inference engine, and check that it still gives the same output.

    The folder holds the graph, which takes any batch size and any length, the tokenizer and
    `hub.json`; `hub.Predictor` needs nothing else. It appears whole or not at all.

    Args:
        module: a module with a task.
        output: the folder to write.
        format: "onnx" (ONNX Runtime) or "paddle" (Paddle Inference).
        overwrite: replace an artefact that is already there.

    Returns:
        The largest absolute difference between the engine's output and the module's.

    Raises:
        InputError: unknown format, or a module without a task.
        OutputError: the folder holds something, or cannot be written.
        MissingPackageError: the format's packages are not installed.
        ModelError: the exported graph's output differs from the module's.
    """
    if format not in GRAPH_FILES:
        raise InputError(f"The format {format!r} is unknown; there is {', '.join(GRAPH_FILES)}.")
    if module.task is None:
        raise InputError(f"{module.name} has no task to answer: fine-tune it before exporting.")
    folder = Path(output)
    module.adopt_weights()
    _check_output(folder, overwrite, module.tokenizer.files)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            made = Path(scratch) / "artefact"
            made.mkdir()
            _write_graph(module, made, format)
            module.tokenizer.save(made, module.max_seq_len)
            manifest = Manifest(
                kind="inference",
                task=module.task.name,
                labels=module.task.labels,
                task_options=module.task.options,
                max_seq_len=module.max_seq_len,
                long_text=module.long_text,
                base_model=module.base_model,
                package_version=__version__,
                engine=format,
            )
            write_manifest(made, manifest, [*GRAPH_FILES[format], *module.tokenizer.files])
            difference = _largest_difference(module, made, format)
            if folder.exists():
                shutil.rmtree(folder)
            made.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return difference


def _check_output(folder: Path, overwrite: bool, tokenizer_files: list[str]) -> None:
    if folder.is_file():
        raise OutputError(f"{folder} is a file; --output takes a folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise OutputError(
            f"{folder} is not empty: choose another --output, or --overwrite an exported model."
        )
    own = {
        MANIFEST_FILE,
        *tokenizer_files,
        *(name for names in GRAPH_FILES.values() for name in names),
    }
    others = sorted(path.name for path in folder.iterdir() if path.name not in own)
    if others:
        raise OutputError(
            f"{folder} holds files that are not an exported model's ({', '.join(others[:3])}): "
            "it is not overwritten. Choose another --output."
        )


def _write_graph(module: Module, folder: Path, format: str) -> None:
    module.eval()
    if format == "paddle":
        paddle.jit.save(module, str(folder / "model"))
        return
    try:
        import paddle2onnx
    except ImportError:
        raise MissingPackageError("paddle2onnx", "onnx", "Exporting to ONNX") from None
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        program = Path(scratch) / "program"
        paddle.jit.save(module, str(program))
        target = folder / GRAPH_FILES["onnx"][0]
        with _silent_stdout():
            paddle2onnx.export(
                f"{program}.json",
                f"{program}.pdiparams",
                str(target),
                opset_version=_OPSET,
                auto_upgrade_opset=False,
                verbose=False,
                # The default, polygraphy, runs `pip install` in the user's environment. ONNX
                # Runtime folds the constants when it loads the graph.
                optimize_tool="None",
            )
    if not target.exists():
        raise ModelError("paddle2onnx could not convert the program: see its message above.")


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keep what native code prints off the standard output, which belongs to results."""
    saved = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def _largest_difference(module: Module, folder: Path, format: str) -> float:
    """Compare the written graph with the module on the probes, alone and in one padded batch."""
    engine, task = open_engine(format, folder, None), module.task
    assert task is not None  # `export` sees to it
    passages = read(
        module.tokenizer, task.probes(_PROBES), module.max_seq_len, "window",
        return_offsets=task.needs_offsets,
    )  # fmt: skip
    differences = []
    for size in (1, len(passages)):
        ours, theirs = (
            run(task, module.tokenizer, forward, passages, size)
            for forward in (module.compute, engine)
        )
        differences += [np.abs(a - b).max(initial=0) for a, b in zip(ours, theirs, strict=True)]
    largest = float(max(differences))
    if not largest <= _TOLERANCE:
        raise ModelError(
            f"The exported graph's output differs from the module's by {largest:.1e} "
            f"(allowed: {_TOLERANCE:.0e}). Nothing was kept; please report this."
        )
    return largest
