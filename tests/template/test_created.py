"""What of a deployment moto can create, created by its CloudFormation, and looked at as an account would show it.

moto reads the same template. It knows no Aurora, no API and no alias, among others: NOT_CREATED has them, and whatever refers to
them gets a made-up name. That CloudFormation itself takes all of it, only an account can say."""

import importlib
import json

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation.parsing import get_model_map

from stack import DEPLOYMENTS, Stack

SERVICES = "awslambda cloudwatch ec2 iam kms logs rds route53 s3 sns"
NOT_CREATED = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Stage",
    "AWS::AppConfig::Application",
    "AWS::AppConfig::ConfigurationProfile",
    "AWS::AppConfig::HostedConfigurationVersion",
    "AWS::CloudWatch::Alarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::DSQL::Cluster",
    "AWS::Lambda::Alias",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBClusterParameterGroup",
    "AWS::RDS::DBProxy",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::Scheduler::Schedule",
    "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::SNS::TopicPolicy",
    "Custom::Migration",
}


def made_up(stack, node, missing):
    """A copy in which what refers to resources that are not created is a text."""
    if isinstance(node, list):
        return [made_up(stack, part, missing) for part in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and next(iter(node)) in ("Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Select", "Fn::Join"):
        if stack.references(node) & missing:
            name = stack.text(node).replace("«", "").replace("»", "")
            return name if name.startswith("arn:") else f"arn:aws:made-up:eu-central-1:123456789012:{name}"
    return {key: made_up(stack, part, missing) for key, part in node.items()}


def texts(stack, node):
    """A copy in which whatever refers to a resource is a text."""
    if isinstance(node, list):
        return [texts(stack, part) for part in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and next(iter(node)) in ("Ref", "Fn::GetAtt", "Fn::Sub"):
        return stack.text(node)
    return {key: texts(stack, part) for key, part in node.items()}


@pytest.fixture
def account(monkeypatch):
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]:
        monkeypatch.setenv(name, "none")
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="eu-central-1")


def create(account, **parameters):
    for service in SERVICES.split():
        importlib.import_module(f"moto.{service}.models")
    stack = Stack(**parameters)
    kinds = {resource["Type"] for resource in stack.resources.values()}
    unknown = kinds - set(get_model_map())
    assert unknown <= NOT_CREATED, f"moto no longer creates {unknown - NOT_CREATED}"
    missing = {name for name, resource in stack.resources.items() if resource["Type"] in NOT_CREATED}
    # Nor what only makes sense with them.
    missing |= {n for n, r in stack.resources.items() if r["Type"] in ("AWS::RDS::DBInstance", "AWS::Lambda::Permission")}
    resources = {
        name: made_up(stack, {key: part for key, part in resource.items() if key != "DependsOn"}, missing)
        for name, resource in stack.resources.items()
        if name not in missing
    }
    s3 = account("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for function in stack.functions():
        s3.put_object(Bucket="bucket", Key=function, Body=b"code")
    if "HostedZoneId" in parameters:
        zone = account("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        assert zone
    account("cloudformation").create_stack(
        StackName="keyhold", TemplateBody=json.dumps({"Resources": resources}), Capabilities=["CAPABILITY_IAM"]
    )
    described = account("cloudformation").describe_stack_resources(StackName="keyhold")["StackResources"]
    physical = {resource["LogicalResourceId"]: resource.get("PhysicalResourceId") for resource in described}
    assert set(physical) == set(resources)
    return stack, physical


def test_a_deployment_with_everything_is_created(account):
    everything = {k: v for k, v in DEPLOYMENTS["aurora-proxy-and-everything"].items() if k not in ("JwtSecretArn", "HostedZoneId")}
    stack, physical = create(account, **everything)
    assert len(physical) > 120

    # The signing key, in the form that KeyRing::parse reads: at least 32 bytes, and neither JSON nor a PEM file.
    wanted = stack.resources["JwtSecret"]["Properties"]["GenerateSecretString"]
    secret = account("secretsmanager").get_random_password(**wanted)["RandomPassword"]
    assert len(secret) == 64 and secret.isalnum() and len(set(secret)) > 16

    ec2 = account("ec2")
    subnets = ec2.describe_subnets(SubnetIds=[physical["PrivateSubnetA"], physical["PrivateSubnetB"]])["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    (table,) = ec2.describe_route_tables(RouteTableIds=[physical["PrivateRoutes"]])["RouteTables"]
    gateways = {route.get("GatewayId") for route in table["Routes"]}
    assert not any(gateway and gateway.startswith(("igw", "nat")) for gateway in gateways)
    groups = [group for name, group in physical.items() if name.endswith("SecurityGroup")]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": groups}])["SecurityGroupRules"]
    # moto leaves a group its first rule, which lets everything out; CloudFormation takes it away for those given.
    assert not [rule for rule in rules if not rule["IsEgress"] and rule.get("CidrIpv4")]
    assert {rule["ToPort"] for rule in rules if not rule["IsEgress"]} == {5432, 443}

    logs = {group["logGroupName"]: group for group in account("logs").describe_log_groups()["logGroups"]}
    assert len(logs) > 25 and all(group["retentionInDays"] == 30 for group in logs.values())

    topic = account("sns").get_topic_attributes(TopicArn=physical["AlarmTopic"])["Attributes"]
    assert topic["KmsMasterKeyId"] == physical["AlarmKey"]
    assert account("kms").get_key_rotation_status(KeyId=physical["AlarmKey"])["KeyRotationEnabled"]
    cloudwatch = account("cloudwatch")
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        cloudwatch.put_metric_alarm(**{"AlarmName": name} | texts(stack, alarm))
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == len(stack.of_type("AWS::CloudWatch::Alarm")) == 7

    functions = account("lambda").list_functions()["Functions"]
    assert len(functions) == len(stack.functions())
    assert "keyhold-data-get" in {function["FunctionName"] for function in functions}


@pytest.mark.parametrize("deployment", ["aurora", "existing", "existing-iam", "dsql"])
def test_iam_takes_every_policy(account, deployment):
    stack, physical = create(account, **DEPLOYMENTS[deployment])
    iam = account("iam")
    for name, role in stack.of_type("AWS::IAM::Role").items():
        own = iam.list_role_policies(RoleName=physical[name])["PolicyNames"]
        assert own == [policy["PolicyName"] for policy in role["Policies"]], name
    # moto attaches none of these to the roles, but reads them.
    for name, policy in stack.of_type("AWS::IAM::ManagedPolicy").items():
        version = iam.get_policy_version(PolicyArn=physical[name], VersionId="v1")["PolicyVersion"]
        assert len(version["Document"]["Statement"]) == len(policy["PolicyDocument"]["Statement"]), name
