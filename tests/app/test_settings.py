"""Settings from files, the password of the database, and the names of variables that nothing reads."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsError
from sqlalchemy import make_url

from app.setting_names import unknown_variables
from app.settings import Settings

ADDRESS = "postgresql+psycopg://forecastle@postgres:5432/forecastle"
PASSWORD = "@:/%$ Ünder"  # characters that a URL must escape


@pytest.fixture(name="secret")
def secret_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File with the password, which the environment names."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    monkeypatch.setenv("FORECASTLE_DATABASE_PASSWORD_FILE", str(file))
    monkeypatch.setenv("FORECASTLE_DATABASE_URL", ADDRESS)
    return file


def test_a_password_in_a_file_reaches_the_address_with_every_character(secret: Path) -> None:
    assert make_url(Settings().url) == make_url(ADDRESS).set(password=PASSWORD)


def test_a_password_is_shown_nowhere(secret: Path) -> None:
    settings = Settings()
    assert "Ünder" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


def test_only_the_last_line_break_of_a_file_is_left_out(secret: Path) -> None:
    secret.write_text(" two lines \nof a password\n\n")
    assert make_url(Settings().url).password == " two lines \nof a password\n"


def test_without_a_password_the_address_stays_as_it_is() -> None:
    assert Settings(database_url=ADDRESS).url == ADDRESS


def test_any_setting_may_be_in_a_file_and_is_checked_as_any_other(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("forecastle_port_file", str(secret))
    secret.write_text("8123\n")
    assert Settings().port == 8123
    secret.write_text("eight\n")
    with pytest.raises(ValueError, match=r"port\n.*valid integer"):
        Settings()


def test_a_setting_that_is_given_twice_is_refused(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECASTLE_DATABASE_PASSWORD", PASSWORD)
    with pytest.raises(SettingsError, match=r"PASSWORD_FILE: FORECASTLE_DATABASE_PASSWORD is set too; unset one"):
        Settings()


@pytest.mark.parametrize("url", [None, "postgresql://host/name", "postgresql://user:other@host/name"])
def test_a_password_without_a_user_or_beside_another_password_is_refused(url: str | None) -> None:
    with pytest.raises(ValueError, match=r"DATABASE_URL must name a user and no password") as caught:
        Settings(database_url=url, database_password=SecretStr(PASSWORD))
    assert "Ünder" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["absent", "not text"])
def test_a_file_that_cannot_be_read_is_named(secret: Path, content: bytes | None) -> None:
    secret.unlink()
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^FORECASTLE_DATABASE_PASSWORD_FILE: .*; name a text file"):
        Settings()


def test_the_file_of_a_setting_that_does_not_exist_is_unknown() -> None:
    known, unknown = "FORECASTLE_DATABASE_URL_FILE", "FORECASTLE_DATABASE_KEY_FILE"
    [message] = unknown_variables([known, unknown])
    assert message.startswith(f"{unknown}: no such setting")
