"""Creates deployments in moto, through its CloudFormation, and checks the created resources through the API of AWS.

moto does not support all resource types, for example Aurora, the HTTP API, and aliases: see NOT_CREATED. References to such
resources become placeholders. Only a real account shows whether CloudFormation accepts all of the template."""

import importlib
import json

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation.parsing import get_model_map

from stack import ALL, DEPLOYMENTS, Stack

SERVICES = "awslambda cloudwatch ec2 events iam kms logs rds route53 s3 sns sqs"
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
    "AWS::Lambda::EventInvokeConfig",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBClusterParameterGroup",
    "AWS::RDS::DBProxy",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::S3::BucketPolicy",
    "AWS::SES::ConfigurationSet",
    "AWS::Scheduler::Schedule",
    "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::SNS::TopicPolicy",
    "Custom::Migration",
}


def map_functions(node, functions, replace):
    """Copies a node and replaces each intrinsic function in it by `replace(node)`, unless that is None."""
    if isinstance(node, list):
        return [map_functions(part, functions, replace) for part in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and next(iter(node)) in functions and (text := replace(node)) is not None:
        return text
    return {key: map_functions(part, functions, replace) for key, part in node.items()}


def with_placeholders(stack, node, missing):
    """Copies a node and replaces references to resources that are not created."""

    def replace(node):
        if stack.references(node) & missing:
            name = stack.text(node).replace("«", "").replace("»", "")
            return name if name.startswith("arn:") else f"arn:aws:placeholder:eu-central-1:123456789012:{name}"

    return map_functions(node, ("Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Select", "Fn::Join"), replace)


def with_texts(stack, node):
    """Copies a node and replaces all references to resources by texts."""
    return map_functions(node, ("Ref", "Fn::GetAtt", "Fn::Sub"), stack.text)


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
    unsupported = kinds - set(get_model_map()) - NOT_CREATED
    assert not unsupported, "moto cannot create these types. Add them to NOT_CREATED"
    missing = {name for name, resource in stack.resources.items() if resource["Type"] in NOT_CREATED}
    # These depend on resources that are not created.
    missing |= {n for n, r in stack.resources.items() if r["Type"] in ("AWS::RDS::DBInstance", "AWS::Lambda::Permission")}
    resources = {
        name: with_placeholders(stack, {key: part for key, part in resource.items() if key != "DependsOn"}, missing)
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
    physical_ids = {resource["LogicalResourceId"]: resource.get("PhysicalResourceId") for resource in described}
    assert set(physical_ids) == set(resources)
    return stack, physical_ids


def test_a_deployment_with_all_parameters_is_created(account):
    deployment = DEPLOYMENTS[f"aurora-proxy{ALL}"]
    parameters = {name: value for name, value in deployment.items() if name not in ("JwtSecretArn", "HostedZoneId")}
    stack, physical_ids = create(account, **parameters)
    assert len(physical_ids) > 120

    # KeyRing::parse reads this signing key as raw bytes: at least 32, and neither JSON nor PEM.
    generator = stack.resources["JwtSecret"]["Properties"]["GenerateSecretString"]
    secret = account("secretsmanager").get_random_password(**generator)["RandomPassword"]
    assert len(secret) == 64 and secret.isalnum() and len(set(secret)) > 16

    ec2 = account("ec2")
    subnets = ec2.describe_subnets(SubnetIds=[physical_ids["PrivateSubnetA"], physical_ids["PrivateSubnetB"]])["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    (table,) = ec2.describe_route_tables(RouteTableIds=[physical_ids["PrivateRoutes"]])["RouteTables"]
    gateways = {route.get("GatewayId") for route in table["Routes"]}
    assert not any(gateway and gateway.startswith(("igw", "nat")) for gateway in gateways)
    groups = [group for name, group in physical_ids.items() if name.endswith("SecurityGroup")]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": groups}])["SecurityGroupRules"]
    # Egress is not checked, because moto keeps the default rule, which CloudFormation replaces by the given ones.
    assert not [rule for rule in rules if not rule["IsEgress"] and rule.get("CidrIpv4")]
    assert {rule["ToPort"] for rule in rules if not rule["IsEgress"]} == {5432, 443}

    logs = {group["logGroupName"]: group for group in account("logs").describe_log_groups()["logGroups"]}
    assert len(logs) > 25 and all(group["retentionInDays"] == 30 for group in logs.values())

    topic = account("sns").get_topic_attributes(TopicArn=physical_ids["AlarmTopic"])["Attributes"]
    assert topic["KmsMasterKeyId"] == physical_ids["AlarmKey"]
    assert account("kms").get_key_rotation_status(KeyId=physical_ids["AlarmKey"])["KeyRotationEnabled"]
    cloudwatch = account("cloudwatch")
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        cloudwatch.put_metric_alarm(**{"AlarmName": name} | with_texts(stack, alarm))
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == len(stack.of_type("AWS::CloudWatch::Alarm")) == 12

    functions = account("lambda").list_functions()["Functions"]
    assert len(functions) == len(stack.functions())
    assert "keyhold-data-get" in {function["FunctionName"] for function in functions}


@pytest.mark.parametrize("deployment", ["aurora", "existing", "existing-iam", "dsql"])
def test_iam_accepts_every_policy(account, deployment):
    stack, physical_ids = create(account, **DEPLOYMENTS[deployment])
    iam = account("iam")
    for name, role in stack.of_type("AWS::IAM::Role").items():
        inline = iam.list_role_policies(RoleName=physical_ids[name])["PolicyNames"]
        assert inline == [policy["PolicyName"] for policy in role["Policies"]], name
    # moto parses managed policies, but does not attach them to roles.
    for name, policy in stack.of_type("AWS::IAM::ManagedPolicy").items():
        version = iam.get_policy_version(PolicyArn=physical_ids[name], VersionId="v1")["PolicyVersion"]
        assert len(version["Document"]["Statement"]) == len(policy["PolicyDocument"]["Statement"]), name
