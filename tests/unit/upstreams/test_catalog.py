"""The models file: what a public name means, and every way the file can be wrong."""

from pathlib import Path

import pytest

from app.domain.errors import ConfigurationError, ModelNotFoundError
from app.domain.jobs import Limits
from app.upstreams.catalog import Catalog, Model, load_catalog

DEFAULT = Limits(soft_time_limit=100, time_limit=110, max_attempts=4)
CANARY = "canary-51ce"
SERVER = '[upstreams.local]\nbase_url = "http://127.0.0.1:9/v1"\n'
MODEL = '[models.m]\nupstream = "local"\n'


def catalog(*names: str) -> Catalog:
    """Each public name has itself, upper-cased, as the upstream's name for it."""
    models = {name: {"upstream": "local", "model": name.upper()} for name in names}
    return Catalog.model_validate({"upstreams": {"local": {"base_url": "http://127.0.0.1:9/v1"}}, "models": models})


@pytest.mark.parametrize(
    ("models", "shown"),
    [
        ({"b": {}, "a": {}}, ["a", "b"]),
        # a pattern shows the name it stands for, if clients can use that name
        ({"*": {"model": "small"}}, ["small"]),
        ({"gpt-*": {"model": "gpt-4.1"}}, ["gpt-4.1"]),
        ({"gpt-*": {"model": "llama"}}, []),
        ({"gpt-[45]": {}, "gpt-?": {}, "*": {}}, []),
        ({"small": {}, "*": {"model": "small"}}, ["small"]),
        # the name that the pattern stands for is another server's here
        ({"gpt-*": {"model": "gpt-4.1"}, "gpt-4*": {"upstream": "far"}}, []),
        ({"gpt-*": {"model": "gpt-4.1"}, "gpt-4.1": {"upstream": "far"}}, ["gpt-4.1"]),
    ],
)
def test_public_names(models: dict[str, dict[str, str]], shown: list[str]) -> None:
    servers = {name: {"base_url": "http://127.0.0.1:9/v1"} for name in ("local", "far")}
    entries = {name: {"upstream": "local", **entry} for name, entry in models.items()}
    assert Catalog.model_validate({"upstreams": servers, "models": entries}).public_names() == shown


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "models.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_catalog(path)
    message = refused.value.message
    assert str(path) in message
    assert CANARY not in message.replace(str(path), "")
    return message


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["gpt-4.1", "*"], "gpt-4.1", "GPT-4.1"),
        # the exact name is shorter than the pattern that matches it, too
        (["gpt-4", "gpt-[45]*"], "gpt-4", "GPT-4"),
        (["*", "gpt-*", "gpt-4*"], "gpt-4.1", "GPT-4*"),
        (["gpt-4*", "gpt-*", "*"], "gpt-4.1", "GPT-4*"),
        (["*", "gpt-*"], "llama", "*"),
        (["gpt-?"], "gpt-5", "GPT-?"),
    ],
)
def test_the_name_itself_beats_patterns_and_the_longest_pattern_the_others(
    names: list[str], wanted: str, found: str
) -> None:
    assert catalog(*names).resolve(wanted).model == found


@pytest.mark.parametrize("name", ["gpt-", "gpt-44", "GPT-4", "xgpt-4", "gpt-4\n", ""])
def test_a_name_that_nothing_matches_is_not_found_and_not_repeated(name: str) -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        catalog("gpt-?").resolve(name)
    assert refused.value.param == "model"
    assert refused.value.error_code == "model_not_found"
    assert not name or name not in refused.value.message


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        ({}, DEFAULT),
        ({"soft_time_limit": 10}, Limits(10, 110, 4)),
        ({"time_limit": 200}, Limits(100, 200, 4)),
        ({"soft_time_limit": 10, "time_limit": 20, "max_attempts": 1}, Limits(10, 20, 1)),
        # a lone hard limit pulls the soft one down, a lone soft one the hard one up
        ({"time_limit": 50}, Limits(50, 50, 4)),
        ({"soft_time_limit": 500}, Limits(500, 500, 4)),
    ],
)
def test_a_models_own_limits_go_before_the_defaults(own: dict[str, float], merged: Limits) -> None:
    assert Model.model_validate({"upstream": "local", **own}).limits(DEFAULT) == merged


