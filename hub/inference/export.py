"""A fine-tuned module as an inference artefact: the graph, the tokenizer and `hub.json`."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub import __version__, files
from hub.backend import paddle
from hub.constants import COMPRESSION_FILE, GOLDEN_FILE, MANIFEST_FILE, METRICS_FILE
from hub.data import TextDataset
from hub.data.batches import Batch, collate, sorted_batches
from hub.errors import InputError, MissingPackageError, ModelError, OutputError
from hub.inference.engines import GRAPH_FILES, PRECISIONS, open_engine
from hub.inference.run_data import carry_record, evenly
from hub.inference.verification import Reference, Verification, check_drop, check_exact
from hub.module import Module
from hub.registry.manifest import Manifest, write_manifest
from hub.tasks.passages import encode
from hub.third_party import load
from hub.tokenizers import Text

# The oldest opset that has every operator of the graph; older runtimes can load it.
_OPSET = 17
# So many texts say in what ranges values lie.
_CALIBRATED = 512


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        engine, precision: what runs it, and in what.
        size_bytes: the size of all files.
        verification: how it answers beside the module.
    """

    folder: Path
    engine: str
    precision: str
    size_bytes: int
    verification: Verification


def export(
    module: Module,
    output: str | Path,
    format: str = "onnx",
    overwrite: bool = False,
    *,
    precision: str = "fp32",
    data: TextDataset | None = None,
    max_drop: float = 0.5,
    reference: Reference | None = None,
    static: bool = False,
    calibration: Sequence[Text] | None = None,
    run: Path | None = None,
) -> Exported:
    """Write `module` for an inference engine, and check that it still gives the same output.

    The folder holds the graph, which takes any batch size and any length, the tokenizer and
    `hub.json`; `hub.Predictor` needs nothing else. It appears whole or not at all.

    Args:
        module: a module with a task.
        output: the folder to write.
        format: "onnx" (ONNX Runtime), "openvino" or "paddle" (Paddle Inference).
        overwrite: replace an artefact that is already there.
        precision: "fp32"; "int8" for ONNX Runtime and OpenVINO: a quarter of the size, faster on
            processors with integer dot products; "bf16" for OpenVINO and Paddle Inference
            on processors that have it.
        data: labelled rows to compare answers on.
        max_drop: how many points the task's first metric may lose on them in less precision.
        reference: the module's answers, if they were computed already; `data` is then not read.
        static: quantize what linear maps read by ranges that are measured beforehand, as OpenVINO's
            int8 always is; ONNX Runtime's is otherwise quantized by its own range as it comes.
        calibration: texts of the model's use to measure ranges on, of which 512 at even distances
            are taken; None takes those of `data`.
        run: the folder that `module` was loaded from: what it recorded of its data, and the
            `golden.json` that a service holds new versions to, travel along.

    Raises:
        InputError: unknown format, a precision that it does not have, a module without a task, or
            no texts to measure ranges on.
        OutputError: the folder holds something, or cannot be written.
        MissingPackageError: the format's packages are not installed.
        ModelError: the exported graph's output differs from the module's, or loses too much.
    """
    _check_choice(format, precision)
    static = measures_ranges(format, precision, static)
    if module.task is None:
        raise InputError(f"{module.name} has no task to answer: fine-tune it before exporting.")
    folder = Path(output).resolve()  # of a link what it points to; "." has a name
    module.adopt_weights()
    check_output(folder, overwrite, module.tokenizer.files)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            made = Path(scratch) / "artefact"
            made.mkdir()
            batches = _calibration(module, calibration, data) if static else None
            _write_graph(module, made, format, precision, batches)
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
                precision=precision,
            )
            write_manifest(made, manifest, [*GRAPH_FILES[format], *module.tokenizer.files])
            found = (reference or Reference(module, data)).verify(
                open_engine(format, made, None, precision)
            )
            if precision == "fp32":
                check_exact(found)
            else:
                check_drop(found, precision, max_drop)
            size = sum(path.stat().st_size for path in made.iterdir())
            put_in_place(made, folder, run)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return Exported(folder, format, precision, size, found)


def measures_ranges(format: str, precision: str, static: bool) -> bool:
    """Whether an export measures ranges on texts beforehand; arguments as in `export`."""
    return precision == "int8" and (static or format == "openvino")


def _check_choice(format: str, precision: str) -> None:
    if format not in GRAPH_FILES:
        raise InputError(f"The format {format!r} is unknown; there is {', '.join(GRAPH_FILES)}.")
    if precision not in PRECISIONS[format]:
        able = [name for name, known in PRECISIONS.items() if precision in known]
        hint = f"; {' and '.join(able)} {'is' if len(able) == 1 else 'are'}" if able else ""
        raise InputError(
            f"{format} is not exported in {precision}{hint}. It takes "
            f"{', '.join(PRECISIONS[format])}."
        )


