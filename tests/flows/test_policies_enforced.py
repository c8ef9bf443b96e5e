"""
The policies that `fortnight init` prints, held against moto's IAM: with them a whole collection works, and without any one of
their actions one line names it.
"""

from __future__ import annotations

import gzip
import json
import logging
import urllib.request
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from flows import collecting, policies, results
from flows.commands import doctor
from trial import config
from trial.errors import Denied, StoreError
from trial.store import Store

REGION, GROUP = "us-east-1", "/aws/lambda/summ"
# CloudWatch takes no events older than 14 days, so these live in yesterday.
NOW = datetime.now(UTC)
DAY = (NOW - timedelta(days=1)).date()
AT = datetime.combine(DAY, datetime.min.time(), UTC) + timedelta(hours=10)
REQUEST = "5f219a8f-2590-47be-947e-2bf9fd504453"
LINES = [
    (0, f"START RequestId: {REQUEST} Version: 1\n"),
    (500, f"END RequestId: {REQUEST}\n"),
    (500, f"REPORT RequestId: {REQUEST}\tDuration: 500.00 ms\tBilled Duration: 500 ms\tMemory Size: 1024 MB\tMax Memory Used: 70 MB\t\n"),
]
STREAM = f"{DAY:%Y/%m/%d}/[1]00ff"
TRIAL = """
[trial]
name = "t"
start = {day}
days = 1
{store}
[[endpoints]]
name = "e"
platform = "aws-lambda"
function = "summ"
region = "us-east-1"
api_endpoint = "{address}"
{more}
"""


def ms(offset=0):
    return int(AT.timestamp() * 1000) + offset


def record():
    events = [{"id": f"{n:056d}", "timestamp": ms(offset), "message": text} for n, (offset, text) in enumerate(LINES)]
    return {"messageType": "DATA_MESSAGE", "logGroup": GROUP, "logStream": STREAM, "logEvents": events}


@pytest.fixture(scope="module")
def account():
    """A moto account with a function's log group, its metric, and what Firehose wrote of it; its address, and how to become a user."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    users = iter(range(1000))

    def client(service):
        return boto3.client(service, region_name=REGION, endpoint_url=address, aws_access_key_id="root", aws_secret_access_key="root")

    def checked(count):
        asked = urllib.request.Request(f"{address}/moto-api/reset-auth", data=count.encode(), headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(asked).close()

    logs, metrics, s3, iam = (client(service) for service in ("logs", "cloudwatch", "s3", "iam"))
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    logs.put_log_events(
        logGroupName=GROUP, logStreamName=STREAM, logEvents=[{"timestamp": ms(offset), "message": text} for offset, text in LINES]
    )
    metrics.put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[
            {"MetricName": "Invocations", "Dimensions": [{"Name": "FunctionName", "Value": "summ"}], "Timestamp": AT, "Value": 1.0}
        ],
    )
    for bucket in ("acme-logs", "acme-trial"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="acme-logs", Key=f"hose/{AT:%Y/%m/%d/%H}/a.gz", Body=gzip.compress(json.dumps(record()).encode()))

    def become(patch, *documents, without=None):
        """The keys of a new user with these policies, less one action, in the environment; from here on every call is checked."""
        checked("inf")
        user = f"fortnight-{next(users)}"
        iam.create_user(UserName=user)
        for number, document in enumerate(documents):
            text = json.loads(document)
            for statement in text["Statement"]:
                statement["Action"] = [action for action in statement["Action"] if action != without]
                # moto holds a call to S3 against its own resource and any other call against "*", and calls CloudWatch by its host.
                if not any(action.startswith("s3:") for action in statement["Action"]):
                    statement["Resource"] = "*"
                statement["Action"] = [action.replace("cloudwatch:", "monitoring:") for action in statement["Action"]]
            text["Statement"] = [statement for statement in text["Statement"] if statement["Action"]]
            if text["Statement"]:
                iam.put_user_policy(UserName=user, PolicyName=f"p{number}", PolicyDocument=json.dumps(text))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        checked("0")

    yield address, become
    checked("inf")
    for one in (logs, metrics, s3, iam):
        one.close()
    server.stop()


def trial_of(folder, address, *, logs=None, store=None):
    more = f'logs = "{logs}?endpoint_override={address.removeprefix("http://")}&scheme=http"' if logs else ""
    kept = f'\n[store]\nurl = "{store}?endpoint_override={address.removeprefix("http://")}&scheme=http"\n' if store else ""
    (folder / "trial.toml").write_text(TRIAL.format(day=DAY, address=address, more=more, store=kept))
    return config.load(folder / "trial.toml")


def collect(trial):
    store, (endpoint,) = Store.at(trial.store_url), trial.endpoints
    results.register(trial, store, now=NOW)
    pulled = collecting.pull_days(trial, endpoint, (DAY,), now=NOW)
    return collecting.compute_day(trial, endpoint, DAY, pulled.usage[DAY], now=NOW)


def policy(logs=None):
    return policies.aws_policy(platform="aws-lambda", region=REGION, log_group=GROUP, logs=logs)


def actions(*documents):
    return sorted({action for document in documents for statement in json.loads(document)["Statement"] for action in statement["Action"]})


HOSE, STORE = "s3://acme-logs/hose", "s3://acme-trial/kept"
WAYS = {"api": (policy(),), "objects": (policy(HOSE),), "store in a bucket": (policy(), policies.store_policy(STORE))}


def way(name, folder, address):
    # A store of its own: one that may not delete leaves its turn behind, and the next collection waits until that counts as dead.
    store = f"{STORE}/{folder.name}" if name == "store in a bucket" else None
    return trial_of(folder, address, logs=HOSE if name == "objects" else None, store=store)


@pytest.mark.parametrize("name", WAYS)
def test_the_policy_allows_a_whole_collection(name, account, tmp_path, monkeypatch, caplog):
    address, become = account
    become(monkeypatch, *WAYS[name])
    trial = way(name, tmp_path, address)
    with caplog.at_level(logging.WARNING, logger="fortnight"):
        summary = collect(trial)
    assert (summary.requests, summary.provider_requests) == (1, 1)
    assert not [r for r in caplog.records if r.name == "fortnight"]
    findings = list(doctor.look(trial, trial.endpoints[0], now=NOW))
    assert not [f for f in findings if "permi" in f.detail or f.state == "fail"], findings


@pytest.mark.parametrize(("name", "action"), [(name, action) for name, documents in WAYS.items() for action in actions(*documents)])
def test_without_one_of_its_actions_one_line_names_it(name, action, account, tmp_path, monkeypatch, caplog):
    address, become = account
    become(monkeypatch, *WAYS[name], without=action)
    trial = way(name, tmp_path, address)
    said = []
    try:
        with caplog.at_level(logging.WARNING, logger="fortnight"):
            collect(trial)
        # What a collection does without is a warning of it, or of doctor.
        said = [r.getMessage() for r in caplog.records if r.name == "fortnight"]
        said += [f"{f.detail}. {f.do}" for f in doctor.look(trial, trial.endpoints[0], now=NOW) if f.state == "warn"]
    except (Denied, StoreError) as exc:
        said = [str(exc)]
    named = [line for line in said if action in line]
    assert named, said
    assert all("\n" not in line for line in said)


def test_what_moto_checks_is_checked(account, tmp_path, monkeypatch):
    """The control: a user without any policy can do nothing."""
    address, become = account
    become(monkeypatch)
    with pytest.raises(Denied, match=r"Grant logs:FilterLogEvents on /aws/lambda/summ"):
        collect(trial_of(tmp_path, address))
