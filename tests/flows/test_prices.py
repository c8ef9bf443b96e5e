"""`fortnight prices` against price APIs on this machine: the real clients, a loopback address, the real command line."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from analysis import prices

STANDARD = Path(prices.__file__).with_name("prices.toml")

TOML = """
[trial]
name = "try"
start = 2026-11-02

[prices]
book = "{book}"

[[endpoints]]
name = "rp"
platform = "runpod"
endpoint_id = "x"
api_key_env = "FORTNIGHT_TEST_KEY"
api_endpoint = "{address}"
"""


def gpus(**changed):
    """The catalogue as the standard book has it, but for the GPUs named."""
    book = prices.load("standard")
    offered = {}
    for row in book.rows.values():
        if row.refresh.get("via") == "runpod-catalogue" and "active" not in row.name:
            for gpu in row.refresh["gpus"]:
                offered[gpu] = float(round(row.rates["instance"].usd_per_hour, 2))
    return [{"id": gpu, "name": gpu, "price": {"serverless": changed.get(gpu, usd)}} for gpu, usd in offered.items()]


@pytest.fixture
def api():
    """A server that answers what it is given: JSON by path, or by X-Amz-Target."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = self.headers.get("X-Amz-Target") or self.path
            asked.append((key, body, self.headers.get("Authorization")))
            status, document = answers.get(key, (404, {"detail": "no such path"}))
            text = json.dumps(document(body) if callable(document) else document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1" if self.headers.get("X-Amz-Target") else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.address, server.answers, server.asked = f"http://127.0.0.1:{server.server_port}", answers, asked
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path, api):
    """A trial with a book of its own, a copy of the standard one, and a RunPod endpoint whose API is on this machine."""
    (tmp_path / "own.toml").write_bytes(STANDARD.read_bytes())
    (tmp_path / "trial.toml").write_text(TOML.format(book="own.toml", address=api.address))
    api.answers["/v2/catalog/gpus"] = (200, {"gpus": gpus()})
    return tmp_path


