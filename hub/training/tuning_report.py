"""What a search leaves for a person to read: a table of its trials, and a plot."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.files import write_text, write_whole
from hub.tasks.base import metric_title

if TYPE_CHECKING:
    import optuna

_REPORT, _PLOT = "report.md", "trials.png"


def write_tuning_report(folder: Path, study: optuna.Study, metric: str) -> None:
    """Write `report.md` and, where matplotlib is installed, `trials.png`.

    Args:
        folder: where.
        study: the search.
        metric: what was searched for.
    """
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    title = metric_title(metric)
    parts = [
        f"# {len(trials)} trials for {title}",
        f"{len(complete)} came to their end; the others were cut short because they did worse than "
        "others after as many epochs, or because they failed or the time was over.",
    ]
    if _draw(folder / _PLOT, complete, title):
        parts.append(f"![The trials]({_PLOT})")
    if weights := _importances(study, len(complete)):
        shown = ", ".join(f"{name} {weight:.0%}" for name, weight in weights.items())
        parts.append(f"How much each setting seems to matter, by Optuna's estimate: {shown}.")
    lines = [
        f"| trial | {title} | {' | '.join(names)} | seconds |",
        f"|---:|---:|{'---:|' * len(names)}---:|",
    ]
    ranked = sorted(trials, key=lambda trial: (trial not in complete, -(trial.value or 0.0)))
    for trial in ranked:
        is_complete = trial in complete and trial.value is not None
        value = f"{100 * (trial.value or 0):.2f}" if is_complete else trial.state.name.lower()
        settings = " | ".join(short(trial.params.get(name, "")) for name in names)
        seconds = f"{trial.duration.total_seconds():.0f}" if trial.duration else ""
        lines.append(f"| {trial.number} | {value} | {settings} | {seconds} |")
    parts.append("\n".join(lines))
    write_text(folder / _REPORT, "\n\n".join(parts) + "\n")


def short(value: Any) -> str:
    """A setting's value for a person: of a number three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _importances(study: optuna.Study, complete: int) -> dict[str, float]:
    """The settings' importances; empty where there are too few trials to tell."""
    import optuna

    if complete < 4:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few trials make poor estimates: they are shown so
            return optuna.importance.get_param_importances(study)
    except (RuntimeError, ValueError):  # all trials did equally well
        return {}


def _draw(path: Path, complete: list[optuna.trial.FrozenTrial], title: str) -> bool:
    """Draw each complete trial's value and the best so far; whether it could be."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not complete:
        return False
    numbers = [trial.number for trial in complete]
    values = [100 * (trial.value or 0.0) for trial in complete]
    best = [max(values[: place + 1]) for place in range(len(values))]
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(numbers, values, label="a trial")
    axes.step(numbers, best, where="post", label="the best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{title} on dev, %")
    axes.legend()
    axes.grid(alpha=0.3)
    write_whole(path, lambda p: figure.savefig(p, format="png", dpi=120))
    return True
