"""The documentation says what the code does: generated pages, definitions of metrics, commands, configuration keys."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_up_to_date():
    done = subprocess.run([sys.executable, "-m", "docs.build", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_command_stands_in_the_readme_or_the_guides():
    from flows.cli import app

    pages = "\n".join(p.read_text(encoding="utf-8") for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    names = [c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands]
    missing = [name for name in names if f"fortnight {name}" not in pages]
    assert missing == []


def commands(command, path=("fortnight",)):
    """(words, command) of everything that can be typed."""
    for name, child in getattr(command, "commands", {}).items():
        yield (*path, name), child
        yield from commands(child, (*path, name))


def all_commands():
    import typer

    from flows.cli import app

    return list(commands(typer.main.get_command(app)))


def test_every_command_and_option_has_its_help():
    bare = [" ".join(words) for words, command in all_commands() if not command.help]
    for words, command in all_commands():
        bare += [f"{' '.join(words)} {option.opts[0]}" for option in command.params if not getattr(option, "help", None)]
    assert len(all_commands()) > 15
    assert bare == []


def test_every_option_that_a_page_shows_exists():
    """A command line in a page is one that works: `fortnight verdict --plan`, in code or in a block."""
    known = {words: {opt for o in command.params for opt in (*o.opts, *o.secondary_opts)} for words, command in all_commands()}
    wrong, seen = [], 0
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for typed in re.findall(r"fortnight [a-z][^`\n#|]*", page.read_text(encoding="utf-8")):
            words = typed.replace(",", " ").split()
            command = next((w for w in (tuple(words[:3]), tuple(words[:2])) if w in known), None)
            if command is not None:
                options = [w.rstrip(".") for w in words if w.startswith("--")]
                seen += len(options)
                wrong += [f"{page.name}: {typed}" for o in options if o not in known[command] and o != "--help"]
    assert seen > 20
    assert wrong == []


def test_every_flag_has_its_section():
    from analysis.judging.flags import CODES

    page = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## `([a-z-]+)`", page, re.MULTILINE)) == sorted(CODES)


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert pages - set(re.findall(r"[\w/-]+\.md", text.split("nav:")[1])) == set()


def test_the_decisions_are_listed():
    page = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in sorted((ROOT / "docs" / "decisions").glob("0*.md")) if p.name not in page] == []


def test_every_kind_of_error_has_its_exit_code_in_the_pages():
    import trial.errors as errors

    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.FortnightError)]
    assert [k.__name__ for k in kinds if f"`{k.__name__}`" not in page] == []


def test_no_page_links_to_a_file_that_is_not_there():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, target) for page in pages for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))]
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page, target in links
        if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / target).exists()
    ]
    assert broken == []
