"""`hub.Predictor`: answers from an exported folder, with nothing but its engine and NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from hub.data.batches import Batch
from hub.errors import InputError, ModelError
from hub.inference.engines import open_engine
from hub.models.installation import folder_of
from hub.registry.manifest import read_manifest
from hub.registry.store import Store
from hub.tasks import AnswerOptions, create_task, predict
from hub.tasks.answering import WINDOW, stream
from hub.tasks.passages import check_long_text
from hub.tokenizers import Text, load_tokenizer


class Predictor:
    """Answers texts with an exported model, as the module it was exported from does.

    With the ONNX Runtime engine, PaddlePaddle is not imported.

    Args:
        directory: a folder that `hub export` wrote, or the name under which a team registered one,
            such as `travel@prod`.
        threads: how many threads compute; None is one a processor.

    Raises:
        ModelError: the folder is not an exported model, is incomplete, or was changed.
        MissingPackageError: the engine's package is not installed.
    """

    def __init__(self, directory: str | Path, threads: int | None = None) -> None:
        folder = folder_of(directory)
        if threads is not None and threads < 1:
            raise InputError(f"threads must be 1 or more, not {threads}.")
        manifest = read_manifest(folder, check_content=not Store().holds(folder))
        if manifest is None or manifest.task is None or manifest.engine is None:
            raise ModelError(
                f"{folder} is not an exported model. Make one from a fine-tuned folder with: "
                "hub export RUN --output DIR"
            )
        self.name = manifest.name or folder.name
        self.task = create_task(manifest.task, manifest.labels, manifest.task_options)
        self.tokenizer = load_tokenizer(folder)
        self.max_seq_len = manifest.max_seq_len
        self.long_text = check_long_text(manifest.long_text)
        self.engine = manifest.engine
        self.precision = manifest.precision
        self._forward = open_engine(manifest.engine, folder, threads, manifest.precision)

    def compute(self, batch: Batch) -> np.ndarray:
        """The graph's output for a batch, float32 [B, ...]."""
        return self._forward(batch)

    def predict(
        self,
        texts: Sequence[Text] | str | None = None,
        max_seq_len: int | None = None,
        batch_size: int = 32,
        use_gpu: bool | None = None,
        *,
        probabilities: bool = False,
        top_k: int | None = None,
        long_text: str | None = None,
        data: Sequence[Text] | None = None,
    ) -> Any:
        """Answer each text; arguments, answers and errors are `Module.predict`'s.

        At most as many tokens are read at a time as the model was exported with, and always on the
        CPU.
        """
        texts = data if texts is None else texts
        if texts is None:
            raise InputError("There is no text to answer: give a list of texts.")
        if use_gpu:
            raise InputError("An exported model answers on the CPU: leave use_gpu out.")
        length = self.max_seq_len if max_seq_len is None else max_seq_len
        if not isinstance(length, Integral) or not 3 <= length <= self.max_seq_len:
            raise InputError(
                f"max_seq_len is {max_seq_len}; {self.name} was exported for 3 to "
                f"{self.max_seq_len} tokens."
            )
        return predict(
            self.task,
            self.tokenizer,
            self.compute,
            texts,
            max_seq_len=int(length),
            batch_size=batch_size,
            long_text=long_text or self.long_text,
            options=AnswerOptions(probabilities, top_k),
        )

    def pipe(self, texts: Iterable[Text], *, window: int = WINDOW, **options: Any) -> Iterator[Any]:
        """Answer texts as they come, without end and in constant memory; as `Module.pipe`."""
        return stream(self.predict, texts, window, options)