def check_output(folder: Path, overwrite: bool, tokenizer_files: list[str]) -> None:
    """See that an artefact may be written into `folder`.

    Raises:
        OutputError: it holds something else, or an artefact that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --output takes a folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise OutputError(
            f"{folder} is not empty: choose another --output, or --overwrite an exported model."
        )
    own = {
        MANIFEST_FILE,
        METRICS_FILE,
        GOLDEN_FILE,
        COMPRESSION_FILE,
        *tokenizer_files,
        *(name for names in GRAPH_FILES.values() for name in names),
    }
    others = sorted(path.name for path in folder.iterdir() if path.name not in own)
    if others:
        raise OutputError(
            f"{folder} holds files that are not an exported model's ({', '.join(others[:3])}): "
            "it is not overwritten. Choose another --output."
        )


def put_in_place(made: Path, folder: Path, run: Path | None) -> None:
    """Let a new artefact take the place of the old one, whose `golden.json` holds for it too.

    Args:
        made: the artefact.
        folder: where it shall be.
        run: what it was made from, whose `golden.json` holds where there is no old one's.
    """
    goldens = [place / GOLDEN_FILE for place in (folder, run) if place is not None]
    if golden := next((path for path in goldens if path.exists()), None):
        shutil.copyfile(golden, made / GOLDEN_FILE)
    if run is not None:
        carry_record(run, folder, made)
    files.put_in_place(made, folder, MANIFEST_FILE)


def _calibration(
    module: Module, texts: Sequence[Text] | None, data: TextDataset | None
) -> Iterator[Batch]:
    """Texts of the model's use as its graph reads them.

    Raises:
        InputError: there are none.
    """
    task, tokenizer = module.task, module.tokenizer
    assert task is not None  # `export` sees to it
    if texts is None and data is not None:
        texts = data.texts
    if not texts:
        raise InputError(
            "Ranges for int8 are measured on texts of the model's use: give some with "
            "--calibration FILE, or labelled ones with --data."
        )
    chosen = [texts[row] for row in evenly(len(texts), _CALIBRATED)]
    if not task.takes_labels:
        chosen = task.probes([str(text) for text in chosen])
    passages = encode(tokenizer, chosen, module.max_seq_len, "cut", task.needs_offsets)
    encodings = [passage.windows[0].encoding for passage in passages]
    for rows in sorted_batches(encodings, 32):
        yield task.prepare(collate(encodings, rows, tokenizer.pad_token_id), tokenizer)


def _write_graph(
    module: Module, folder: Path, format: str, precision: str, calibration: Iterator[Batch] | None
) -> None:
    module.eval()
    if format == "paddle":
        paddle.jit.save(module, str(folder / "model"))
        return
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / GRAPH_FILES["onnx"][0]
        _write_onnx(module, path)
        import onnx

        from hub.inference.graphs.calibration import calibrate
        from hub.inference.graphs.quantization import quantize
        from hub.inference.graphs.simplification import simplify

        model = onnx.load(path)
        simplify(model)
        if precision == "int8":
            quantize(model, None if calibration is None else calibrate(model, calibration))
        onnx.save(model, path)
        if format == "openvino":
            _write_openvino(path, folder / GRAPH_FILES["openvino"][0], precision)
        else:
            path.replace(folder / path.name)


def _write_onnx(module: Module, target: Path) -> None:
    try:
        import paddle2onnx
    except ImportError:
        raise MissingPackageError("paddle2onnx", "onnx", "Exporting to ONNX") from None
    program = target.parent / "program"
    paddle.jit.save(module, str(program))
    with _silent_stdout():
        paddle2onnx.export(
            f"{program}.json",
            f"{program}.pdiparams",
            str(target),
            opset_version=_OPSET,
            auto_upgrade_opset=False,
            verbose=False,
            # The default, polygraphy, runs `pip install` in the user's environment. ONNX Runtime
            # folds the constants when it loads the graph.
            optimize_tool="None",
        )
    if not target.exists():
        raise ModelError("paddle2onnx could not convert the program: see its message above.")


def _write_openvino(source: Path, target: Path, precision: str) -> None:
    openvino = load("openvino", "openvino", "Exporting to OpenVINO")
    # For bfloat16 the weights are kept in half precision, which takes half of the disk.
    openvino.save_model(
        openvino.convert_model(source), target, compress_to_fp16=precision == "bf16"
    )


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keep what others print off the standard output, which belongs to results."""
    sys.stdout.flush()
    saved = os.dup(1)  # native code's
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
