"""`hub.Module`: a model by its name or folder, with its tokenizer, its task and its labels."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

import hub
from hub import __version__
from hub.backend import paddle, use_device
from hub.constants import CONFIG_FILE, WEIGHTS_FILE
from hub.data.batches import Batch
from hub.errors import InputError, ModelError, OutputError
from hub.files import files_exchanged, write_text
from hub.models.conversion import check_vocabulary, default_length
from hub.models.ernie import checkpoints, formats
from hub.models.ernie.config import (
    POOLINGS,
    ErnieConfig,
    read_config,
)
from hub.models.ernie.heads import ErnieForSentenceEmbedding
from hub.models.ernie.initialization import initialize, initialize_untrained
from hub.models.installation import locate
from hub.registry import ModelEntry
from hub.registry.catalogue import known_model
from hub.registry.manifest import Manifest, read_manifest, write_manifest
from hub.registry.store import Store
from hub.tasks import (
    AnswerOptions,
    FillMask,
    IntentSlots,
    SentenceEmbedding,
    Task,
    create_task,
    predict,
)
from hub.tasks.answering import WINDOW, stream
from hub.tasks.choosing import ChosenTask, check_labels, choose_task, labels_of
from hub.tasks.networks import (
    build_network,
    head_of,
    initialize_head,
    load_folder,
    load_weights,
    transformers_config,
)
from hub.tasks.passages import check_long_text
from hub.tokenizers import TOKENIZER_FILES, Text, Tokenizer, load_tokenizer
from hub.wording import must_be_one_of

if TYPE_CHECKING:
    from hub.inference.export import Exported

logger = logging.getLogger(__name__)

# Of its pretrained models, whose scripts name one.
_PADDLEHUB_VERSION = re.compile(r"2\.\d+\.\d+")


class Module(paddle.nn.Layer):
    """A model ready to be fine-tuned, to answer, or to be saved for inference.

    Args:
        name: a model of the catalogue (`hub list`; `-` and `_` are the same), a team's model
            (`NAME`, `NAME@1.0.0` or `NAME@prod`), a repository of a public hub
            (`hf://organisation/name`, `modelscope://organisation/name`), or a folder. What is not
            on this machine is fetched, checked and kept (`HUB_HOME`).
        version: the version, if `name` does not hold it.
        directory: a model folder: one this package wrote, which brings its task and labels, or any
            Hugging Face folder of an ERNIE or BERT model, with its weights as `model.safetensors`,
            `pytorch_model.bin` or PaddleNLP's `.pdparams`.
        task: "text-classification" (or "seq-cls"; for pairs "text-matching"),
            "multi-label-classification" ("multi-label"), "token-classification" ("token-cls",
            "ner"), "intent-slots" ("joint"), "fill-mask" or "sentence-embedding" ("embedding",
            "feature-extraction"); None is the folder's own task, or else the bare encoder. For
            another task than the folder's own the encoder is taken, and neither head nor labels.
        num_classes: the number of labels, if they have no names.
        label_map: number -> label, or the list of labels: two or more, but for several labels a
            text, of which there may be one. None is those of the folder, if the task is its own.
        task_options: what the task is besides its labels: `crf=True` for token classification,
            `intents=[...]` for intents and slots, whose `label_map` are the tags; `pooling="cls"`
            and `normalize=True` for sentence embeddings. The folder's stay for what is not named,
            if task and labels are its own.
        load_checkpoint: a folder that was saved, a trainer's `checkpoint_dir` (the best epoch's
            weights), or a file (`model.safetensors`, `pytorch_model.bin`, or a `.pdparams` of
            PaddleNLP or PaddleHub) whose weights are put over the model's; of an encoder alone, or
            with the task's head.
        max_seq_len: the tokens read at a time (128, or what the folder says); where nothing is
            said, fine-tuning may read more (`hub.training.text_length`).
        long_text: what is done with longer texts: "cut" reads their beginning, "window" all of them
            in overlapping windows; None is what the folder says, else "cut".
        classifier_pooling: what a new head for labels of a text reads: "cls", the first token, or
            "mean", the mean over all tokens; None is what the folder says.
        pretrained: False begins with new random weights instead of the model's, its shape and
            tokenizer; to see what pretraining gives, or where none may be used.
        seed: where the weights of a new head, or random ones, come from.
        quiet: show no progress bar while the model is fetched.

    Attributes:
        network: the `paddle.nn.Layer` that computes; calling the module calls it.
        tokenizer: text to ids, as the model was trained with.
        task: what it answers; None for a bare encoder.
        config: the encoder's shape.
        pretrained: whether it began with pretrained weights.
        folder: where its weights lie; None once it was trained on.
        length_given: whether `max_seq_len` was chosen for it, and not the default.

    Raises:
        UnknownModelError: no model has this name.
        DownloadError: it is not on this machine and cannot be fetched.
        ModelError: the folder is incomplete, damaged or of an unsupported kind.
        InputError: the arguments do not fit together.
    """

    def __init__(
        self,
        name: str | None = None,
        version: str | None = None,
        *,
        directory: str | Path | None = None,
        task: str | None = None,
        num_classes: int | None = None,
        label_map: Mapping[int, str] | Sequence[str] | None = None,
        task_options: Mapping[str, Any] | None = None,
        load_checkpoint: str | Path | None = None,
        max_seq_len: int | None = None,
        long_text: str | None = None,
        classifier_pooling: str | None = None,
        pretrained: bool = True,
        seed: int = 0,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        self.entry, folder = _locate(name, version, directory, quiet)
        self.folder: Path | None = folder
        # What lies in the store was checked when it was put there.
        manifest = read_manifest(folder, check_content=not Store().holds(folder))
        if manifest is not None and manifest.kind != "model":
            raise ModelError(
                f"{folder} is an exported model: it answers (hub.Predictor, `hub predict`) but "
                "cannot be trained or loaded as a Module."
            )
        raw = read_config(folder / CONFIG_FILE)
        self.config = _pooling_by(classifier_pooling, ErnieConfig.from_dict(raw))
        self.name = _name_of(self.entry, manifest, folder)
        self.base_model = manifest.base_model if manifest else self.name
        self.tokenizer = load_tokenizer(folder, self.config.model_type)
        check_vocabulary(self.tokenizer, self.config, folder)
        own_length = manifest.max_seq_len if manifest else default_length(self.config)
        self.max_seq_len = self._length_limit(max_seq_len, own_length)
        self.length_given = max_seq_len is not None or bool(manifest and manifest.labels)
        self.long_text = check_long_text(long_text or (manifest.long_text if manifest else "cut"))
        chosen = choose_task(task, labels_of(label_map, num_classes), task_options, manifest, raw)
        self.task, self.labels_given = chosen.task, chosen.labels_given
        self.pretrained = pretrained and (self.entry is None or self.entry.pretrained)
        # The weights of a head that starts untrained.
        self._begun: dict[str, np.ndarray] = {}
        self.network = self._build_network(folder, seed, chosen, pretrained)
        if load_checkpoint is not None:
            load_weights(self.network, Path(load_checkpoint), self.config, self.task)
        self.adopt_weights()
        self.eval()
        self._trace_on_save()

    # --- making ----------------------------------------------------------------------------------

    def _length_limit(self, asked: int | None, otherwise: int) -> int:
        """How many tokens are read at a time: as many as were asked for, if any were."""
        limit = self.config.max_position_embeddings
        if asked is None:
            return otherwise
        if not isinstance(asked, Integral) or not 3 <= asked <= limit:
            raise InputError(f"max_seq_len is {asked}; {self.name} takes 3 to {limit} tokens.")
        return int(asked)

    def _build_network(
        self, folder: Path, seed: int, chosen: ChosenTask, pretrained: bool
    ) -> paddle.nn.Layer:
        network = build_network(self.config, self.task)
        if not pretrained:
            initialize_untrained(network, self.config, seed)
        elif self.entry is not None and not self.entry.pretrained:
            if self.task is not None and not self.task.labels:
                logger.warning("%s is not pretrained: its answers are random.", self.name)
            initialize(network, self.config, self.entry.seed)
            initialize_head(network, self.config, seed)
        else:
            initialize(network, self.config, seed)
            if load_folder(network, folder, self.config, self.task, chosen, self.name):
                return network
            logger.info("%s: the head starts untrained", self.name)
        self._begun = head_of(network)
        return network

    def set_labels(
        self,
        labels: Mapping[int, str] | Sequence[str],
        seed: int = 0,
        *,
        task_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Give the task these labels and a new, untrained head for them; the encoder stays.

        Args:
            labels: as `label_map` of the class.
            seed: where the weights of the head come from.
            task_options: what is to be otherwise than it is, as `task_options` of the class. For
                intents and slots, whose labels are the tags, `intents` stay if they are known.

        Raises:
            InputError: the module has no task, or one without labels; or they cannot be its.
        """
        if self.task is None:
            raise InputError(f"{self.name} was loaded without a task: give task='seq-cls'.")
        options = {**self.task.structure, **(task_options or {})}
        if isinstance(self.task, IntentSlots) and self.labels_given:
            options.setdefault("intents", self.task.intents.labels)
        given = labels_of(labels, None) or []
        check_labels(given, self.task.name)
        self.set_task(create_task(self.task.name, given, options), seed)

    def set_task(self, task: Task, seed: int = 0) -> None:
        """Give the module another task and a new, untrained head for it; the encoder stays."""
        self.task = task
        network = task.build_network(self.config)
        initialize(network, self.config, seed)
        network.encoder.set_state_dict(self.network.encoder.state_dict())
        self._begun = head_of(network)
        self.network = network
        self.labels_given = True
        self.adopt_weights()
        network.train() if self.training else network.eval()
        self._trace_on_save()

    def adopt_weights(self) -> None:
        """Let the task take over what decoding needs of the network, after its weights changed."""
        if self.task is not None:
            self.task.adopt(self.network)

    def _trace_on_save(self) -> None:
        """Give `paddle.jit.save(module, path)` the `forward` it wants: one that knows its inputs.

        Calling the module does not go through it: see `__call__`. A trace holds the parameters it
        was made with, so a new network needs a new one.
        """
        self.forward = paddle.jit.to_static(  # type: ignore[method-assign]
            MethodType(Module.forward, self), input_spec=self.input_spec(), full_graph=True
        )

    # --- computing -------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
        positions: paddle.Tensor | None = None,
    ) -> Any:
        """Compute the network's output for int64 tensors [B, T], padded with zeros.

        `positions`, for fill-mask only, are those of `ErnieForMaskedLM`.

        Returns:
            The logits, float32: for text classification [B, classes], for token classification
            [B, T, tags], for intents and slots [B, T, tags + intents], for fill-mask [B, T, V] or
            [N, V] for N positions; for sentence embeddings the vectors [B, D]. For a bare encoder
            the sequence output [B, T, D] and the pooled output [B, D].
        """
        if positions is None:
            return self.network(input_ids, token_type_ids, attention_mask)
        return self.network(input_ids, token_type_ids, attention_mask, positions)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Compute at once, layer by layer, instead of through the traced program of `forward`."""
        return self.network(*inputs, **options)

    def input_spec(self) -> list[paddle.static.InputSpec]:
        """The inputs of `forward`, any batch size and any length."""
        inputs = [
            paddle.static.InputSpec([None, None], "int64", name)
            for name in ("input_ids", "token_type_ids", "attention_mask")
        ]
        if isinstance(self.task, FillMask):
            inputs.append(paddle.static.InputSpec([None], "int64", "positions"))
        return inputs

    def compute(self, batch: Batch) -> np.ndarray:
        """The network's output for a batch, without gradients, as float32 [B, ...].

        Raises:
            InputError: the module has no task, and so more than one output: call it instead.
        """
        if self.task is None:
            raise InputError(f"{self.name} was loaded without a task: call the module itself.")
        return _output_of(self.network, batch)

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
        """Answer each text.

        Args:
            texts: the texts, or for text classification also pairs of texts; each may be a list of
                one or two, as PaddleHub has it. One text alone gets its answer alone.
            max_seq_len: the tokens read at a time; None is the module's own limit.
            batch_size: texts computed at a time.
            use_gpu: compute on the GPU; None is wherever Paddle computes.
            probabilities: give every label's probability too; entities and masks have none, but
                every answer its score.
            top_k: for text classification and fill-mask, give so many of the best answers.
            long_text: "cut" or "window", as in the class; None is the module's own.
            data: PaddleHub's name for `texts`.

        Returns:
            A list with an answer a text. For text classification a label; with `probabilities` a
            dictionary: `label`, `score` (its probability) and `probabilities` (label ->
            probability); with `top_k` a list of dictionaries of `label` and `score`. With several
            labels a text a list of labels, for token classification of entities, for fill-mask of
            tokens; for intents and slots a dictionary; for sentence embeddings a float32 array
            [D]: see the `decode` of `hub.tasks`' classes.

        Raises:
            InputError: the module has no task, or `texts` cannot be answered.
        """
        texts = data if texts is None else texts
        if texts is None:
            raise InputError("There is no text to answer: give a list of texts.")
        _use_gpu(use_gpu)
        if self.task is None:
            raise InputError(
                f"{self.name} was loaded without a task and cannot answer: fine-tune it first, or "
                "load a fine-tuned folder."
            )
        self.adopt_weights()
        self._tell_of_untrained_head()
        return predict(
            self.task,
            self.tokenizer,
            self.compute,
            texts,
            max_seq_len=self._length_limit(max_seq_len, self.max_seq_len),
            batch_size=batch_size,
            long_text=long_text or self.long_text,
            options=AnswerOptions(probabilities, top_k),
        )

    def pipe(self, texts: Iterable[Text], *, window: int = WINDOW, **options: Any) -> Iterator[Any]:
        """Answer texts as they come, without end and in constant memory.

        Args:
            texts: any iterable of texts, such as a generator.
            window: so many are read before the first is answered; of them, those of like length are
                computed together.
            options: those of `predict`.

        Returns:
            An iterator over the answers, in the order of the texts.

        Raises:
            InputError: as `predict`, when a text is reached.
        """
        return stream(self.predict, texts, window, options)

    def get_tokenizer(self) -> Tokenizer:
        """The tokenizer, by PaddleHub's name."""
        return self.tokenizer

    def _tell_of_untrained_head(self) -> None:
        """Say once that answers are random, if the head's weights still are what they began as."""
        begun, self._begun = self._begun, {}
        if not begun:
            return
        now = self.network.state_dict()
        if all(np.array_equal(now[name].numpy(), values) for name, values in begun.items()):
            logger.warning(
                "%s was not fine-tuned for %s: its answers are random.",
                self.name, self.task.name if self.task else "",
            )  # fmt: skip

    def get_embedding(
        self,
        data: Sequence[Text] | str,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        batch_size: int = 32,
        max_seq_len: int | None = None,
        long_text: str | None = None,
        use_gpu: bool | None = None,
    ) -> np.ndarray:
        """The vectors of texts, from the encoder's last layer, whatever the module's task is.

        PaddleHub's keywords are understood; it answered with lists of a pooled vector and of the
        tokens' vectors for each text, which calling a module without a task gives.

        Args:
            data: the texts; each may be a list of one, as PaddleHub has it.
            pooling: "mean" over a text's tokens, or "cls", the vector of `[CLS]`; None is the
                module's own if its task is sentence embeddings, else "mean".
            normalize: divide each vector by its length; None as above, else False.
            batch_size: texts computed at a time.
            max_seq_len: the tokens read at a time; None is the module's own limit.
            long_text: "cut" or "window", as in the class; None is the module's own.
            use_gpu: compute on the GPU; None is wherever Paddle computes.

        Returns:
            float32 [N, D], a row a text in their order; for one text alone [D].

        Raises:
            InputError: a text is none, or a pair; or an argument is out of its limits.
        """
        _use_gpu(use_gpu)
        if self.task is None and self.entry is not None and not self.entry.pretrained:
            logger.warning("%s is not pretrained: its vectors are random.", self.name)
        own = self.task.options if isinstance(self.task, SentenceEmbedding) else {}
        asked = {"pooling": pooling, "normalize": normalize}
        task = SentenceEmbedding(
            **{**own, **{name: value for name, value in asked.items() if value is not None}}
        )
        network = ErnieForSentenceEmbedding(
            self.config, task.pooling, task.normalize, self.network.encoder
        )
        vectors = predict(
            task,
            self.tokenizer,
            partial(_output_of, network),
            data,
            max_seq_len=self._length_limit(max_seq_len, self.max_seq_len),
            batch_size=batch_size,
            long_text=long_text or self.long_text,
        )
        if isinstance(vectors, np.ndarray):
            return vectors
        empty = np.empty((0, self.config.hidden_size), np.float32)
        return np.stack(vectors) if vectors else empty

    # --- keeping ---------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> None:
        """Write the model folder: weights, configuration, tokenizer and `hub.json`.

        The folder opens in this package and, but for classifiers that read the mean over a text's
        tokens, in Hugging Face `transformers`. Existing files of these names are replaced when all
        new ones are written; a folder where that was interrupted is refused. Other files stay.

        Raises:
            InputError: the module has no task.
            OutputError: the folder cannot be written.
        """
        if self.task is None:
            raise InputError("A module without a task has nothing of its own to save.")
        folder = Path(directory)
        self.adopt_weights()
        manifest = Manifest(
            kind="model",
            task=self.task.name,
            labels=self.task.labels,
            task_options=self.task.options,
            max_seq_len=self.max_seq_len,
            long_text=self.long_text,
            base_model=self.base_model,
            package_version=__version__,
        )
        arrays = checkpoints.to_arrays(self.network, self.config.model_type)
        try:
            others = TOKENIZER_FILES - set(self.tokenizer.files)
            with files_exchanged(folder, CONFIG_FILE, others) as made:
                formats.write_safetensors(arrays, made / WEIGHTS_FILE)
                self.save_description(made)
                names = [WEIGHTS_FILE, CONFIG_FILE, *self.tokenizer.files]
                write_manifest(made, manifest, names)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error

    def export(
        self,
        output: str | Path,
        format: str = "onnx",
        precision: str = "fp32",
        *,
        data: Any = None,
        calibration: Any = None,
        static: bool = False,
        max_drop: float = 0.5,
        overwrite: bool = False,
    ) -> Exported:
        """Write the module for an inference engine; `hub.Predictor(output)` answers with it.

        Arguments, answer and errors are `hub.export_module`'s.
        """
        # What exports stands above this module: it is known here by its public name alone.
        return hub.export_module(
            self, output, format, precision, data=data, calibration=calibration, static=static,
            max_drop=max_drop, overwrite=overwrite,
        )  # fmt: skip

    def save_description(self, folder: Path) -> None:
        """Write what describes the model beside its weights: `config.json` and the tokenizer."""
        config = transformers_config(self.config, self.task)
        text = json.dumps(config, ensure_ascii=False, indent=2)
        write_text(folder / CONFIG_FILE, text + "\n")
        self.tokenizer.save(folder, self.max_seq_len)


