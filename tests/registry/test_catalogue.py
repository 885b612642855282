"""The catalogue: `registry.json` tells the truth, and its models are found by every spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import hub
from hub.errors import UnknownModelError
from hub.registry import ModelEntry, find_model, list_models, search_models

PACKAGE = Path(hub.__file__).parent
CATALOGUE: dict[str, Any] = json.loads((PACKAGE / "registry.json").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((PACKAGE / "registry.schema.json").read_text(encoding="utf-8"))
ENTRIES = list_models()
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def test_the_catalogue_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(CATALOGUE, SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Ernie_Pocket"},
        {"version": "1"},
        {"parameters": 0},
        {"parameters": "8M"},
        {"surprise": 1},
        {"finetuning": {"learning_rate": 0}},
        {"finetuning": {"nonsense": 1}},
        {"source": {}},
        {"scores": [{"dataset": "x", "metric": "accuracy", "value": 0.9}]},
    ],
)
def test_the_schema_refuses_a_wrong_entry(change: dict[str, Any]) -> None:
    wrong = {**CATALOGUE, "models": [{**CATALOGUE["models"][0], **change}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_every_model_of_the_file_is_listed_in_its_order() -> None:
    assert [e.name for e in ENTRIES] == [model["name"] for model in CATALOGUE["models"]]
    assert ENTRIES


def test_changing_the_list_changes_no_later_list() -> None:
    list_models().clear()
    assert list_models() == ENTRIES


def test_names_and_aliases_are_unique() -> None:
    names = [name for entry in ENTRIES for name in (entry.name, *entry.aliases)]
    assert len(set(names)) == len(names)


@every_entry
def test_an_entry_as_a_dictionary_is_the_one_of_the_file(entry: ModelEntry) -> None:
    stored = next(model for model in CATALOGUE["models"] if model["name"] == entry.name)
    assert stored.items() <= entry.to_dict().items()
    json.dumps(entry.to_dict())


@every_entry
def test_an_entrys_configuration_is_its_architecture(entry: ModelEntry) -> None:
    config = json.loads((entry.folder / "config.json").read_text(encoding="utf-8"))
    assert entry.architecture.items() <= config.items()


@every_entry
def test_an_entrys_vocabulary_has_the_size_it_says(entry: ModelEntry) -> None:
    lines = (entry.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) <= entry.architecture["vocab_size"]


@every_entry
def test_an_entrys_number_of_parameters_is_the_networks(entry: ModelEntry) -> None:
    module = hub.Module(name=entry.name)
    assert sum(parameter.size for parameter in module.network.parameters()) == entry.parameters
    assert module.entry == entry


@every_entry
def test_what_is_recommended_for_finetuning_are_training_arguments(entry: ModelEntry) -> None:
    from hub.training.arguments import TrainingArguments

    changed = TrainingArguments().with_changes(**entry.finetuning)
    assert entry.finetuning.items() <= changed.to_dict().items()


# --- finding -------------------------------------------------------------------------------------


@every_entry
def test_a_model_is_found_by_every_spelling_of_its_names(entry: ModelEntry) -> None:
    for name in (entry.name, *entry.aliases):
        for spelling in (name, name.upper(), name.replace("-", "_"), f"  {name.title()} "):
            assert find_model(spelling) == entry
    assert find_model(entry.name, entry.version) == entry


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model("ernie-poket-zh")
    message = str(caught.value)
    assert "There is no model 'ernie-poket-zh'" in message
    assert "Did you mean 'ernie-pocket-zh'" in message
    assert "hub list" in message
    assert caught.value.exit_code == 2


def test_a_name_like_no_other_is_answered_without_a_guess() -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model("qqqqqqqq")
    assert "Did you mean" not in str(caught.value)


def test_an_unknown_version_is_answered_with_the_one_there_is() -> None:
    entry = ENTRIES[0]
    with pytest.raises(UnknownModelError, match=r"no version '9\.9\.9'") as caught:
        find_model(entry.name, "9.9.9")
    assert entry.version in str(caught.value)


def test_the_default_model_is_in_the_catalogue() -> None:
    from hub.constants import DEFAULT_MODEL

    assert find_model(DEFAULT_MODEL).name == DEFAULT_MODEL


# --- searching -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["pocket", "POCKET", "ernie_pocket", "small chinese", "apache"])
def test_a_search_looks_into_names_summaries_and_licences(words: str) -> None:
    assert "ernie-pocket-zh" in [entry.name for entry in search_models(words)]


@pytest.mark.parametrize("words", ["nonsense", "pocket nonsense"])
def test_a_search_needs_every_word(words: str) -> None:
    assert search_models(words) == []


def test_a_search_for_nothing_is_the_list() -> None:
    assert search_models("") == ENTRIES
