"""Settings: one table for all, errors that name what to change, secrets that no log shows."""

import json

import pytest
import structlog

from rightfit_server.settings import Settings, SettingsError, read_settings, settings_table, signing_keys
from rightfit_server.telemetry import HIDDEN, configure_logging, hide_secrets


def test_every_setting_has_a_flag_an_environment_name_and_a_sentence() -> None:
    rows = settings_table()
    assert {row.name for row in rows} == set(Settings.__struct_fields__)
    for row in rows:
        assert row.environment_name == f"RIGHTFIT_{row.name.upper()}"
        assert row.flag == "--" + row.name.replace("_", "-")
        assert row.documentation.endswith(".")
    secret = {row.name for row in rows if row.is_secret}
    assert secret == {row.name for row in rows if row.name.endswith("_url") or row.name == "signing_keys"}


def test_a_flag_goes_before_the_environment_and_that_before_the_default() -> None:
    environment = {"RIGHTFIT_PORT": "9000", "RIGHTFIT_HOST": "", "HOME": "/"}
    assert read_settings(environment).port == 9000
    assert read_settings(environment, {"port": 9001, "host": None}).port == 9001
    assert read_settings(environment).host == Settings().host


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "many"), ("PORT", "70000"), ("WAIT_SECONDS_MAX", "56"), ("POLL_SECONDS", "0")],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"RIGHTFIT_{name} \\(--"):
        read_settings({f"RIGHTFIT_{name}": value})


def test_signing_keys_are_long_and_the_first_signs() -> None:
    assert list(signing_keys("b=" + "ab" * 32 + ", a=" + "cd" * 40)) == ["b", "a"]
    for wrong in ("", " , ", "a=abcd", "=" + "ab" * 32, "a=" + "xy" * 32, "ab" * 32):
        with pytest.raises(SettingsError, match="SIGNING_KEYS"):
            signing_keys(wrong)


def test_secrets_do_not_reach_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    names = ("authorization", "token", "database_url", "signing_keys", "Set-Cookie", "password")
    structlog.get_logger().info("hello", **dict.fromkeys(names, "s3cret"), path="/v1/sync")
    structlog.get_logger().debug("not this")
    line = json.loads(capsys.readouterr().err)
    assert "s3cret" not in line.values()
    assert (line["event"], line["path"], line["level"]) == ("hello", "/v1/sync", "info")
    assert hide_secrets(None, "info", {"token": 1}) == {"token": HIDDEN}
