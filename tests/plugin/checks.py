"""What the validators of skills don't notice (they pass a skill with a dangling link or a flag that doesn't exist).

Each function returns what is wrong as sentences, so that one run tells everything; test_skills.py shows for each that
it can find something.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import yaml

from launcher import commands, jobs, suite

ROOT = Path(__file__).resolve().parents[2]
SPEC_KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
MAX_LINES, MAX_TOKENS = 300, 4000
CALL = 'python3 "${CLAUDE_PLUGIN_ROOT}/scripts/run.py"'
# Programs of others whose flags are not ours to check.
FOREIGN = {"claude", "convmv", "python", "python3", "synapse"}
# Scripts that a job folder holds; they are made by rendering.
RENDERED = {"upload", "export"}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)")
_MENTIONED = re.compile(r"`(?P<path>(?:references|assets|scripts)/[\w./-]+)`")
_SCRIPT = re.compile(r"\brun\.py\"?\s+(?P<name>[a-z][\w-]*)")
_FILE = re.compile(r"(?<![\w/])(?P<name>[a-z_]+)\.py\b")
_FLAG = re.compile(r"^--[a-z][a-z-]*")
_INLINE = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")


def skills(root: Path) -> list[Path]:
    """The folders of skills, also one whose SKILL.md is missing."""
    folder = root / "skills"
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def check_all(root: Path) -> list[str]:
    """Every skill of a plugin; none at all is wrong too."""
    found = skills(root)
    if not found:
        return ["no skill found under skills/"]
    return [f"{folder.name}: {problem}" for folder in found for problem in check_skill(folder)]


def check_skill(folder: Path) -> list[str]:
    """One skill: its head, its size, and everything that its pages point at."""
    page = folder / "SKILL.md"
    if not page.is_file():
        return ["no SKILL.md"]
    head, body = split(page.read_text(encoding="utf-8"))
    problems = [*check_head(head, folder.name), *check_body(body)]
    for path in sorted(folder.rglob("*.md")):
        text = split(path.read_text(encoding="utf-8"))[1]
        name = path.relative_to(folder).as_posix()
        found = [*check_links(text, path, folder), *check_scripts(text), *check_blocks(text), *check_inline(text)]
        if (
            path != page
            and text.count("\n") > 300
            and not re.search(r"^#+ contents", text, re.IGNORECASE | re.MULTILINE)
        ):
            found.append("more than 300 lines and no table of contents")
        problems += [f"{name}: {problem}" for problem in found]
    return problems


def split(text: str) -> tuple[str, str]:
    """Frontmatter and body."""
    match = re.match(r"\A---\n(.*?)^---\n?(.*)\Z", text, re.DOTALL | re.MULTILINE)
    return (match.group(1), match.group(2)) if match else ("", text)


def check_head(head: str, folder: str) -> list[str]:
    """Only what the specification knows, and a description that tells when."""
    try:
        fields = yaml.safe_load(head)
    except yaml.YAMLError as error:
        return [f"frontmatter is not YAML: {error}"]
    if not isinstance(fields, dict):
        return ["no frontmatter"]
    problems = [f"unknown frontmatter key: {key}" for key in sorted(set(fields) - SPEC_KEYS)]
    name, description = str(fields.get("name") or ""), str(fields.get("description") or "")
    if name != folder:
        problems.append(f"name is {name!r}, its folder {folder!r}")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 64:
        problems.append(f"name {name!r} is not made of lower case letters, digits and single hyphens")
    if not description.strip():
        problems.append("no description")
    elif not re.search(r"\bwhen\b", description, re.IGNORECASE):
        problems.append("the description doesn't say when to use it")
    if len(description) > 1024:
        problems.append(f"the description has {len(description)} characters; at most 1024")
    if "<" in description or ">" in description:
        problems.append("the description holds < or >")
    if not isinstance(fields.get("allowed-tools", ""), str):
        problems.append("allowed-tools is not a string")
    if len(str(fields.get("compatibility") or "")) > 500:
        problems.append("compatibility has more than 500 characters")
    return problems


def check_body(body: str) -> list[str]:
    """Short enough to be read whole, every time."""
    problems = []
    if not body.strip():
        problems.append("the body is empty")
    if body.count("\n") >= MAX_LINES:
        problems.append(f"the body has {body.count(chr(10))} lines; fewer than {MAX_LINES}")
    if tokens(body) >= MAX_TOKENS:
        problems.append(f"the body has about {tokens(body)} tokens; fewer than {MAX_TOKENS}")
    if re.search(r"(^|\s)!`", body, re.MULTILINE):
        problems.append("!`command`: if it fails the whole skill does; let the agent run it")
    return problems


def tokens(text: str) -> int:
    """About how many: four plain characters make one, a Korean syllable is one."""
    plain = sum(char.isascii() for char in text)
    return plain // 4 + len(text) - plain


def check_links(text: str, path: Path, folder: Path) -> list[str]:
    """Relative links and mentioned files exist, inside the skill."""
    prose = _FENCE.sub("", text)
    targets = [(match.group("target"), path.parent) for match in _LINK.finditer(prose)]
    targets += [(match.group("path"), folder) for match in _MENTIONED.finditer(prose)]
    problems = []
    for target, base in targets:
        bare = target.split("#")[0]
        if not bare or re.match(r"[a-z][a-z+.-]*:", bare):
            continue
        place = (base / bare).resolve()
        if not place.is_relative_to(folder.resolve()):
            problems.append(f"link out of the skill: {target}")
        elif not place.exists():
            problems.append(f"dangling link: {target}")
    return problems


def check_scripts(text: str) -> list[str]:
    """What is called through run.py exists, and so does every script that is named."""
    known = {*commands.scripts(), *commands.COMMANDS}
    called = {match.group("name") for match in _SCRIPT.finditer(text)}
    files = {match.group("name") for match in _FILE.finditer(text)} - RENDERED - {"run"}
    problems = [f"run.py {name}: there is no such script" for name in sorted(called - known)]
    problems += [f"{name}.py: there is no such script" for name in sorted(files - set(commands.scripts()))]
    return problems


def check_blocks(text: str) -> list[str]:
    """Every bash block parses, calls run.py in the one form, with flags that exist."""
    problems = []
    for match in _FENCE.finditer(text):
        if match.group("language") not in ("bash", "sh", "shell", "console"):
            continue
        code = re.sub(f"^{match.group('indent')}", "", match.group("code"), flags=re.MULTILINE)
        if wrong := parses(code):
            problems.append(f"bash can't parse a block: {wrong}")
            continue
        if code.count("run.py") != code.count(CALL):
            problems.append(f"run.py is called otherwise than by {CALL}")
        if re.search(r"\\\n", code):
            problems.append("a call over two lines: Claude Code asks the user about it")
        problems += [problem for words in calls(code) for problem in check_flags(words)]
    return problems


def parses(code: str) -> str:
    """What bash has against a block; nothing if it parses."""
    parsed = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
    return parsed.stderr.strip() or ("bash -n failed" if parsed.returncode else "")


def check_inline(text: str) -> list[str]:
    """Flags in `code` between words: those of the script that is named beside them, else those of any."""
    problems = []
    for match in _INLINE.finditer(_FENCE.sub("", text)):
        words = match.group("code").replace("…", " ").split()
        words = words[1:] if words and words[0] == "run.py" else words
        if not words or words[0] in FOREIGN:
            continue
        flags = {flag.group() for word in words if (flag := _FLAG.match(word))} - {"--help", "--json"}
        if flags and words[0] in {*commands.scripts(), *commands.COMMANDS}:
            problems += check_flags(words)
        else:
            problems += [f"no script has {flag}" for flag in sorted(flags - all_flags())]
    return problems


@functools.cache
def all_flags() -> frozenset[str]:
    """Every flag of every script and command."""
    shown = "".join(help_of(name) for name in [*commands.scripts(), *commands.COMMANDS])
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown))


def calls(code: str) -> Iterator[list[str]]:
    """The words after `run.py`, of every command in a block."""
    # The separator stands on a line of its own: a comment swallows the rest of its line.
    lexer = shlex.shlex(code.replace("\\\n", " ").replace("\n", "\n;\n"), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, ";"]:
        if token and set(token) <= set("();<>|&"):
            starts = [index for index, word in enumerate(words) if word.endswith("run.py")]
            if starts:
                yield words[starts[0] + 1 :]
            words = []
        else:
            words.append(token)


def check_flags(words: list[str]) -> list[str]:
    """Every --flag of one call is in the help of what it calls."""
    if not words or words[0] not in {*commands.scripts(), *commands.COMMANDS}:
        return []  # check_scripts says so
    subcommand = words[1] if len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) else ""
    shown = help_of(words[0], subcommand)
    flags = {match.group() for word in words[1:] if (match := _FLAG.match(word))} - {"--help"}
    return [
        f"{words[0]} has no {flag}" for flag in sorted(flags) if not re.search(rf"(?<![\w-]){flag}(?![\w-])", shown)
    ]


@functools.cache
def help_of(script: str, subcommand: str = "") -> str:
    """The help text of a script or command, with that of a subcommand if it has one."""
    if script == "job":
        return jobs.help_text()
    if script in commands.COMMANDS:
        return suite.parser().format_help()
    # In this process: eighteen starts of Python would take most of a test's time.
    main = importlib.import_module(script).main
    shown = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS="200"), contextlib.redirect_stdout(shown):
        for arguments in ([], [subcommand] if subcommand else None):
            # Of a word that is no subcommand the parser complains, and shows no more than the help above.
            if arguments is not None:
                with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                    main([*arguments, "--help"])
    return shown.getvalue()
