"""`hub pretrain`: from texts without labels to a model folder."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hub.backend import paddle, use_device
from hub.constants import (
    CHECKPOINT_DIRECTORY,
    DEFAULT_MODEL,
    LOG_FILE,
    METRICS_FILE,
    progress_interval_s,
)
from hub.data.corpus import corpus_files
from hub.errors import InputError
from hub.files import write_text
from hub.models.creation import create_model, read_shape
from hub.models.ernie import dropout
from hub.models.installation import check_name_is_known
from hub.module import Module
from hub.tasks import FillMask
from hub.tasks.masked_language_modelling import MaskedLanguageModelling
from hub.tokenizers import read_vocabulary
from hub.tokenizers.knowledge import KnowledgeDictionary
from hub.tokenizers.segment import Segmenter
from hub.tokenizers.units import UnitFinder
from hub.tokenizers.vocabulary import is_cased
from hub.training.callbacks import Callback, HistoryFile
from hub.training.checkpoints import CheckpointStore
from hub.training.optimization import default_optimizer
from hub.training.output_folder import check_output, occupied, writing
from hub.training.parallel import be_silent, join, where_it_computes
from hub.training.precision import check_precision
from hub.training.pretraining.arguments import PretrainingArguments
from hub.training.pretraining.card import write_card
from hub.training.pretraining.loop import PretrainingLoop
from hub.training.pretraining.packed_corpus import UNCUT_LENGTH, PackedCorpus, encode_corpus
from hub.training.provenance import versions
from hub.training.sharding import Shares
from hub.training.signals import StopRequests
from hub.training.state import TrainingState
from hub.training.update import Update
from hub.wording import counted

Say = Callable[[str], None]


@dataclass(frozen=True)
class PretrainResult:
    """What a run ended with: the content of `metrics.json`, and where the folder is."""

    folder: Path
    summary: dict[str, Any]


def pretrain(
    corpus: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | None = None,
    from_scratch: str | None = None,
    vocabulary: str | Path | None = None,
    text_column: str | None = None,
    words: str | Path | None = None,
    phrases: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    changes: dict[str, Any] | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
    command: str = "",
    progress: bool = True,
    say: Say = print,
) -> PretrainResult:
    """Pretrain a masked language model on texts, and write its folder.

    The folder is a model for `hub.Module`, `hub finetune --model` and `transformers`, with
    `metrics.json`, `metrics.jsonl` (a measurement a line) and a card.

    Args:
        corpus: files and folders of texts: see `hub.data.corpus`.
        output: the folder to write.
        model: the model to go on from: a name or a folder; None is the embedded one.
        from_scratch: instead of a model, the shape of a new one: a `config.json` or a catalogue's
            name. It takes a `vocabulary`.
        vocabulary: a `vocab.txt` for it, as `hub vocab train` writes; if it has words in upper case
            texts keep theirs, and else they are lower-cased.
        text_column: the tables' column of the text.
        words: a file of words for jieba, masked as one.
        phrases: a file of phrases and entities, masked as one and before words.
        resume: go on with the unfinished run in `output`.
        overwrite: replace the model in `output`.
        changes: arguments that differ from the defaults.
        device: where to compute: see `hub.backend.use_device`.
        callbacks: more things to do along the run.
        command: what the user typed, for the card.
        progress: show progress bars.
        say: told what happens, a line at a time.

    Raises:
        InputError: the corpus, the arguments or the output folder are not usable.
        TrainingInterrupted: Ctrl-C or SIGTERM; `resume` goes on.
        TrainingError: the loss is not a number.
    """
    folder = Path(output)
    use_device(device)
    group = join()
    if group.is_first:
        check_output(folder, resume, overwrite)
    else:
        progress, say, callbacks = False, be_silent, ()
    arguments = PretrainingArguments().with_changes(**(changes or {}))
    files = corpus_files(corpus)
    check_precision(arguments.precision, paddle.get_device())
    module = _load(model, from_scratch, vocabulary, arguments)
    finder = UnitFinder(
        module.tokenizer,
        Segmenter(words),
        None if phrases is None else KnowledgeDictionary.from_file(phrases),
        UNCUT_LENGTH,
    )
    size = sum(parameter.size for parameter in module.network.parameters())
    say(
        f"model     {module.name}: {module.config.num_hidden_layers} layers, {size / 1e6:.1f} "
        f"million parameters; {where_it_computes()}"
    )
    with occupied(folder, resume, overwrite, group.is_first):
        if group.is_first:
            callbacks = [*callbacks, HistoryFile(folder / LOG_FILE)]
        with _bar("reading", " texts", progress) as bar:
            tokens = encode_corpus(files, finder, text_column, on_texts=bar.update)
        packed = PackedCorpus(
            tokens, module.tokenizer, arguments.max_seq_len, arguments.held_out, arguments.seed
        )
        of_files = f"{packed.token_count:,} tokens of {counted(len(files), 'file')}"
        say(
            f"corpus    {of_files}: {len(packed):,} sequences of {arguments.max_seq_len} to learn "
            f"from, {len(packed.held):,} held out"
        )
        state = _run(module, packed, arguments, folder, resume, callbacks, progress)
        if not group.is_first:
            return PretrainResult(folder, {})
        summary = {
            "task": FillMask.name,
            "base_model": None if from_scratch else module.base_model,
            "corpus": [path.name for path in files],
            "corpus_tokens": packed.token_count,
            "held_out_sequences": len(packed.held),
            "history": state.history,
            "seconds": round(state.seconds, 1),
            "arguments": arguments.to_dict(),
            "command": command,
            "versions": versions(),
        }
        # What is fine-tuned from it comes from this model, and not from the one before.
        module.base_model = folder.resolve().name
        _write(folder, module, summary)
        first, last = state.history[0], state.history[-1]
        say(
            f"held out  loss {first['held_out_loss']:.3f} -> {last['held_out_loss']:.3f}, "
            f"{first['held_out_accuracy']:.1%} -> {last['held_out_accuracy']:.1%} of the masked "
            "tokens guessed"
        )
        return PretrainResult(folder, summary)


def _load(
    model: str | None,
    from_scratch: str | None,
    vocabulary: str | Path | None,
    arguments: PretrainingArguments,
) -> Module:
    """The model to train, with the masked language model's head."""
    if from_scratch is None:
        if vocabulary is not None:
            raise InputError("A vocabulary belongs to a new model: give --from-scratch a shape.")
        name = model or DEFAULT_MODEL
        if not Path(name).is_dir():
            check_name_is_known(name)
        return Module(name=name, task=FillMask.name, max_seq_len=arguments.max_seq_len)
    if model is not None:
        raise InputError("Give either a model to go on from, or the shape of a new one; not both.")
    if vocabulary is None:
        raise InputError(
            "A new model needs a vocabulary: give --vocab a vocab.txt, as `hub vocab train` "
            "writes it."
        )
    shape = read_shape(from_scratch)
    with tempfile.TemporaryDirectory() as temporary:
        create_model(
            Path(temporary), shape, Path(vocabulary), arguments.seed,
            lowercase=not _has_upper_case(Path(vocabulary)),
        )  # fmt: skip
        module = Module(directory=temporary, task=FillMask.name, max_seq_len=arguments.max_seq_len)
    module.name = module.base_model = "new"
    return module


