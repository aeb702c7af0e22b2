"""What holds for the repository as a whole: file sizes, what may not stand in it, and that its own words are true."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

import ohmfield
from ball import write_photographs

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_LINES = 400

# Spelt in pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:wor" + r"k|ro" + r"ot|ho" + r"me/\w+|Use" + r"rs/\w+)/"),
    "a package registry's address": re.compile(r"(?:py" + r"pi|pytho" + r"nhosted|npmj" + r"s)\.(?:org|com)"),
    "an index option": re.compile(r"--(?:extra-)?inde" + r"x-url|--find-li" + r"nks"),
    "a note to self": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b"),
}
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cff", ".json", ".html", ".js", ".css", ".svg", ""}
LEFT_OUT = {".git", ".venv", "site", "demo", "runs", "build", "dist"}


def repository_files() -> list[Path]:
    """Files git tracks; without git (a source archive), every file that is not a build output."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        files = [path for path in ROOT.rglob("*") if not LEFT_OUT & set(path.relative_to(ROOT).parts)]
    return [path for path in files if path.is_file() and path.suffix in TEXT and path.name != "LICENSE"]


def test_no_file_is_too_long() -> None:
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert not long, f"look for the second idea in these: {long}"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_of_one_machine_stands_in_the_repository(what: str) -> None:
    found = []
    for path in repository_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if FORBIDDEN[what].search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, f"{what}:\n" + "\n".join(found)


def test_changelog_has_numbers_for_every_version() -> None:
    sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    assert sections
    for section in sections:
        assert "### Numbers" in section, section.splitlines()[0]


def test_version_is_said_once_and_cited_the_same() -> None:
    assert f"version: {ohmfield.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_dependency_is_pinned_in_constraints() -> None:
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in asked}
    assert names <= pinned


def test_the_package_imports_only_what_it_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in declared}
    modules = {"pyyaml": "yaml", "pillow": "PIL", "scikit-image": "skimage"}
    allowed = {modules.get(name, name) for name in names} | {"ohmfield", *sys.stdlib_module_names}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                found = [node.module or ""]
            foreign = {name.split(".")[0] for name in found} - allowed
            assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}: declare it in pyproject.toml"


def test_data_files_travel_with_the_package() -> None:
    package = ROOT / "src" / "ohmfield"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["ohmfield"]
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    data = {path for path in repository_files() if package in path.parents and path.suffix != ".py"}
    assert data <= shipped, f"add to package-data: {sorted(map(str, data - shipped))}"


def test_importing_the_package_is_quick() -> None:
    # Commands like `--help` must not wait for torch; whoever asks for a field or a signal pays for it then.
    code = "import sys, ohmfield; print(*{'torch', 'numba', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert not done.stdout.strip(), f"`import ohmfield` loads {done.stdout}"


# ---- the README says what is true ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block of the README; `slow` when `<!-- test: slow -->` stands above it."""

    line: int
    language: str
    text: str
    slow: bool


def blocks(text: str) -> list[Block]:
    pattern = r"(?P<slow><!-- test: slow -->\n)?^```(?P<language>bash|python)\n(?P<text>.*?)^```$"
    return [
        Block(text[: m.start()].count("\n") + 1, m["language"], m["text"], m["slow"] is not None)
        for m in re.finditer(pattern, text, flags=re.MULTILINE | re.DOTALL)
    ]


README = blocks((ROOT / "README.md").read_text())
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
# Installing and cloning need a network; CI's clean clone is their test.
NOT_RUN = {"pip", "git", "cd"}


def run_line(line: str, folder: Path) -> None:
    words = shlex.split(line, comments=True)
    if not words or words[0] in NOT_RUN:
        return
    if words[0] == "make":
        assert {w for w in words[1:] if "=" not in w} <= TARGETS, f"no such target: {line}"
        return
    assert words[0] == "ohmfield", f"a command this test does not know: {line}"
    done = subprocess.run(
        [sys.executable, "-m", "ohmfield", *words[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    "block",
    [pytest.param(b, id=f"line{b.line}-{b.language}", marks=[pytest.mark.slow] if b.slow else []) for b in README],
)
def test_readme_block_runs(block: Block, tmp_path: Path) -> None:
    if "photos/" in block.text:
        write_photographs(tmp_path / "photos" / "chair", 8, 200)
    if block.language == "bash":
        for line in block.text.replace("\\\n", " ").splitlines():
            run_line(line, tmp_path)
        return
    done = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_readme_names_folders_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Where things live") : text.index("## Citing")]
    folders = " ".join(re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE))
    names = re.findall(r"`(\w+)`", folders)
    package = ROOT / "src" / "ohmfield"
    missing = [n for n in names if not (package / n).is_dir() and not (package / f"{n}.py").is_file()]
    assert len(names) > 10
    assert not missing
