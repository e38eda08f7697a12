"""Presidio as a second opinion: offline, with or without a model, and only where it is precise."""

from __future__ import annotations

import socket

import pytest
from cloister.core.errors import CloisterError
from cloister.detect.analysis import analyse
from cloister.detect.models import MODEL_VARIABLE, Model, installed_model
from cloister.detect.second_opinion import SecondOpinion, second_opinion


@pytest.fixture(scope="module")
def opinion():
    return SecondOpinion()


@pytest.fixture
def no_network(monkeypatch):
    tried = []

    def refuse(_socket, address):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: refuse(None, a))
    return tried


def found(opinion, text):
    return [(s.entity_type, text[s.start : s.end]) for s in opinion.find(text)]


def test_builds_and_answers_without_the_network(no_network):
    spans = SecondOpinion().find("write to ada@mail.example.co.uk or ada@example.com")
    assert [s.entity_type for s in spans].count("EMAIL_ADDRESS") == 1 + 1
    assert no_network == []


@pytest.mark.parametrize(
    ("text", "entity_type", "value"),
    [
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "CRYPTO", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        ("NHS number 943 476 5919", "UK_NHS", "943 476 5919"),
        ("voter id: ABC1234567, elector", "IN_VOTER", "ABC1234567"),
        ("codice fiscale RSSMRA85T10A562S", "IT_FISCAL_CODE", "RSSMRA85T10A562S"),
    ],
)  # fmt: skip
def test_recognisers_of_many_countries_run(opinion, text, entity_type, value):
    assert (entity_type, value) in found(opinion, text)


@pytest.mark.parametrize(
    "text",
    [
        "order 4382840714109516 shipped 2022-01-16 uuid b1eb9020-f826-45eb-9d5a-8945ece9b7d9",
        "2026-11-23 07:00:59,123 INFO took 12345678 ms pid 4567 at step 123456789",
        "x = np.array(df.values) # see torch.nn and os.path",
        "accuracy = 678.7352, version 3.16.1, build 3068633293",
        "rows 1234567890 1234567891 1234567892",
        "invoice 230438198 about user 12345678 in room H12234567",
    ],
)
def test_junk_of_patterns_is_dropped(opinion, text):
    assert found(opinion, text) == []


def test_a_url_inside_an_address_is_part_of_the_address(opinion):
    assert [t for t, _ in found(opinion, "ada@mail.example.com")] == ["EMAIL_ADDRESS"]


def test_says_what_it_cannot_see_without_a_model(opinion):
    assert "spaCy model" in opinion.cannot_see
    assert SecondOpinion(model=Model("x", "spacy")).cannot_see == ""


@pytest.fixture
def local_model(tmp_path):
    import spacy

    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Zorblax"}])
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def test_a_local_model_finds_names(local_model, monkeypatch, no_network):
    monkeypatch.setenv(MODEL_VARIABLE, str(local_model))
    second = second_opinion()
    text = "then zorblax met Zorblax."
    assert second.cannot_see == ""
    spans = analyse(text, opinion=second)
    assert [(s.entity_type, s.start) for s in spans] == [("PERSON", text.index("Zorblax"))]
    assert no_network == []


TAGS = ["O", "B-PER", "I-PER", "B-GIVENNAME", "B-STREET", "B-QUANTITY"]
# Of the pieces of a word the model may know only the last.
KNOWN = {
    "zorblax": "B-PER",
    "quuxley": "I-PER",
    "##bleton": "B-PER",
    "mirelda": "B-GIVENNAME",
    "9am": "B-QUANTITY",
}