def run(*args, cwd, code="from flows.cli import main; main()", **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GOOGLE_", "RUNPOD_"))}
    clean |= {"FORTNIGHT_TEST_KEY": "k", "HOME": str(cwd), "AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true", **env}
    command = [sys.executable, "-c", code, "prices", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, env=clean, stdin=subprocess.DEVNULL)


def changed_rows(folder, name="own.toml"):
    before, after = prices.load("standard"), prices.load(name, folder=folder)
    return {row for row in before.rows if before.rows[row].rates != after.rows[row].rates}


def test_nothing_moved_is_said_and_a_dry_run_writes_nothing(folder):
    done = run("refresh", "--only", "runpod", "--dry-run", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "runpod-flex-4090.instance: unchanged, 0.00031 USD/GPU-s" in done.stdout
    assert " 0 changed" in done.stdout
    assert (folder / "own.toml").read_bytes() == STANDARD.read_bytes()


def test_a_price_that_moved_is_shown_and_written_only_with_consent(folder, api):
    api.answers["/v2/catalog/gpus"] = (200, {"gpus": gpus(**{"NVIDIA GeForce RTX 4090": 1.25})})
    asked = run("refresh", "--only", "runpod", cwd=folder)
    assert asked.returncode == 2
    assert "runpod-flex-4090.instance: 0.00031 -> 0.0003472222222 USD/GPU-s, +12.0 %" in asked.stdout
    assert "nobody there to agree; nothing written. Look with --dry-run, then add --yes" in asked.stderr
    assert changed_rows(folder) == set()
    done = run("refresh", "--only", "runpod", "--yes", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"Written: {folder / 'own.toml'}" in done.stdout
    assert changed_rows(folder) == {"runpod-flex-4090"}
    row = prices.load("own.toml", folder=folder).rows["runpod-flex-4090"]
    assert (str(row.rates["instance"].amount), str(row.rates["instance"].stated_usd_per_hour)) == ("0.0003472222222", "1.25")
    assert row.read_on >= date(2026, 11, 24)
    assert api.asked[-1][2] == "Bearer k"


def test_the_standard_book_is_never_written_into(folder, api):
    (folder / "trial.toml").write_text(TOML.format(book="standard", address=api.address))
    before = STANDARD.read_bytes()
    api.answers["/v2/catalog/gpus"] = (200, {"gpus": gpus(**{"NVIDIA GeForce RTX 4090": 1.25})})
    done = run("refresh", "--only", "runpod", "--yes", cwd=folder)
    assert done.returncode == 0
    assert "Nothing written: the standard book is part of Fortnight" in done.stdout
    assert "--to my-prices.toml" in done.stdout
    done = run("refresh", "--only", "runpod", "--yes", "--to", "mine.toml", cwd=folder)
    assert f'To price with it: book = "{folder / "mine.toml"}"' in done.stdout
    assert changed_rows(folder, "mine.toml") == {"runpod-flex-4090"}
    assert STANDARD.read_bytes() == before
    again = run("refresh", "--only", "runpod", "--yes", "--to", "mine.toml", cwd=folder)
    assert again.returncode == 2
    assert "mine.toml: exists already" in again.stderr


def test_json_is_one_document_and_asks_nobody(folder, api):
    api.answers["/v2/catalog/gpus"] = (200, {"gpus": gpus(**{"NVIDIA GeForce RTX 4090": 1.25, "NVIDIA L4": 0})})
    done = run("refresh", "--only", "runpod", "--json", cwd=folder)
    document = json.loads(done.stdout)
    (moved,) = [c for c in document["changes"] if c["changed"]]
    assert (moved["row"], moved["before"], moved["after"]) == ("runpod-flex-4090", ["0.00031"], ["0.0003472222222"])
    assert document["written"] is None
    assert all({"row", "rate", "reason"} == set(o) for o in document["without_a_price"])
    assert changed_rows(folder) == set()
    written = json.loads(run("refresh", "--only", "runpod", "--json", "--yes", cwd=folder).stdout)
    assert written["written"] == str(folder / "own.toml")
    assert written["sha256_written"] == prices.load("own.toml", folder=folder).sha256 != written["sha256"]


def test_an_offer_that_is_none_says_why(folder, api):
    api.answers["/v2/catalog/gpus"] = (200, {"gpus": []})
    done = run("refresh", "--only", "runpod", "--dry-run", cwd=folder)
    assert "runpod-flex-4090.instance: no price, its GPUs have no serverless price in the catalogue" in done.stdout


def price_list(body):
    """AWS's answer: one product for what the book has, at twice the price for g4dn.xlarge hosting."""
    filters = {f["Field"]: f["Value"] for f in json.loads(body)["Filters"]}
    price = "1.4728" if filters.get("instanceName", filters.get("instanceType", "")).startswith("ml.g4dn.xlarge") else "0"
    product = {
        "product": {"attributes": filters},
        "terms": {"OnDemand": {"a": {"priceDimensions": {"b": {"unit": "Hrs", "beginRange": "0", "endRange": "Inf",
                  "description": "per hour", "pricePerUnit": {"USD": price}}}}}},
        "publicationDate": "2026-11-20T00:00:00Z",
    }  # fmt: skip
    return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)]}


def test_aws_is_read_through_boto3_at_the_address_of_its_own_variable(folder, api):
    api.answers["AWSPriceListService.GetProducts"] = (200, price_list)
    env = {"AWS_ENDPOINT_URL_PRICING": api.address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = run("refresh", "--only", "aws", "--yes", cwd=folder, **env)
    assert done.returncode == 0, done.stderr
    assert "sagemaker-ml.g4dn.xlarge.instance: 0.7364 -> 1.4728 USD/instance-h, +100.0 % (per hour)" in done.stdout
    assert "aws-lambda-x86.duration: no price, 0 products with a price match" in done.stdout
    row = prices.load("own.toml", folder=folder).rows["sagemaker-ml.g4dn.xlarge"]
    assert str(row.rates["instance"].amount) == "1.4728"


def sku(description, nanos, *, unit="s", units=0, region="us-central1", free_until=0):
    """One SKU as the catalogue's JSON has it."""
    rates = [{"startUsageAmount": free_until, "unitPrice": {"currencyCode": "USD", "units": str(units), "nanos": nanos}}]
    free = [{"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD"}}] if free_until else []
    return {
        "name": f"services/152E-C115-5142/skus/{abs(hash(description)) % 10**8:08d}",
        "skuId": "4A5B-6C7D-8E9F",
        "description": description,
        "category": {"serviceDisplayName": "Cloud Run", "resourceFamily": "ApplicationServices", "usageType": "OnDemand"},
        "serviceRegions": [region],
        "pricingInfo": [
            {
                "effectiveTime": "2026-11-23T08:31:24Z",
                "pricingExpression": {"usageUnit": unit, "displayQuantity": 1, "tieredRates": free + rates},
                "currencyConversionRate": 1,
            }
        ],
        "serviceProviderName": "Google",
    }


