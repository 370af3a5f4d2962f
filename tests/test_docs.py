"""The documentation says what is so: its code runs, its tables agree with the source, its links lead somewhere.

    .venv/bin/python tests/test_docs.py

writes the tables anew that are generated.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

import centtrack
import centtrack.capture.bots
import centtrack.consent
import centtrack.errors
import centtrack.frameworks
import centtrack.monitoring
import centtrack.scrub.text
import centtrack.sinks
import centtrack.testing
from asgi import serve
from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.cli.output import COULD_NOT_RUN, FINDING, WRONG_USE
from centtrack.event import COLUMNS
from centtrack.monitoring import labels
from centtrack.monitoring.otel import INSTRUMENTS
from centtrack.policy.limits import LEVELS, LIMIT_NAMES
from centtrack.policy.model import Banner, Document
from centtrack.policy.policy import PROFILES
from centtrack.policy.template import write_template
from centtrack.schema.markdown import write_catalogue
from centtrack.testing import make_scope

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages, of all pages."""
    return [
        Block(page, text[: match.start()].count("\n") + 1, match[1], match[2])
        for page in NAMES
        for text in [read(page)]
        for match in _FENCE.finditer(text)
        if match[1] in languages
    ]


def prose(page: str) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", read(page))


def table_rows(text: str) -> list[list[str]]:
    """Cells of all tables in a text, without headers."""
    rows = []
    for table in re.findall(r"^\|.*\n\|[-|]+\|\n((?:\|.*\n?)*)", text, re.MULTILINE):
        rows += [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    return rows


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


# Tables that are generated.


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines).replace("| --- ", "|---").replace("--- |", "---|")


def catalogue() -> str:
    return write_catalogue({name: kind.labels() for name, kind in LEVELS.items()})


def levels_table() -> str:
    rows = ((f"`{name}`", ", ".join(f"`{label}`" for label in kind.labels())) for name, kind in LEVELS.items())
    return _table(("limit", "levels, coarse to fine"), rows)


def _in_profile(profile: str, limit: str) -> str:
    policy = PrivacyPolicy.profile(profile)
    levels = [getattr(policy.limits(consented=consented), limit).label for consented in (False, True)]
    return " / ".join(dict.fromkeys(levels))


def profiles_table() -> str:
    rows = [[f"`{limit}`", *(_in_profile(profile, limit) for profile in PROFILES)] for limit in LIMIT_NAMES]
    floors = [f"{PrivacyPolicy.profile(profile).document.geo.min_population:,}" for profile in PROFILES]
    return _table(("", *(f"`{profile}`" for profile in PROFILES)), [*rows, ["`min_population`", *floors]])


def reasons_table() -> str:
    """`bot_reason`, with the comment beside each in the source."""
    source = inspect.getsource(centtrack.capture.bots)
    listed = re.findall(r'^    "(\w+)",  # (.+)$', source, re.MULTILINE)
    assert [name for name, _ in listed] == list(get_args(centtrack.capture.bots.Reason))
    return _table(("reason", ""), ((f"`{name}`", comment) for name, comment in listed))


def purposes_table() -> str:
    purposes = centtrack.capture.bots.known_bots().purposes
    return _table(("purpose", "it"), ((f"`{name}`", text) for name, text in purposes.items()))


def kinds_list() -> str:
    return ", ".join(f"`{kind}`" for kind in centtrack.scrub.text.KINDS) + ".\n"


def drops_table() -> str:
    return _reasons("dropped", labels.DROPPED)


def losses_table() -> str:
    return _reasons("lost", labels.LOST)


def withheld_table() -> str:
    return _reasons("withheld", labels.WITHHELD)


def _reasons(what: str, meanings: Mapping[str, str]) -> str:
    return _table((f"{what}: `reason`", ""), ((f"`{reason}`", text) for reason, text in meanings.items()))


def instruments_table() -> str:
    rows = ((f"`{one.name}`", one.kind, f"`{one.unit}`", one.about) for one in INSTRUMENTS)
    return _table(("instrument", "", "unit", ""), rows)


