"""The catalogue: `registry.json` tells the truth, and its models are found by every spelling."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import hub
from hub.errors import UnknownModelError
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.shapes import encoder_shapes
from hub.registry import ModelEntry, find_model, list_models, search_models
from hub.registry.names import check_name, check_version, normalize

PACKAGE = Path(hub.__file__).parent
CATALOGUE: dict[str, Any] = json.loads((PACKAGE / "registry.json").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((PACKAGE / "registry.schema.json").read_text(encoding="utf-8"))
ENTRIES = list_models()
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
every_embedded = pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.folder], ids=lambda entry: entry.name
)


def baidu(**change: Any) -> dict[str, Any]:
    """A source that is right but for `change`."""
    weights = {"url": "https://example.org/model_state.pdparams", **change}
    vocabulary = {"url": "https://example.org/vocab.txt"}
    files = {"model_state.pdparams": weights, "vocab.txt": vocabulary}
    return {"sources": [{"kind": "baidu", "files": files}]}


def test_a_right_entry_is_taken() -> None:
    right = {**CATALOGUE["models"][0], **baidu(md5="0" * 32, sha256="0" * 64, size=1)}
    jsonschema.validate({**CATALOGUE, "models": [right]}, SCHEMA)


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
        {"sources": []},
        {"sources": [{"kind": "embedded"}]},
        {"sources": [{"kind": "ftp", "repository": "a/b"}]},
        {"sources": [{"kind": "huggingface", "repository": "no-organisation"}]},
        {"sources": [{"kind": "baidu", "files": {"vocab.txt": {"url": "https://example.org/v"}}}]},
        baidu(url="http://example.org/model_state.pdparams"),
        baidu(url="https://example.org/model_state.pdparams?token=secret"),
        baidu(md5="d41d8cd98f00b204e9800998ecf8427"),
        baidu(sha256="E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
        baidu(size=0),
        baidu(crc="0"),
        {"tokenizer": {"kind": "wordpiece"}},
        {"architecture": {**CATALOGUE["models"][0]["architecture"], "hidden_act": "tanh"}},
        {"aliases": ["a/b/c"]},
        {"aliases": ["Upper_Case"]},
        {"language": "Chinese"},
        {"trained_on": ""},
        {"architecture": {**CATALOGUE["models"][0]["architecture"], "depth": 4}},
        {"architecture": {**CATALOGUE["models"][0]["architecture"], "use_task_id": True}},
        {"scores": [{"dataset": "x", "metric": "accuracy", "value": 0.9}]},
        {"scores": [{"dataset": "x", "metric": "F1", "value": 101, "source": "https://x.org/"}]},
        {"scores": [{"dataset": "x", "metric": "F1", "value": 90, "source": "http://x.org/"}]},
    ],
)
def test_the_schema_refuses_a_wrong_entry(change: dict[str, Any]) -> None:
    wrong = {**CATALOGUE, "models": [{**CATALOGUE["models"][0], **change}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("field", SCHEMA["$defs"]["model"]["required"])
def test_the_schema_refuses_an_entry_that_lacks_a_field(field: str) -> None:
    lacking = {name: value for name, value in CATALOGUE["models"][1].items() if name != field}
    with pytest.raises(jsonschema.ValidationError, match=f"'{field}' is a required property"):
        jsonschema.validate({**CATALOGUE, "models": [lacking]}, SCHEMA)


@pytest.mark.parametrize(
    "field", SCHEMA["$defs"]["model"]["properties"]["architecture"]["required"]
)
def test_the_schema_refuses_a_shape_that_lacks_a_field(field: str) -> None:
    entry = CATALOGUE["models"][1]
    shape = {name: value for name, value in entry["architecture"].items() if name != field}
    with pytest.raises(jsonschema.ValidationError, match=f"'{field}' is a required property"):
        jsonschema.validate({**CATALOGUE, "models": [{**entry, "architecture": shape}]}, SCHEMA)


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


@every_embedded
def test_an_entrys_configuration_is_its_architecture(entry: ModelEntry) -> None:
    assert entry.folder is not None
    config = json.loads((entry.folder / "config.json").read_text(encoding="utf-8"))
    assert entry.architecture.items() <= config.items()


@every_embedded
def test_an_entrys_vocabulary_has_the_size_it_says(entry: ModelEntry) -> None:
    assert entry.folder is not None
    lines = (entry.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) <= entry.architecture["vocab_size"]


@every_embedded
def test_an_embedded_model_has_the_parameters_it_says(entry: ModelEntry) -> None:
    module = hub.Module(name=entry.name)
    assert sum(parameter.size for parameter in module.network.parameters()) == entry.parameters
    assert module.entry == entry


@every_entry
def test_an_entrys_number_of_parameters_is_its_architectures(entry: ModelEntry) -> None:
    config = ErnieConfig.from_dict(dict(entry.architecture))
    assert config.parameter_count == entry.parameters
    assert sum(map(math.prod, encoder_shapes(config).values())) == entry.parameters


@pytest.mark.parametrize(
    "shape",
    [
        {"model_type": "bert"},
        {"model_type": "ernie", "use_task_id": True, "task_type_vocab_size": 5},
        {"model_type": "ernie", "use_task_id": False, "task_type_vocab_size": 5},
        {"model_type": "ernie", "num_hidden_layers": 1, "intermediate_size": 7},
    ],
)
def test_the_number_of_parameters_is_the_networks(shape: dict[str, Any]) -> None:
    from hub.models.ernie.modeling import ErnieModel

    small = {
        "vocab_size": 11, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 24, "max_position_embeddings": 9, "type_vocab_size": 4,
    }  # fmt: skip
    config = ErnieConfig.from_dict({**small, **shape})
    network = ErnieModel(config)
    assert sum(parameter.size for parameter in network.parameters()) == config.parameter_count


@every_entry
def test_an_entrys_names_are_normalised_and_safe_as_folders(entry: ModelEntry) -> None:
    assert check_name(entry.name) == entry.name
    assert check_version(entry.version) == entry.version
    for alias in entry.aliases:
        assert normalize(alias) == alias
        assert all(check_name(part) == part for part in alias.split("/"))


@every_entry
def test_a_public_model_has_a_source_and_says_what_it_is(entry: ModelEntry) -> None:
    kinds = {source.kind for source in entry.sources}
    assert kinds <= {"embedded", "baidu", "modelscope", "huggingface"}
    assert entry.licence != "unknown"
    assert entry.trained_on
    if entry.pretrained:
        assert kinds & {"baidu", "huggingface", "embedded"}
    for source in entry.sources:
        if source.repository:
            assert normalize(source.repository) in entry.aliases  # found by its id
            assert source.revision == {"huggingface": "main", "modelscope": "master"}[source.kind]


def test_models_known_in_several_places_have_them_all() -> None:
    def kinds(name: str) -> list[str]:
        return [source.kind for source in find_model(name).sources]

    assert kinds("ernie-1.0") == ["baidu", "modelscope", "huggingface", "huggingface"]
    assert kinds("ernie-3.0-base-zh") == ["baidu", "modelscope", "huggingface", "huggingface"]
    assert kinds("hfl/rbt3") == ["baidu", "huggingface"]
    assert kinds("uie-base") == ["baidu", "huggingface"]
    assert kinds("ernie-tiny") == ["baidu"]


def test_published_checksums_are_in_the_catalogue() -> None:
    def md5(name: str) -> str | None:
        return find_model(name).sources[0].files["model_state.pdparams"].md5

    assert md5("uie-nano") == "48db5206232e89ef16b66467562d90e5"
    assert md5("rocketqa-zh-dureader-query-encoder") == "6125930530fd55ed715b0595e65789aa"
    assert md5("simbert-base-chinese") == "27d9ef240c2e8e736bdfefea52af2542"
    assert md5("utc-large") == "71eb9a732c743a513b84ca048dc4945b"
    assert md5("ernie-3.0-nano-zh") is None  # none is published


@pytest.mark.parametrize(
    ("name", "md5", "size"),
    [
        ("ernie-1.0-base-zh", "062f696cad47bb62da86d8ae187b0ef4", 91_107),
        ("rocketqa-zh-dureader-cross-encoder", "062f696cad47bb62da86d8ae187b0ef4", 91_107),
        ("ernie-3.0-nano-zh", "1c1c1f4fd93c5bed3b4eebec4de976a8", 186_807),
        ("uie-base", "1c1c1f4fd93c5bed3b4eebec4de976a8", 186_807),
        ("utc-base", "97eb0ec5a5890c8190e10e251af2e133", None),
    ],
)
def test_checksums_of_vocabularies_are_in_the_catalogue(
    name: str, md5: str, size: int | None
) -> None:
    file = find_model(name).sources[0].files["vocab.txt"]
    assert (file.md5, file.size) == (md5, size)
    assert (file.sha256 is None) == (size is None)


def test_one_address_has_one_content() -> None:
    known: dict[str, Any] = {}
    for entry in ENTRIES:
        for source in entry.sources:
            for name, file in source.files.items():
                assert known.setdefault(file.url, (name, file)) == (name, file)


@every_entry
def test_an_entry_has_the_files_that_its_tokenizer_needs(entry: ModelEntry) -> None:
    more = {"spm_cased_simp_sampled.model", "dict.wordseg.pickle"}
    more = more if entry.tokenizer["kind"] == "ernie-tiny" else set()
    for source in entry.sources:
        if source.kind == "baidu":
            assert set(source.files) == {"model_state.pdparams", "vocab.txt"} | more


def test_layer_norms_have_the_epsilon_that_the_weights_were_trained_with() -> None:
    def epsilon(name: str) -> float:
        return ErnieConfig.from_dict(dict(find_model(name).architecture)).layer_norm_eps

    trained_with_ernie = {
        "ernie-1.0-base-zh", "ernie-2.0-large-zh", "ernie-tiny", "ernie-gram-zh", "ernie-health-zh",
        "ernie-3.0-nano-zh", "ernie-3.0-xbase-zh", "rocketqa-zh-dureader-query-encoder",
    }  # fmt: skip
    trained_with_others = {
        "bert-base-chinese", "rbt3", "chinese-macbert-base", "uie-nano", "utc-base",
        "ernie-1.0-base-zh-cw", "uer-chinese-roberta-tiny", "simbert-base-chinese",
    }  # fmt: skip
    assert {epsilon(name) for name in trained_with_ernie} == {1e-5}
    assert {epsilon(name) for name in trained_with_others} == {1e-12}


def test_the_family_is_complete() -> None:
    names = {entry.name for entry in ENTRIES}
    sizes = ("nano", "micro", "mini", "medium", "base")
    assert {f"ernie-3.0-{size}-zh" for size in (*sizes, "xbase")} <= names
    assert {f"ernie-3.0-tiny-{size}-v2-zh" for size in ("pico", *sizes)} <= names
    assert {"ernie-1.0-base-zh", "ernie-2.0-base-zh", "ernie-2.0-large-zh", "ernie-tiny"} <= names
    assert {"ernie-gram-zh", "ernie-health-zh", "bert-base-chinese"} <= names
    assert {f"chinese-{n}" for n in ("bert-wwm", "bert-wwm-ext", "roberta-wwm-ext")} <= names
    assert {"chinese-roberta-wwm-ext-large", "rbt3", "rbt4", "rbt6", "rbtl3"} <= names
    assert {"chinese-macbert-base", "chinese-macbert-large", "minirbt-h256", "rbt4-h312"} <= names


def test_the_shapes_on_the_page_are_the_catalogues() -> None:
    from tools.model_table import table

    assert table() in (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        # PaddleHub's
        ("ernie", "ernie-1.0-base-zh"),
        ("ernie_tiny", "ernie-tiny"),
        ("bert_chinese_L-12_H-768_A-12", "bert-base-chinese"),
        ("chinese_bert_wwm_ext", "chinese-bert-wwm-ext"),
        ("roberta_wwm_ext_chinese_L-24_H-1024_A-16", "chinese-roberta-wwm-ext-large"),
        ("roberta-wwm-ext", "chinese-roberta-wwm-ext"),
        ("chinese-bert-wwm", "chinese-bert-wwm"),
        ("rbtl3", "rbtl3"),
        # PaddleNLP's
        ("ernie-1.0", "ernie-1.0-base-zh"),
        ("ernie-3.0-tiny-nano-v1-zh", "ernie-3.0-nano-zh"),
        ("bert-wwm-chinese", "chinese-bert-wwm"),
        ("macbert-base-chinese", "chinese-macbert-base"),
        ("ernie-health-chinese", "ernie-health-zh"),
        ("uer/chinese-roberta-small", "uer-chinese-roberta-small"),
        ("uie-tiny", "uie-medium"),
        # the hubs'
        ("nghuyong/ernie-3.0-nano-zh", "ernie-3.0-nano-zh"),
        ("PaddlePaddle/ernie-3.0-nano-zh", "ernie-3.0-nano-zh"),
        ("hfl/chinese-roberta-wwm-ext", "chinese-roberta-wwm-ext"),
        ("hfl/minirbt-h256", "minirbt-h256"),
        ("uer/chinese_roberta_L-4_H-512", "uer-chinese-roberta-small"),
    ],
)
def test_the_peers_names_find_their_model(spelling: str, name: str) -> None:
    assert find_model(spelling).name == name


def test_a_pattern_chooses_models() -> None:
    assert [e.name for e in list_models("ERNIE_3.0-n*")] == ["ernie-3.0-nano-zh"]
    assert {e.name for e in list_models("hfl/*")} >= {"rbt3", "chinese-bert-wwm"}
    assert list_models("nothing*") == []


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


def test_the_names_of_one_model_are_one_proposal() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean 'ernie-tiny'"):
        find_model("ernie_tny")
    with pytest.raises(UnknownModelError) as caught:
        find_model("ernie-3.0-tiny-nano-v1-z")
    assert str(caught.value).count("'ernie-3.0-nano-zh'") == 1


def test_a_familys_name_is_answered_with_members() -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model("ernie_3.0")
    assert "'ernie-3.0-nano-zh' or 'ernie-3.0-micro-zh' or 'ernie-3.0-mini-zh'?" in str(
        caught.value
    )


@pytest.mark.parametrize("name", ["ernie_tny", "ernie-3.0-nao-zh", "rocketqa", "uie-senta-n"])
def test_at_most_three_names_are_proposed(name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model(name)
    assert 0 < str(caught.value).split("Did you mean")[1].count("'") <= 6


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