def _use_gpu(wanted: bool | None) -> None:
    """Compute on the GPU, or on the CPU; None is wherever Paddle computes."""
    if wanted is not None:
        use_device("gpu" if wanted else "cpu")


def _pooling_by(asked: str | None, config: ErnieConfig) -> ErnieConfig:
    if asked is None:
        return config
    if asked not in POOLINGS:
        raise InputError(must_be_one_of("classifier_pooling", POOLINGS, asked))
    return dataclasses.replace(config, classifier_pooling=asked)


def _output_of(network: paddle.nn.Layer, batch: Batch) -> np.ndarray:
    """A network's output for a batch, without gradients and dropout, as float32."""
    with paddle.no_grad(), _not_training(network):
        output = network(*map(paddle.to_tensor, batch.inputs.values()))
    result: np.ndarray = output.astype("float32").numpy()
    return result


@contextmanager
def _not_training(network: paddle.nn.Layer) -> Iterator[None]:
    """Compute without dropout; afterwards each layer is in the mode that it was in."""
    training = [layer for layer in network.sublayers(include_self=True) if layer.training]
    try:
        for layer in training:
            layer.training = False
        yield
    finally:
        for layer in training:
            layer.training = True


def _locate(
    name: str | None, version: str | None, directory: str | Path | None, quiet: bool
) -> tuple[ModelEntry | None, Path]:
    """The catalogue's entry (None for a folder) and the folder that holds the files."""
    if (name is None) == (directory is None):
        raise InputError("Give either a model's name or a directory.")
    if directory is None and name is not None and Path(name).is_dir():
        directory = name
    if directory is not None:
        folder = Path(directory)
        if not folder.is_dir():
            raise ModelError(f"There is no folder {folder}.")
        return None, folder
    if version is not None and _PADDLEHUB_VERSION.fullmatch(version):
        entry = known_model(str(name))
        if entry is not None and entry.version != version:
            logger.warning("%s: version %s, as PaddleHub had it, is not told apart.", name, version)
            version = None
    return locate(str(name), version, quiet=quiet)


def _name_of(entry: ModelEntry | None, manifest: Manifest | None, folder: Path) -> str:
    if entry is not None:
        return entry.name
    if manifest and manifest.name:
        return manifest.name
    return Path(os.path.abspath(folder)).name  # "." has a name
