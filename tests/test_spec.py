"""Records refuse what is wrong, in one line that says where and what to do."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pydantic
import pytest

from ohmfield.spec import InputError, build, family, knob, read_yaml, spec, to_plain, walk


class Cell:
    pass


@spec
class Ideal(Cell):
    kind = "ideal"
    bits: int = knob("both", 2, ge=1, le=4)


CELLS: dict[str, type] = {"ideal": Ideal}


@spec
class Array:
    rows: int = knob("both", ge=1, le=4096)
    read_ns: float = knob("cost", 10.0, gt=0)
    cell: family(Cell, CELLS) = Ideal()


@spec
class Board:
    arrays: dict[str, Array]
    main: Array


def fault(cls: type, fields: object, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        build(cls, fields, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_builds_and_goes_back_to_plain_data() -> None:
    plain = {"rows": 64, "read_ns": 5.0, "cell": {"kind": "ideal", "bits": 1}}
    array = build(Array, plain)
    assert array == Array(rows=64, read_ns=5.0, cell=Ideal(bits=1))
    assert to_plain(array) == plain
    assert build(Array, to_plain(array)) == array


def test_unknown_key_is_named() -> None:
    message = fault(Array, {"rows": 64, "colums": 3})
    assert message.startswith("colums:")
    assert "not a known key" in message


def test_missing_key_is_named() -> None:
    assert fault(Array, {"read_ns": 1.0}) == "rows: is missing"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_a_finite_number(value: float) -> None:
    message = fault(Array, {"rows": 64, "read_ns": value})
    assert message.startswith("read_ns:")
    assert "finite" in message


def test_dotted_path_value_and_range() -> None:
    good = {"rows": 1}
    message = fault(Board, {"main": good, "arrays": {"left": {"rows": 0}}}, where="board.yaml")
    assert message.startswith("board.yaml: arrays.left.rows: 0 is not allowed")
    assert "greater than or equal to 1" in message


def test_fault_inside_a_family_member_says_what_is_allowed() -> None:
    message = fault(Array, {"rows": 1, "cell": {"kind": "ideal", "bits": 9}})
    assert message.startswith("cell")
    assert "bits" in message
    assert "less than or equal to 4" in message


def test_several_faults_are_counted() -> None:
    assert fault(Array, {"rows": 0, "read_ns": -1.0}).endswith("(and 1 more)")


def test_unknown_kind_lists_the_known() -> None:
    message = fault(Array, {"rows": 1, "cell": {"kind": "rom"}})
    assert "'rom'" in message
    assert "known kinds: ideal" in message


def test_missing_kind_lists_the_known() -> None:
    assert "known kinds: ideal" in fault(Array, {"rows": 1, "cell": {"bits": 1}})


def test_a_users_own_member_needs_no_edit_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    @spec
    class Mine(Cell):
        kind = "mine"
        levels: int = knob("both", 3, ge=2)

    assert "known kinds: ideal" in fault(Array, {"rows": 1, "cell": {"kind": "mine"}})
    monkeypatch.setitem(CELLS, "mine", Mine)
    assert build(Array, {"rows": 1, "cell": {"kind": "mine", "levels": 4}}).cell == Mine(levels=4)
    assert Array(rows=1, cell=Mine()).cell == Mine(levels=3)


def test_wrong_class_for_a_family() -> None:
    assert fault(Array, {"rows": 1, "cell": 7}).startswith("cell")


def test_replace_validates_again() -> None:
    array = Array(rows=64)
    assert dataclasses.replace(array, rows=128).rows == 128
    with pytest.raises(pydantic.ValidationError):
        dataclasses.replace(array, rows=-3)
    with pytest.raises((pydantic.ValidationError, TypeError)):
        dataclasses.replace(array, colums=3)  # pyright: ignore[reportCallIssue]


def test_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Array(rows=64).rows = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises((pydantic.ValidationError, TypeError)):
        Array(64)  # pyright: ignore[reportCallIssue]


def test_walk_names_each_leaf() -> None:
    board = Board(main=Array(rows=1), arrays={"left": Array(rows=2)})
    leaves = {path: value for path, value, _ in walk(board)}
    assert leaves == {
        "main.rows": 1,
        "main.read_ns": 10.0,
        "main.cell.bits": 2,
        "arrays.left.rows": 2,
        "arrays.left.read_ns": 10.0,
        "arrays.left.cell.bits": 2,
    }


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_holds_data(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path / "a.yaml", "rows: 64\ncell: {kind: ideal}\n")) == {
        "rows": 64,
        "cell": {"kind": "ideal"},
    }


def test_yaml_python_tag_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = write(tmp_path / "evil.yaml", f"name: x\nrows: !!python/object/apply:pathlib.Path.mkdir [{trap}]\n")
    with pytest.raises(InputError, match=r"evil\.yaml, line 2: not valid YAML data"):
        read_yaml(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    "text",
    [
        "rows: [1, 2\n",
        "- 1\n- 2\n",
        "",
        "rows: 1\n\trows: 2\n",
        "rows: 2024-13-45\n",
        "rows: " + "9" * 5000,
        "rows: " + "[" * 3000 + "]" * 3000,
        "rows: !!bool x\n",
        "rows: !!timestamp x\n",
        "rows: " + "1:" * 200 + "1.5\n",
    ],
    ids=range(10),
)
def test_yaml_that_is_not_a_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_yaml(write(tmp_path / "bad.yaml", text))
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "noise.yaml").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path / "noise.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path)
