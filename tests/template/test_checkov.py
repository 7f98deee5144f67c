"""checkov's rules for CloudFormation, on what is deployed, and why some of them are not kept."""

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
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkov")
    for name in ["aurora-proxy-and-everything", "aurora", "existing-vpc", "dsql"]:
        (folder / f"{name}.json").write_text(Stack(**DEPLOYMENTS[name]).as_json())
    checkov = [str(Path(sys.executable).with_name("checkov")), "--directory", str(folder), "--framework", "cloudformation"]
    # It would fetch texts about the rules from elsewhere.
    quiet = ["--skip-download", "--quiet", "--compact", "--output", "json", "--soft-fail"]
    run = subprocess.run(checkov + quiet, capture_output=True, text=True, timeout=600, check=True)
    report = json.loads(run.stdout)
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