GENERATED = {
    ("docs/capture.md", "reasons"): reasons_table,
    ("docs/capture.md", "purposes"): purposes_table,
    ("docs/capture.md", "kinds"): kinds_list,
    ("docs/events.md", "columns"): catalogue,
    ("docs/monitoring.md", "drops"): drops_table,
    ("docs/monitoring.md", "losses"): losses_table,
    ("docs/monitoring.md", "withheld"): withheld_table,
    ("docs/monitoring.md", "instruments"): instruments_table,
    ("docs/privacy-policy.md", "levels"): levels_table,
    ("docs/privacy-policy.md", "profiles"): profiles_table,
}


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name}: begin -->\n).*?(?=<!-- {name}: end -->)", re.DOTALL)


def write_tables() -> None:
    for (page, name), make in GENERATED.items():
        before, _, rest = read(page).partition(f"<!-- {name}: begin -->\n")
        after = rest[rest.index(f"<!-- {name}: end -->") :]
        text = f"{before}<!-- {name}: begin -->\n\n{make()}\n{after}"
        (ROOT / page).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("page", "name"), GENERATED)
def test_generated_tables_are_current(page, name):
    [found] = _between(name).findall(read(page))
    assert found.strip() == GENERATED[page, name]().strip(), "run `.venv/bin/python tests/test_docs.py`"


# Code.


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles(block):
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


APPS = [block for block in blocks("python") if "\napp.add_middleware(TelemetryMiddleware" in block.text]
WRAPPED = [
    block
    for block in blocks("python")
    if block.page == "docs/frameworks.md" and "def " in block.text and "TelemetryMiddleware(" in block.text
]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("block", APPS, ids=str)
def test_apps_run(block, tmp_path, monkeypatch):
    """The short examples answer, and their lake has an event, under a policy as `centtrack init` writes it."""
    from deltalake import DeltaTable
    from starlette.testclient import TestClient

    monkeypatch.chdir(tmp_path)
    Path("privacy.toml").write_text(write_template("gdpr"))
    module: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec", dont_inherit=True), module)
    with TestClient(module["app"]) as client:
        assert client.get("/").status_code == 200
    [event] = DeltaTable("telemetry").to_pyarrow_table().to_pylist()
    assert (event["route"], event["status"]) == ("/", 200)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("block", WRAPPED, ids=str)
def test_wrapped_apps_run(block, tmp_path, monkeypatch):
    """The examples of frameworks that are wrapped by hand: as above, the route is known."""
    from deltalake import DeltaTable

    monkeypatch.chdir(tmp_path)
    Path("privacy.toml").write_text(write_template("gdpr"))
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(block.text, str(block), "exec", dont_inherit=True), module)
    app = module.get("application") or module["app"].asgi_app
    assert serve(app, make_scope("/"), {"type": "http.request", "body": b""})[0]["status"] == 200
    app.pipeline.close()
    [event] = DeltaTable("telemetry").to_pyarrow_table().to_pylist()
    assert (event["route"], event["status"]) == ("/", 200)


def test_readme_has_an_example_for_each_framework():
    readme = [block.text for block in APPS if block.page == "README.md"]
    assert ["from starlette" in text for text in readme] == [True, False]
    assert ["from fastapi" in text for text in readme] == [False, True]


def test_documented_test_passes(tmp_path):
    """The test in docs/testing.md is a test, and passes."""
    [block] = [block for block in blocks("python") if "def test_home_is_counted" in block.text]
    module: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec", dont_inherit=True), module)
    module["test_home_is_counted"](tmp_path)


def test_documented_sink_keeps_the_contract(tmp_path):
    """The sink in docs/own-sinks.md, with the test class below it."""
    parts = [
        block.text for block in blocks("python") if block.page == "docs/own-sinks.md" and "SqliteSink" in block.text
    ]
    module: dict[str, Any] = {"__name__": "documented_sink"}
    exec(compile("\n".join(parts), "docs/own-sinks.md", "exec", dont_inherit=True), module)
    contract = module["TestSqliteSink"]
    tests = [name for name in dir(contract) if name.startswith("test_")]
    assert len(tests) > 3
    for name in tests:
        folder = tmp_path / name
        folder.mkdir()
        getattr(contract(), name)(folder)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_right(block):
    tomllib.loads(block.text)
    if block.page == "docs/privacy-policy.md":
        PrivacyPolicy.parse(block.text)