CPU, MEMORY = "Services CPU (Instance-based billing) in us-central1", "Services Memory (Instance-based billing) in us-central1"
SKUS = [
    sku("Services CPU (Request-based billing)", 24_000),
    sku("Jobs CPU in us-central1", 18_000),
    sku("Worker Pools CPU in us-central1", 11_244),
    sku(CPU, 18_000, free_until=240_000),
    sku("Services CPU (Instance-based billing) in europe-west4", 18_000, region="europe-west4"),
    sku(MEMORY, 2_000, unit="GiBy.s", free_until=450_000),
    sku("NVIDIA L4 GPU without zonal redundancy in us-central1", 200_000),
    sku("NVIDIA L4 GPU with zonal redundancy in us-central1", 290_900),
    sku("NVIDIA L4 GPU without zonal redundancy in asia-southeast1", 999_999, region="asia-southeast1"),
]


@pytest.fixture
def catalogue():
    """Google's catalogue over gRPC on this machine, three SKUs a page; what was asked for is kept."""
    billing_v1 = pytest.importorskip("google.cloud.billing_v1", reason="google-cloud-billing is an optional extra")
    import grpc
    from google.protobuf.json_format import ParseDict

    request_type, answer_type = billing_v1.types.ListSkusRequest, billing_v1.types.ListSkusResponse
    asked = []

    def list_skus(request, _context):
        asked.append((request.parent, request.page_token))
        begin = int(request.page_token or 0)
        mine = SKUS if request.parent == "services/152E-C115-5142" else []
        after = str(begin + 3) if begin + 3 < len(mine) else ""
        document = {"skus": mine[begin : begin + 3], "nextPageToken": after}
        return answer_type(ParseDict(document, answer_type.pb(answer_type())))

    handler = grpc.unary_unary_rpc_method_handler(
        list_skus, request_deserializer=request_type.deserialize, response_serializer=answer_type.serialize
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("google.cloud.billing.v1.CloudCatalog", {"ListSkus": handler}),))
    server.address, server.asked = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", asked
    server.start()
    yield server
    server.stop(None).wait()


RUN = """
[[endpoints]]
name = "run"
platform = "cloud-run"
project = "p"
service = "s"
region = "us-central1"
api_endpoint = "http://{address}"
"""