def _has_upper_case(vocabulary: Path) -> bool:
    try:
        return is_cased(read_vocabulary(vocabulary))
    except (OSError, UnicodeDecodeError):
        return False  # `create_model` tells what is wrong with it


def _run(
    module: Module,
    packed: PackedCorpus,
    arguments: PretrainingArguments,
    folder: Path,
    resume: bool,
    callbacks: Sequence[Callback],
    progress: bool,
) -> TrainingState:
    network = module.network
    network.encoder.recompute = arguments.recompute
    steps = math.ceil(len(packed) / arguments.batch_size) * arguments.epochs
    if arguments.max_tokens is not None:
        a_step = arguments.batch_size * arguments.max_seq_len
        steps = min(steps, math.ceil(arguments.max_tokens / a_step))
    group = join()
    shares = Shares(network, group) if arguments.shard_optimizer else None
    optimizer = default_optimizer(network, arguments.optimization, steps, shares)
    identity = {
        "model": module.name,
        "shape": module.config.to_dict(),
        "corpus": f"{packed.token_count} tokens, {packed.fingerprint}",
        **arguments.to_dict(),
    }
    # What changes no result may change when a run is resumed.
    for name in ("checkpoint_minutes", "recompute", "shard_optimizer"):
        del identity[name]
    update = Update(
        network, optimizer, precision=arguments.precision, group=group, seed=arguments.seed,
        shares=shares,
    )  # fmt: skip
    store = CheckpointStore(folder / CHECKPOINT_DIRECTORY, identity, writes=group.is_first)
    dropout.seed(arguments.seed)
    paddle.seed(arguments.seed)
    state = TrainingState(total_steps=steps)
    if resume:
        state = store.load(network, optimizer, update)
    task = MaskedLanguageModelling(module.tokenizer, arguments.masking)
    with _StepBar(arguments, state, progress) as bar:
        loop = PretrainingLoop(
            network, task, state, arguments, packed, update, store, [bar, *callbacks]
        )
        try:
            with update.waiting, StopRequests(is_launched=group.size > 1) as stop:
                loop.run(stop)
        finally:
            module.eval()
    return state


class _StepBar(Callback):
    """One bar over all tokens: tokens a second, time left, the losses."""

    def __init__(self, arguments: PretrainingArguments, state: TrainingState, shown: bool) -> None:
        self._length = arguments.max_seq_len
        total = state.total_steps * arguments.batch_size * self._length
        done = state.step * arguments.batch_size * self._length
        self._bar = _bar("pretraining", " tokens", shown, total=total, initial=done)
        self._loss: float | None = None
        self._shown: dict[str, str] = {}

    def __enter__(self) -> _StepBar:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.close()

    def on_step(self, state: TrainingState, loss: float, rows: int) -> None:
        self._loss = loss if self._loss is None else 0.98 * self._loss + 0.02 * loss
        self._shown["loss"] = f"{self._loss:.3f}"
        self._bar.set_postfix(self._shown, refresh=False)
        self._bar.update(rows * self._length)

    def on_epoch_end(self, state: TrainingState, entry: dict[str, Any]) -> None:
        self._shown["held out"] = f"{entry['held_out_loss']:.3f}"
        self._shown["guessed"] = f"{entry['held_out_accuracy']:.1%}"
        self._bar.set_postfix(self._shown, refresh=False)


def _bar(title: str, unit: str, shown: bool, **options: Any) -> tqdm[Any]:
    return tqdm(
        desc=title, unit=unit, unit_scale=True, disable=not shown, dynamic_ncols=True,
        mininterval=progress_interval_s(), **options,
    )  # fmt: skip


def _write(folder: Path, module: Module, summary: dict[str, Any]) -> None:
    with writing(folder):
        module.save(folder)
        write_text(folder / METRICS_FILE, json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
        write_card(folder, summary)
    CheckpointStore(folder / CHECKPOINT_DIRECTORY, {}).remove()
