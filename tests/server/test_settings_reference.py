"""The reference of settings says what the code says."""

from pathlib import Path

from rightfit_server.settings import SettingRow, settings_table

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def line(row: SettingRow) -> str:
    default = "" if row.default in ("", None) else f"`{row.default}`"
    return f"| `{row.environment_name}` | `{row.flag}` | {row.type_name} | {default} | {row.documentation} |"


def test_every_setting_stands_in_the_reference_as_it_is() -> None:
    documented = [
        text for text in REFERENCE.read_text(encoding="utf-8").splitlines() if text.startswith("| `")
    ]
    assert documented == [line(row) for row in settings_table()]