def test_google_is_read_through_its_own_client_page_by_page_and_shown_before_it_is_written(folder, catalogue):
    with (folder / "trial.toml").open("a") as file:
        file.write(RUN.format(address=catalogue.address))
    looked = run("refresh", "--only", "gcp", "--dry-run", cwd=folder)
    assert (looked.returncode, looked.stderr) == (0, "")
    assert "cloud-run-l4-no-zonal.instance: 0.0001867 -> 0.0002 USD/GPU-s, +7.1 % (NVIDIA L4 GPU without zonal" in looked.stdout
    assert f"cloud-run-l4-no-zonal.vcpu: unchanged, 0.000018 USD/vCPU-s ({CPU} (4A5B-6C7D-8E9F))" in looked.stdout
    assert f"cloud-run-l4-no-zonal.memory: unchanged, 0.000002 USD/GiB-s ({MEMORY}" in looked.stdout
    assert "cloud-run-l4-zonal.instance: unchanged, 0.0002909 USD/GPU-s" in looked.stdout
    assert "cloud-run-rtx-pro-6000.instance: no price, no SKU matches; look at its `refresh` pattern" in looked.stdout
    assert [page for page in catalogue.asked if page[0] == "services/152E-C115-5142"] == [
        ("services/152E-C115-5142", token) for token in ("", "3", "6")
    ]
    assert changed_rows(folder) == set()
    done = run("refresh", "--only", "gcp", "--yes", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert changed_rows(folder) == {"cloud-run-l4-no-zonal"}
    row = prices.load("own.toml", folder=folder).rows["cloud-run-l4-no-zonal"]
    assert (str(row.rates["instance"].amount), str(row.rates["instance"].stated_usd_per_hour)) == ("0.0002", "0.72")
    assert row.as_of == date(2026, 11, 23)
    again = run("refresh", "--only", "gcp", "--dry-run", cwd=folder)
    assert " 0 changed" in again.stdout


def test_notes_are_counted_by_kind_and_told_one_by_one_on_demand(tmp_path):
    short, full = run("check", cwd=tmp_path), run("check", "--verbose", cwd=tmp_path)
    document = json.loads(run("check", "--json", cwd=tmp_path).stdout)
    assert (short.returncode, full.returncode) == (0, 0)
    notes = document["problems"]
    assert all(f"note: {n['row']}: {n['kind']}: {n['detail']}\n" in full.stdout for n in notes)
    for kind in {n["kind"] for n in notes}:
        count = sum(n["kind"] == kind for n in notes)
        assert f"{count} note{'' if count == 1 else 's'}: {kind}: " in short.stdout
    assert all(n["row"] in short.stdout for n in notes)
    assert max(len(line) for line in short.stdout.splitlines()) <= 80
    assert len(short.stdout.splitlines()) < len(notes) / 2
    assert f"0 errors, {len(notes)} notes; each with --verbose" in short.stdout


def test_one_source_that_cannot_be_read_does_not_hide_the_others(folder):
    done = run("refresh", "--dry-run", cwd=folder, GOOGLE_APPLICATION_CREDENTIALS=str(folder / "none.json"))
    assert done.returncode == 1
    assert "runpod-flex-4090.instance: unchanged" in done.stdout
    assert "not read: aws: AWS price list" in done.stderr
    assert "not read: gcp: Cloud Billing catalogue: no usable credentials" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "env", "code", "says"),
    [
        (("--only", "runpod"), {"FORTNIGHT_TEST_KEY": ""}, 2, "the environment variable FORTNIGHT_TEST_KEY is not set. Run `export FORTNIGHT_TEST_KEY="),
        (("--only", "aws"), {}, 1, "no usable credentials: Unable to locate credentials. Sign in with `aws sso login`"),
        (("--only", "gcp"), {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"}, 1, "Sign in with `gcloud auth application-default login`"),
        (("--only", "azure"), {}, 2, "--only 'azure' is no price source. Use aws, gcp, runpod"),
        (("--only", "runpod", "--to", "own.toml", "--prices", "standard"), {}, 2, "own.toml: exists already"),
        (("--prices", "article"), {}, 2, "the article price book: no row says how a price API finds it"),
    ],
    ids=["no key", "no AWS credentials", "no Google credentials", "no such source", "to a file that is there", "nothing to ask"],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_way_out(folder, args, env, code, says):
    done = run("refresh", *args, cwd=folder, **env)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert (folder / "own.toml").read_bytes() == STANDARD.read_bytes()


def test_a_refused_key_is_one_line(folder, api):
    api.answers["/v2/catalog/gpus"] = (401, {"detail": "missing bearer token"})
    done = run("refresh", "--only", "runpod", cwd=folder)
    assert done.returncode == 1
    assert "FORTNIGHT_TEST_KEY" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_without_the_extra_the_install_line_is_named(folder):
    code = "import sys; sys.modules['google.cloud.billing_v1'] = None\nfrom flows.cli import main; main()"
    done = run("refresh", "--only", "gcp", cwd=folder, code=code)
    assert done.returncode == 2
    assert "google-cloud-billing is not installed. pip install 'fortnight[prices]'" in done.stderr


def test_the_list_fits_80_columns_and_says_age_and_source(tmp_path):
    done = run("list", cwd=tmp_path)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    for name, row in prices.load("standard").rows.items():
        assert f"  {name}\n" in done.stdout
        assert f"read {row.read_on}, " in done.stdout
    assert "its source speaks for 2026-08-31" in " ".join(done.stdout.split())
    assert "closed 2024-03-31" in done.stdout


def test_a_stale_row_is_marked_in_the_list(folder):
    book = folder / "own.toml"
    book.write_text(book.read_text().replace("read_on = 2026-11-24", "read_on = 2026-05-01", 1))
    (folder / "trial.toml").write_text(
        (folder / "trial.toml").read_text().replace('book = "own.toml"', 'book = "own.toml"\nmax_age_days = 180')
    )
    first = run("list", cwd=folder).stdout.split("aws-lambda-arm")[0]
    assert "STALE, over 180" in " ".join(first.split())
