"""The rules of cfn-lint and checkov, on what is deployed, and why some of checkov's are not kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stack import DEPLOYMENTS, Stack

# Rule -> kinds of resources that break it, and the reason.
EXCEPTIONS = {
    # A key of one's own costs a dollar a month and a call for each line. CloudWatch encrypts logs with its own.
    "CKV_AWS_158": {"AWS::Logs::LogGroup"},
    # The same of the variables, which have no secret in them: secrets are read from Secrets Manager.
    "CKV_AWS_173": {"AWS::Lambda::Function"},
    # The same of the signing key, which this account alone may read.
    "CKV_AWS_149": {"AWS::SecretsManager::Secret"},
    # Callers wait for an answer and get one; the sweep and the migrations are done again.
    "CKV_AWS_116": {"AWS::Lambda::Function"},
    # A new account has no concurrency to reserve: ReservedConcurrency.
    "CKV_AWS_115": {"AWS::Lambda::Function"},
    # A function without a database, or with Aurora DSQL, has nothing to reach in a VPC.
    "CKV_AWS_117": {"AWS::Lambda::Function"},
    # JoinVpc, of which template.yaml says why.
    "CKV_AWS_111": {"AWS::IAM::ManagedPolicy"},
    # Metrics of the machine at a price. Those that Aurora has without it tell what the service needs.
    "CKV_AWS_118": {"AWS::RDS::DBInstance"},
}


@pytest.fixture(scope="module")
def deployments(tmp_path_factory):
    """A folder with some, which have every resource between them."""
    folder = tmp_path_factory.mktemp("deployments")
    for name in ["aurora-proxy-and-everything", "aurora-awake", "aurora-restored", "existing-vpc", "existing-iam", "dsql"]:
        (folder / f"{name}.json").write_text(Stack(**DEPLOYMENTS[name]).as_json())
    return folder


def run(program, *arguments):
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_cloudformations_own_schemas_know_all_of_it(deployments):
    linted = run("cfn-lint", "--regions", "eu-central-1", "us-east-1", "--", *map(str, sorted(deployments.iterdir())))
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.fixture(scope="module")
def broken(deployments):
    # It would fetch texts about the rules from elsewhere.
    quiet = ["--skip-download", "--quiet", "--compact", "--output", "json", "--soft-fail"]
    checked = run("checkov", "--directory", str(deployments), "--framework", "cloudformation", *quiet)
    report = json.loads(checked.stdout)
    assert report["summary"]["passed"] > 1000 and report["summary"]["parsing_errors"] == 0
    return {
        (check["check_id"], check["check_name"], check["resource"].split(".")[0])
        for check in report["results"]["failed_checks"]
    }


def test_every_rule_is_kept_or_has_a_reason(broken):
    assert not {(rule, name, kind) for rule, name, kind in broken if kind not in EXCEPTIONS.get(rule, ())}


def test_every_exception_is_still_needed(broken):
    needed = {(rule, kind) for rule, _, kind in broken}
    assert needed >= {(rule, kind) for rule, kinds in EXCEPTIONS.items() for kind in kinds}