@pytest.fixture
def transformers_model(tmp_path):
    """A real model of embeddings alone: it knows a few words for certain and nothing else."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    tokenizers = pytest.importorskip("tokenizers")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *KNOWN, "wib", ",", "."]
    directory = tmp_path / "tagger"
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=len(TAGS) * 2,
        num_hidden_layers=0,
        num_attention_heads=1,
        intermediate_size=4,
        num_labels=len(TAGS),
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
    )
    model = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        embeddings = model.bert.embeddings
        embeddings.LayerNorm.weight.fill_(1.0)
        model.classifier.weight[:, : len(TAGS)] = 9 * torch.eye(len(TAGS))
        for number, piece in enumerate(pieces):
            embeddings.word_embeddings.weight[number, TAGS.index(KNOWN.get(piece, "O"))] = 1.0
    model.save_pretrained(directory)
    words = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({p: n for n, p in enumerate(pieces)}, unk_token="[UNK]")
    )
    words.normalizer = tokenizers.normalizers.BertNormalizer()
    words.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(directory)
    return directory


def test_a_local_transformers_model_finds_names(transformers_model, monkeypatch, no_network, capfd):
    monkeypatch.setenv(MODEL_VARIABLE, str(transformers_model))
    second = second_opinion()
    text = "then Zorblax Quuxley met mirelda and Wibbleton at 9am, ssn 219-09-9871."
    names = [("PERSON", name) for name in ("Zorblax Quuxley", "mirelda", "Wibbleton")]
    assert second.model == Model(str(transformers_model), "transformers")
    assert sorted(found(second, text)) == sorted([*names, ("US_SSN", "219-09-9871")])
    assert [(s.entity_type, text[s.start : s.end]) for s in analyse(text, opinion=second)] == [
        *names,
        ("US_SSN", "219-09-9871"),
    ]
    long = "a word, " * 2_000 + "Zorblax" + ", a word" * 2_000
    assert found(second, long) == [("PERSON", "Zorblax")]
    assert no_network == []
    assert capfd.readouterr() == ("", "")


def test_a_transformers_model_without_its_library_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(CloisterError, match="no model that is on this machine") as caught:
        installed_model(str(tmp_path))
    assert "transformers and torch" in caught.value.remedy


def test_a_broken_transformers_model_is_an_error(tmp_path, monkeypatch, no_network):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path))
    with pytest.raises(CloisterError, match="cannot be loaded") as caught:
        second_opinion().find("then Zorblax")
    assert caught.value.code == "CLO-INPUT-020"
    assert no_network == []


def test_a_broken_spacy_model_is_an_error(local_model, monkeypatch, no_network):
    (local_model / "config.cfg").write_text("[nlp]\nlang = 12\n")
    monkeypatch.setenv(MODEL_VARIABLE, str(local_model))
    with pytest.raises(CloisterError, match="cannot be loaded"):
        second_opinion().find("then Zorblax")
    assert no_network == []


def test_a_models_labels_become_presidios_types(tmp_path, monkeypatch):
    import spacy

    nlp = spacy.blank("de")
    labels = {"Zorblax": "PER", "Quuxheim": "LOC", "Quuxwerk": "ORG", "Mirelda": "GIVENNAME"}
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": label, "pattern": name} for name, label in labels.items()]
    )
    nlp.to_disk(tmp_path / "german")
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "german"))
    second = second_opinion()
    assert second.model.language == "de"
    assert sorted(found(second, "Zorblax, Quuxheim, Quuxwerk und Mirelda")) == [
        ("LOCATION", "Quuxheim"),
        ("ORGANIZATION", "Quuxwerk"),
        ("PERSON", "Mirelda"),
        ("PERSON", "Zorblax"),
    ]


def test_a_model_that_is_not_here_is_an_error_and_no_download(monkeypatch, no_network):
    monkeypatch.setenv(MODEL_VARIABLE, "en_core_web_of_nowhere")
    with pytest.raises(CloisterError) as caught:
        second_opinion()
    assert caught.value.code == "CLO-INPUT-020"
    assert no_network == []


def test_the_model_can_be_switched_off():
    assert installed_model("none") is None


@pytest.mark.parametrize(
    "text", ["", " \n", "\x00" * 9, "\ud800\udfff 12", "אבג 123 ١٢٣", "a" * 9000]
)
def test_odd_texts_raise_nothing(opinion, text):
    for span in opinion.find(text):
        assert 0 <= span.start < span.end <= len(text)
