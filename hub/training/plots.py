"""The report's pictures, drawn with matplotlib where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import CURVE_FILE, MATRIX_FILE
from hub.files import write_whole
from hub.tasks.base import Metrics, metric_title

# Fonts with Chinese characters, as the usual systems call them. matplotlib's own font has none and
# would draw a box for every character.
_CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC",
    "Heiti SC", "Noto Sans CJK JP",
)  # fmt: skip
_MOST_NUMBERED_CELLS = 30


@dataclass(frozen=True)
class Plots:
    """The file names of the plots, None for those not drawn.

    `numbered` says that the labels stand as numbers, for want of a font.
    """

    curve: str | None
    matrix: str | None
    numbered: bool


def draw_plots(
    folder: Path,
    history: Sequence[dict[str, Any]],
    baseline: Metrics,
    metrics: Sequence[str],
    matrix: np.ndarray | None,
    labels: Sequence[str],
) -> Plots:
    """Draw the learning curve of `metrics` and, if there is one, the confusion matrix as PNG files
    into `folder`."""
    try:
        import matplotlib
    except ImportError:
        return Plots(None, None, False)
    # A figure without pyplot touches neither the user's backend nor a display.
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    font = next((name for name in _CHINESE_FONTS if name in installed), None)
    numbered = font is None and any(not label.isascii() for label in labels)
    style: Any = {"axes.unicode_minus": False}
    if font is not None:
        style["font.family"] = [font]
    with matplotlib.rc_context(style):
        _draw_curve(folder / CURVE_FILE, history, baseline, metrics)
        if matrix is None:
            return Plots(CURVE_FILE, None, numbered)
        names = [str(number) for number in range(len(labels))] if numbered else list(labels)
        _draw_matrix(folder / MATRIX_FILE, matrix, names)
    return Plots(CURVE_FILE, MATRIX_FILE, numbered)


def _draw_curve(
    path: Path,
    history: Sequence[dict[str, Any]],
    baseline: Metrics,
    metrics: Sequence[str],
) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = [entry["epoch"] for entry in history]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [entry["loss"] for entry in history], marker="o", color="tab:gray")
    left.set(title="training loss", xlabel="epoch")
    left.set_ylim(bottom=0)
    for name, color in zip(metrics, ("tab:blue", "tab:orange"), strict=False):
        values = [entry[f"dev_{name}"] for entry in history]
        shown = metric_title(name)
        right.plot(epochs, values, marker="o", color=color, label=shown)
        if name in baseline:
            right.axhline(baseline[name], linestyle="--", color=color, label=f"{shown}, baseline")
    right.set(title="on dev", xlabel="epoch")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    _save(figure, path)


def _draw_matrix(path: Path, matrix: np.ndarray, names: Sequence[str]) -> None:
    from matplotlib.figure import Figure

    count = len(names)
    side = min(20.0, 2.5 + 0.4 * count)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answered as", ylabel="label", title="rows of dev; colour: share of the label")
    if count <= 100:
        axes.set_xticks(range(count), names, rotation=90)
        axes.set_yticks(range(count), names)
    if count <= _MOST_NUMBERED_CELLS:
        for (row, column), value in np.ndenumerate(matrix):
            if value:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(value), ha="center", va="center", color=color, fontsize=8
                )
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))
