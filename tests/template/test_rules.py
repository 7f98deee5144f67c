"""Checks deployments with cfn-lint and checkov. Exceptions from the rules of checkov have a reason."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stack import ALL, DEPLOYMENTS, Stack

# Rule -> types of resources that violate it, with the reason.
EXCEPTIONS = {
    # A customer managed key costs a dollar per month and a call for each line. CloudWatch encrypts logs with its own key.
    "CKV_AWS_158": {"AWS::Logs::LogGroup"},
    # A customer managed key has the same cost. Variables contain no secrets, which are read from Secrets Manager.
    "CKV_AWS_173": {"AWS::Lambda::Function"},
    # A customer managed key has the same cost. Only this account can read the signing keys.
    "CKV_AWS_149": {"AWS::SecretsManager::Secret"},
    # No dead-letter queue: callers get a response, and the sweep and the migrations are repeated.
    "CKV_AWS_116": {"AWS::Lambda::Function"},
    # A new account cannot reserve concurrency, see ReservedConcurrency.
    "CKV_AWS_115": {"AWS::Lambda::Function"},
    # A function without a database, or with Aurora DSQL, needs no VPC.
    "CKV_AWS_117": {"AWS::Lambda::Function"},
    # JoinVpc. The reason is in template.yaml.
    "CKV_AWS_111": {"AWS::IAM::ManagedPolicy"},
    # Objects of the outbox exist for seconds, are read and removed by one function, and are not replaced.
    "CKV_AWS_18": {"AWS::S3::Bucket"},
    "CKV_AWS_21": {"AWS::S3::Bucket"},
    # The rule knows only customer managed keys, which cost a dollar per month. SQS encrypts the queue with its own key.
    "CKV_AWS_27": {"AWS::SQS::Queue"},
    # Enhanced monitoring is not free. The standard metrics of Aurora are sufficient.
    "CKV_AWS_118": {"AWS::RDS::DBInstance"},
}


@pytest.fixture(scope="module")
def deployments(tmp_path_factory):
    """Writes deployments to a folder. Together they contain every resource."""
    folder = tmp_path_factory.mktemp("deployments")
    for name in [f"aurora-proxy{ALL}", "aurora-awake", "aurora-restored", "existing-vpc", "existing-iam", "dsql"]:
        (folder / f"{name}.json").write_text(Stack(**DEPLOYMENTS[name]).as_json())
    return folder


def run(program, *arguments):
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_deployments_match_the_schemas_of_cloudformation(deployments):
    linted = run("cfn-lint", "--regions", "eu-central-1", "us-east-1", "--", *map(str, sorted(deployments.iterdir())))
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.fixture(scope="module")
def violations(deployments):
    # Without --skip-download checkov fetches descriptions of the rules.
    options = ["--skip-download", "--quiet", "--compact", "--output", "json", "--soft-fail"]
    checked = run("checkov", "--directory", str(deployments), "--framework", "cloudformation", *options)
    report = json.loads(checked.stdout)
    assert report["summary"]["passed"] > 1000 and report["summary"]["parsing_errors"] == 0
    return {
        (check["check_id"], check["check_name"], check["resource"].split(".")[0])
        for check in report["results"]["failed_checks"]
    }


def test_every_violated_rule_has_an_exception(violations):
    unexpected = {(rule, name, kind) for rule, name, kind in violations if kind not in EXCEPTIONS.get(rule, ())}
    assert not unexpected, "change template.yaml, or add the rule to EXCEPTIONS with a reason"


def test_every_exception_is_needed(violations):
    found = {(rule, kind) for rule, _, kind in violations}
    unneeded = {(rule, kind) for rule, kinds in EXCEPTIONS.items() for kind in kinds} - found
    assert not unneeded, "remove these from EXCEPTIONS"
