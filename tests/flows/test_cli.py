"""The command line as a user meets it: what it imports, what it prints, how it fails."""

import json
import subprocess
import sys

import pytest

HEAVY = ("prefect", "mlflow", "great_expectations", "pandas", "boto3", "google.cloud", "matplotlib", "scipy")


def run(*args, cwd=None, **kwargs):
    command = [sys.executable, "-c", "from flows.cli import main; main()", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, **kwargs)


@pytest.mark.parametrize("args", [("--help",), ("status",)], ids=["help", "status"])
def test_quick_commands_import_nothing_heavy(args, trial_folder):
    code = (
        "import sys\nsys.argv = ['fortnight', *%r]\nfrom flows.cli import main\n"
        "try:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code, exit.code\n"
        "print([m for m in %r if m in sys.modules], file=sys.stderr)" % (list(args), HEAVY)
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=trial_folder, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("collect", "--config", "nowhere.toml"), 2, "nowhere.toml: no such file. Run `fortnight init`"),
        (("collect", "--day", "2026-13-01"), 2, "'2026-13-01' is not a day. Write it as YYYY-MM-DD"),
        (("collect", "--day", "2026-11-02", "--from", "2026-11-02"), 2, "--day and --from/--to exclude each other"),
        (("collect", "--endpoint", "nobody"), 2, "no endpoint named 'nobody'. Known: rp"),
        (("status", "--config", "broken.toml"), 2, "broken.toml, line 3: unknown key `trial.tmezone`. Did you mean `timezone`?"),
        (("verify", "--config", "broken.toml"), 2, "broken.toml, line 3: unknown key `trial.tmezone`"),
        (("export", "--out", "x.xlsx"), 2, "--out ends in '.xlsx'"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_a_mistake_is_one_line_with_the_way_out(args, code, says, trial_folder):
    (trial_folder / "broken.toml").write_text('[trial]\nname = "x"\ntmezone = "UTC"\nstart = 2026-11-02\n')
    done = run(*args, cwd=trial_folder)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_nothing_collected_yet_is_an_answer(trial_folder):
    document = json.loads(run("status", "--json", cwd=trial_folder).stdout)
    assert document["endpoints"][0]["days"] == []
    assert document["endpoints"][0]["missing"] == ["2026-11-02", "2026-11-03", "2026-11-04"]
    done = run("verdict", "--json", cwd=trial_folder)
    assert done.returncode == 20
    assert json.loads(done.stdout)["endpoints"][0]["decision"] == "not-decided"


def test_status_names_a_price_row_that_is_none(trial_folder, fortnight):
    assert json.loads(fortnight(trial_folder, "status", "--json")[1])["endpoints"][0]["price_problem"] is None
    path = trial_folder / "trial.toml"
    path.write_text(path.read_text().replace("runpod-flex-4090", "runpod-flex-4091"))
    code, said, _ = fortnight(trial_folder, "status")
    assert code == 0
    assert "no cost: the standard price book has no row 'runpod-flex-4091'. Did you mean 'runpod-flex-4090'?" in " ".join(said.split())


def test_doctor_names_the_address_that_does_not_answer(trial_folder, fortnight):
    found = json.loads(fortnight(trial_folder, "doctor", "--json")[1])["findings"]
    (counts,) = [f for f in found if f["check"] == "provider's counts"]
    assert "(api_endpoint http://127.0.0.1:9)" in counts["detail"]


def test_ui_before_the_first_collection_says_so_and_makes_nothing(trial_folder):
    before = sorted(trial_folder.rglob("*"))
    done = run("ui", "--port", "0", cwd=trial_folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing of try is there yet. Run `fortnight collect` first" in done.stderr
    assert sorted(trial_folder.rglob("*")) == before


def test_init_writes_a_file_that_loads_and_does_not_overwrite(tmp_path):
    done = run("init", "--platform", "aws-lambda", "--platform", "runpod", cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "logs:FilterLogEvents" in done.stdout
    assert run("status", cwd=tmp_path).returncode == 0
    assert run("init", cwd=tmp_path).returncode == 2


def test_the_handler_line_file_is_printed_whole(tmp_path):
    printed = run("handler-line", cwd=tmp_path).stdout
    (tmp_path / "handler_line.py").write_text(printed)
    code = (
        "import handler_line\nwith handler_line.record('r1', model='m') as line: line['gpu_ms'] = 1.5; line['gpu_ms_source'] = 'cuda_event'"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{code}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["gpu_ms"] == 1.5, done.stderr


def test_prices_check_of_the_articles_book_fails_with_the_right_figures(tmp_path):
    done = run("prices", "check", "--prices", "article", cwd=tmp_path)
    assert done.returncode == 1
    assert "$14.40" in done.stdout or "14.4" in done.stdout
    assert run("prices", "check", cwd=tmp_path).returncode == 0