# The command line.


def commands() -> dict[str, Any]:
    """`policy check` → the command. The empty name is `centtrack` itself."""
    import typer

    from centtrack.cli.app import app

    found: dict[str, Any] = {}

    def walk(name: str, command: Any) -> None:
        children = getattr(command, "commands", {})
        if not children or command.params:
            found[name] = command
        for child, one in children.items():
            walk(f"{name} {child}".strip(), one)

    walk("", typer.main.get_command(app))
    return found


def parameters(command: Any) -> set[str]:
    """Options as they are written, arguments in capitals. Without --help, which all have."""
    options = {name for one in command.params if one.param_type_name == "option" for name in one.opts}
    return (options | {one.name.upper() for one in command.params if one.param_type_name == "argument"}) - {"--help"}


COMMANDS = commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_documented(name):
    """Each command, each option and argument, and no others; with their defaults."""
    rows = table_rows(section(read("docs/cli.md"), f"`centtrack {name}`".replace(" `", "`")))
    documented = {word for row in rows for word in _CODE.findall(row[0])}
    assert documented == parameters(COMMANDS[name])
    for row in rows:
        [one] = [one for one in COMMANDS[name].params if {*one.opts, one.name.upper()} & set(_CODE.findall(row[0]))]
        default = getattr(one.default, "value", one.default)
        has_none = default is None or default is False or default == []
        shown = "required" if one.required else "" if has_none else f"`{default}`"
        assert row[1] == shown, row


def test_no_other_command_is_documented():
    documented = re.findall(r"^## `centtrack ?(.*)`$", read("docs/cli.md"), re.MULTILINE)
    assert sorted(documented) == sorted(COMMANDS)
    in_readme = _CODE.findall("".join(row[0] for row in table_rows(section(read("README.md"), "The command line"))))
    assert sorted(in_readme) == sorted(f"centtrack {name}" for name in COMMANDS if name)


def test_exit_codes():
    codes = [row[0] for row in table_rows(read("docs/cli.md"))[:4]]
    assert codes == ["0", *map(str, (FINDING, WRONG_USE, COULD_NOT_RUN))]


def invocations() -> Iterator[tuple[str, str]]:
    """Where `centtrack …` stands in shell blocks and in the text, and the line."""
    for block in blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip().startswith("centtrack"):
                yield str(block), line.partition(" #")[0].strip()
    for page in NAMES:
        for code in _CODE.findall(prose(page)):
            if code.startswith("centtrack "):
                yield page, code


@pytest.mark.parametrize(("place", "line"), sorted(set(invocations())))
def test_invocation_is_possible(place, line):
    words = shlex.split(line.partition(" | ")[0])[1:]
    groups = {name.rpartition(" ")[0] for name in COMMANDS}
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    if name in groups:
        return  # a group as such, as in `centtrack policy`
    if words[0].startswith("-"):
        name = ""
    assert name in COMMANDS, place
    given = {word.partition("=")[0] for word in words[len(name.split()) :] if re.match(r"--?[a-z]", word)}
    assert given <= parameters(COMMANDS[name]), place


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    written = {target for page in NAMES for target in re.findall(r"`make ([a-z]+)`", prose(page))}
    written |= {target for block in blocks("sh") for target in re.findall(r"^make ([a-z]+)", block.text, re.MULTILINE)}
    assert written <= targets
    documented = {_CODE.findall(row[0])[0] for row in table_rows(section(read("CONTRIBUTING.md"), "Set up"))}
    assert documented == {f"make {target}" for target in targets}


# Names and keys.