def test_a_right_file(tmp_path: Path) -> None:
    text = """
        [upstreams.local]
        protocol = "chat"
        base_url = "http://127.0.0.1:9/v1"
        [upstreams.far]
        protocol = "responses"
        base_url = "https://example.com/v1"
        api_key_env = "FAR_KEY"
        [models."gpt-4.1"]
        upstream = "far"
        hosted_tools = ["web_search"]
        [models."*"]
        upstream = "local"
        model = "small"
        soft_time_limit = 1.5
        time_limit = 2
        max_attempts = 1
        """
    found = load_catalog(write(tmp_path, text))
    assert found.resolve("gpt-4.1").model is None
    assert found.resolve("other").limits(DEFAULT) == Limits(1.5, 2, 1)
    assert found.upstreams["far"].api_key_env == "FAR_KEY"
    assert found.resolve("gpt-4.1").hosted_tools == ("web_search",)
    assert found.resolve("other").hosted_tools == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "upstreams: Field required; models: Field required."),
        (SERVER, "models: Field required."),
        (MODEL, "upstreams: Field required."),
        (SERVER + "[models]", "models: Dictionary should have at least 1 item"),
        ("[upstreams]\n" + MODEL, "upstreams: Dictionary should have at least 1 item"),
        (SERVER + MODEL + "[extra]", "extra: Extra inputs are not permitted."),
        (SERVER + f'api_key = "{CANARY}"\n' + MODEL, "upstreams.local.api_key: Extra inputs are not permitted."),
        (
            SERVER + f'protocol = "{CANARY}"\n' + MODEL,
            "upstreams.local.protocol: Input should be 'chat' or 'responses'.",
        ),
        ('[upstreams.local]\nprotocol = "chat"\n' + MODEL, "upstreams.local.base_url: Field required."),
        (
            f'[upstreams.local]\nbase_url = "{CANARY}"\n' + MODEL,
            "upstreams.local.base_url: Input should be a valid URL",
        ),
        ('[upstreams.local]\nbase_url = "ftp://h/v1"\n' + MODEL, "upstreams.local.base_url: URL scheme should be"),
        (SERVER + '[models.m]\nupstream = "far"', 'models."m": there is no [upstreams.far].'),
        (
            SERVER + MODEL + 'hosted_tools = ["web_search"]',
            'models."m": hosted_tools need an upstream with protocol = "responses".',
        ),
        (SERVER + MODEL + 'hosted_tools = "web_search"', "models.m.hosted_tools: Input should be a valid tuple."),
        (SERVER + "[models.m]", "models.m.upstream: Field required."),
        (SERVER + MODEL + "limit = 3", "models.m.limit: Extra inputs are not permitted."),
        (SERVER + MODEL + "model = 3", "models.m.model: Input should be a valid string."),
        (SERVER + MODEL + "time_limit = 1801", "models.m.time_limit: Input should be less than or equal to 1800."),
        (SERVER + MODEL + "time_limit = 0", "models.m.time_limit: Input should be greater than 0."),
        (SERVER + MODEL + "time_limit = nan", "models.m.time_limit: Input should be a finite number."),
        (SERVER + MODEL + "soft_time_limit = inf", "models.m.soft_time_limit: Input should be a finite number."),
        (SERVER + MODEL + f'soft_time_limit = "{CANARY}"', "models.m.soft_time_limit: Input should be a valid number"),
        (SERVER + MODEL + "max_attempts = 0", "models.m.max_attempts: Input should be greater than or equal to 1."),
        (SERVER + MODEL + "max_attempts = 101", "models.m.max_attempts: Input should be less than or equal to 100."),
        (
            SERVER + MODEL + "soft_time_limit = 20\ntime_limit = 10",
            'models."m": soft_time_limit must not exceed time_limit.',
        ),
        ("upstreams = 3\n" + MODEL, "upstreams: Input should be a valid dictionary."),
        (SERVER + MODEL + MODEL, "is not TOML: Cannot declare"),
        (SERVER + f'[models.m]\nupstream = "{CANARY}', "is not TOML: Unterminated string"),
        (b"\xff\xfe", "is not TOML: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_each_mistake_is_named_with_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in refusal(write(tmp_path, text))


def test_all_mistakes_of_a_kind_are_named_at_once(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, SERVER + MODEL + "max_attempts = 0\ntime_limit = 0"))
    assert "models.m.max_attempts" in message
    assert "models.m.time_limit" in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "can't be read: No such file or directory." in refusal(tmp_path / "none.toml")
    assert "can't be read: Is a directory." in refusal(tmp_path)


def test_keys_that_are_not_set_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = SERVER + 'api_key_env = "ONE_KEY"\n' + SERVER.replace("local", "far") + 'api_key_env = "TWO_KEY"\n'
    found = load_catalog(write(tmp_path, two + MODEL))
    monkeypatch.delenv("ONE_KEY", raising=False)
    monkeypatch.setenv("TWO_KEY", "")
    assert found.missing_keys() == ["ONE_KEY", "TWO_KEY"]
    monkeypatch.setenv("ONE_KEY", "k")
    assert found.missing_keys() == ["TWO_KEY"]
