"""A user's own messages are taken as they are, or refused with the line: demo/messages.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import messages


def write(folder: Path, content: str | bytes) -> Path:
    file = folder / "own.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    content = '\ufeffchannel,id,text\r\nweb,7,"Hello, ""world""\nsecond line"\r\n\r\napp,8,\r\n'
    found = messages.read(write(tmp_path, content))
    assert found.rows == (("7", 'Hello, "world"\nsecond line'), ("8", ""))


@pytest.mark.parametrize(
    ("keys", "integers"),
    [
        ("1 2 -3 0", True),
        ("1 2 three", False),
        ("7 007", False),  # equal as numbers, different as texts
        ("1 99999999999999999999", False),  # no bigint
        ("1 +2", False),
        ("1 ２", False),
    ],
)
def test_keys_are_numbers_only_if_all_are(tmp_path: Path, keys: str, integers: bool) -> None:
    lines = "".join(f"{key},x\n" for key in keys.split())
    assert messages.read(write(tmp_path, "id,text\n" + lines)).integer_keys is integers


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,body\n1,a\n", "line 1: no column text, found id, body. The first line must name"),
        ("", "line 1: no column id and text, found nothing"),
        ("id,text\n", "has no messages"),
        ("id,text\n1,a\n2,b\n1,c\n", "line 4: id '1' was used in line 2 already"),
        ('id,text\n1,"a\nb"\n1,c\n', "line 4: id '1' was used in line 2 already"),
        ("id,text\n1,a\n,b\n", "line 3: the id is empty"),
        ("id,text\n1,a, b\n", "line 2: 3 values for 2 columns"),
        ("id,text\n1\n", "line 2: 1 values for 2 columns"),
        ("id,text\n1,a\0b\n", "line 2: a NUL character"),
        ('id,text\n1,"a\n', "unexpected end of data"),
        ("id,text\n1,가\n2,나\n".encode("cp949"), "line 2: byte 0xb0 is not UTF-8. Save the file"),
    ],
)
def test_what_cannot_be_used_names_the_line_and_the_way_out(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(messages.MessagesError) as caught:
        messages.read(write(tmp_path, content))
    assert said in str(caught.value)
    assert "own.csv" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(messages.MessagesError, match=r"none\.csv cannot be read: No such file"):
        messages.read(tmp_path / "none.csv")


def test_a_long_text_is_kept(tmp_path: Path) -> None:
    assert messages.read(write(tmp_path, "id,text\n1," + "x" * 200_000 + "\n")).rows[0][1] == "x" * 200_000