def test_every_public_name_is_documented():
    modules = (
        centtrack, centtrack.consent, centtrack.frameworks, centtrack.monitoring, centtrack.sinks, centtrack.testing,
    )  # fmt: skip
    names = {name for module in modules for name in module.__all__}
    errors = [one for one in vars(centtrack.errors).values() if inspect.isclass(one)]
    names |= {one.__name__ for one in errors if one.__module__ == "centtrack.errors"}
    text = "\n".join(read(page) for page in NAMES if page == "README.md" or page.startswith("docs/"))
    assert [name for name in sorted(names) if not re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_every_option_of_the_middleware_is_documented():
    rows = table_rows(section(read("docs/deployment.md"), "Options of the middleware"))
    signature = inspect.signature(TelemetryMiddleware).parameters.values()
    assert [_CODE.findall(row[0])[0] for row in rows] == [one.name for one in signature if one.kind is one.KEYWORD_ONLY]


def _keys(heading: str) -> set[str]:
    return {_CODE.findall(row[0])[0] for row in table_rows(section(read("docs/privacy-policy.md"), heading))}


def test_every_key_of_the_policy_is_documented():
    fields = dict(Document.model_fields)
    tables = {
        "controller": "`[controller]`", "geo": "`[geo]`", "page": "`[page]`", "cookies": "`[[cookies]]`",
        "consent": "`[consent]`", "sinks": "`[[sinks]]`", "recipients": "`[recipients]`",
        "events": "`[[events]]`", "disclosure": "`[disclosure]`",
        "exclude": "`[exclude]`", "bots": "`[bots]`", "browser": "`[browser]`", "visitor": "`[visitor]`",
        "changes": "`[[changes]]`",
    }  # fmt: skip
    for key, heading in tables.items():
        annotation = fields.pop(key).annotation
        model = annotation if inspect.isclass(annotation) else get_args(annotation)[0]
        model = model if hasattr(model, "model_fields") else get_args(annotation)[0]
        assert _keys(heading) == set(model.model_fields), key
    assert _keys("`[consent.banner]`") == set(Banner.model_fields)
    waiver = next(one for one in get_args(fields.pop("waiver").annotation.model_fields["ip"].annotation) if one)
    assert _keys("`[waiver.ip]`") == set(waiver.model_fields)
    for key, heading in {
        "limits": "`[limits.default]` and `[limits.consented]`", "ceiling": "`[ceiling]`", "purposes": "`[purposes]`",
    }.items():  # fmt: skip
        del fields[key]
        section(read("docs/privacy-policy.md"), heading)
    assert _keys("top level") == set(fields)


def test_readme_names_every_column_limit_and_level():
    rows = table_rows(section(read("README.md"), "What is captured"))
    by_limit = {_CODE.findall(row[2])[0] if row[2] else None: row for row in rows}
    for limit, row in by_limit.items():
        assert set(_CODE.findall(row[1])) == {column.name for column in COLUMNS if column.limit == limit}, limit
        assert row[3] == (", ".join(LEVELS[limit].labels()) if limit else ""), limit
    assert {*by_limit} == {*LIMIT_NAMES, None}


def test_dependencies_are_those_of_the_project():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    text = read("docs/dependencies.md")

    def wanted(requirements: Iterable[str]) -> set[str]:
        return {name for one in requirements if (name := re.match(r"[\w-]+", one)[0]) != "centtrack"}

    assert {_CODE.findall(row[0])[0] for row in table_rows(section(text, "Core"))} == wanted(project["dependencies"])
    rows = table_rows(section(text, "Extras"))
    extras = {(extra, _CODE.findall(row[0])[0]) for row in rows for extra in _CODE.findall(row[1])}
    assert extras == {
        (extra, name) for extra, more in project["optional-dependencies"].items() for name in wanted(more)
    }
    in_readme = {word for row in table_rows(section(read("README.md"), "Install")) for word in _CODE.findall(row[0])}
    assert in_readme == set(project["optional-dependencies"])


def test_every_part_of_the_architecture_exists():
    rows = table_rows(section(read("docs/architecture.md"), "What is where"))
    parts = [part for row in rows for part in _CODE.findall(row[0])]
    assert len(parts) > 10
    assert [part for part in parts if not (ROOT / "src/centtrack" / part).exists()] == []


# Links and length.


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page):
    for link in _LINK.findall(prose(page)):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        file = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        assert file.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, link


def test_every_page_and_example_is_linked():
    text = "\n".join(read(page) for page in NAMES)
    assert [page for page in NAMES if page.startswith("docs/") and Path(page).name not in text] == []
    assert [file.name for file in (ROOT / "examples").glob("*.py") if file.name not in text] == []


def test_readme_is_short():
    assert read("README.md").count("\n") <= 150


if __name__ == "__main__":
    write_tables()
    sys.stdout.write("the tables are written\n")
