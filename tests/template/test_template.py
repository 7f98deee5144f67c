"""What template.yaml makes of each sensible set of parameters, read from what SAM translates it to."""

import functools
import json
import re

import pytest
import yaml
from samcli.commands.deploy.auth_utils import auth_per_resource
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.yamlhelper import yaml_dump, yaml_parse

from stack import DEPLOYMENTS, EXISTING, PSEUDO, ROOT, SECRET, VPC, Stack, source

# What a function needs, by its name in functions/. Whoever signs in as nobody has no database.
NEEDS = {
    name: (user, keys)
    for user, keys, names in [
        ("keyhold_register", False, "register"),
        ("keyhold_passwords", True, "token password-update"),
        ("keyhold_accounts", False, "token-revoke"),
        ("keyhold_accounts", True, "token-refresh session-list session-delete session-delete-all account-get account-update"),
        ("keyhold_eraser", True, "account-delete"),
        ("keyhold_reader", True, "data-get data-list"),
        ("keyhold_exporter", True, "account-export"),
        ("keyhold_writer", True, "data-create data-update data-delete data-batch"),
        ("keyhold_sweeper", False, "data-sweep"),
        ("keyhold_monitor", False, "health-ready"),
        (None, True, "jwks-get"),
        (None, False, "health-get openapi-get docs-get"),
    ]
    for name in names.split()
}
SERVERLESS = {
    resource["Metadata"]["BuildProperties"]["Binary"]: name
    for name, resource in source()["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
NETWORK = {
    f"ec2:{action}"
    for action in ["CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "DeleteNetworkInterface"]
    + ["AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"]
}
SECRETS = {"secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue"}
# Actions for which IAM knows no resource, or none that has a name when the role is made. Each says why in template.yaml.
ON_ANYTHING = TRACES | NETWORK | {"secretsmanager:BatchGetSecretValue", "cloudwatch:DescribeAlarms"}


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request):
    return request.param


@functools.cache
def deployed(deployment):
    return Stack(**DEPLOYMENTS[deployment])


@pytest.fixture
def stack(deployment):
    return deployed(deployment)


def listed(value):
    return value if isinstance(value, list) else [value]


def allowed(stack, role):
    """Action -> resources, of all that a role may do."""
    found = {}
    for statement in stack.statements(role):
        if statement["Effect"] == "Allow":
            for action in listed(statement["Action"]):
                found.setdefault(action, set()).update(stack.texts(statement["Resource"]))
    return found


def role_of(stack, binary):
    return stack.resources[stack.functions()[SERVERLESS[binary]]["Role"]["Fn::GetAtt"][0]]["Properties"]


def test_every_function_of_the_tree_is_in_the_template():
    folders = {folder.name for folder in (ROOT / "functions").iterdir()}
    assert set(SERVERLESS) == folders, "add the function to template.yaml"
    assert set(NEEDS) | {"migrate", "jwt-rotate"} == folders, "say in NEEDS what the function needs"


# One template for all


def test_nothing_refers_to_what_is_not_there(stack):
    there = set(stack.resources)
    for name, waits in stack.dependencies().items():
        assert waits <= there, f"{name} refers to {waits - there}"
    for name, value in stack.outputs.items():
        assert stack.references(value) <= there, f"the output {name} refers to {stack.references(value) - there}"


def test_nothing_waits_for_itself(stack):
    for name in stack.resources:
        assert name not in stack.before(name), f"{name} waits for itself"


def test_nothing_waits_for_itself_whatever_the_conditions():
    stack = Stack()
    stack.resources = stack.raw["Resources"]
    for name in stack.resources:
        assert name not in stack.before(name), f"{name} waits for itself"


def test_no_rule_is_broken_and_what_would_fail_late_breaks_one(stack):
    assert stack.broken_rules() == []
    assert len(Stack(Database="existing").broken_rules()) == 1
    assert len(Stack(DomainName="api.example.com").broken_rules()) == 1
    assert len(Stack(RdsProxy="true", **EXISTING).broken_rules()) == 1


def test_cloudformation_takes_as_much(stack):
    assert len(stack.raw["Resources"]) <= 400, "CloudFormation takes 500, and each function needs some ten"
    assert len(json.dumps(stack.raw)) < 1_000_000
    assert len(stack.raw["Parameters"]) <= 200


def test_every_parameter_is_used_and_has_its_place():
    text = (ROOT / "template.yaml").read_text()
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(source()["Parameters"])
    for name, parameter in source()["Parameters"].items():
        assert re.search(rf"(!Ref |\${{){name}\b", text), f"nothing uses {name}"
        assert "Default" in parameter, f"{name} would have to be given"


def test_what_sam_build_writes_is_the_same_template():
    written = yaml_dump(yaml_parse((ROOT / "template.yaml").read_text()))
    assert yaml_parse(written) == yaml_parse((ROOT / "template.yaml").read_text())
    aliases = [token for token in yaml.scan(written) if isinstance(token, (yaml.AliasToken, yaml.AnchorToken))]
    assert aliases == [], "CloudFormation would have to read aliases"


# Functions


def test_every_function_has_what_it_needs_to_run(stack):
    roles = []
    for name, function in stack.functions().items():
        assert function["Timeout"] >= 15 and function["MemorySize"] >= 256, name
        assert function["Architectures"] == ["arm64"] and function["Runtime"] == "provided.al2023", name
        assert function["TracingConfig"] == {"Mode": "Active"}, name
        log = stack.resources[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        assert log["RetentionInDays"] == 30 and function["LoggingConfig"]["LogFormat"] == "JSON", name
        assert function["LoggingConfig"]["LogGroup"]["Ref"] == name.replace("Function", "LogGroup"), name
        assert "DATABASE_URL" in function["Environment"]["Variables"], f"sam local passes no DATABASE_URL on to {name}"
        assert function["Environment"]["Variables"]["DATABASE_URL"] == "", name
        assert function["Environment"]["Variables"]["JWT_SECRET"] == "", name
        roles.append(function["Role"]["Fn::GetAtt"][0])
    assert len(set(roles)) == len(roles), "two functions share a role"


@pytest.mark.parametrize("binary", NEEDS)
def test_a_function_may_do_what_it_needs_and_nothing_else(stack, deployment, binary):
    user, keys = NEEDS[binary]
    function, may = stack.functions()[SERVERLESS[binary]], allowed(stack, role_of(stack, binary))
    expected = {action: {f"«{SERVERLESS[binary].replace('Function', 'LogGroup')}.Arn»"} for action in LOGS}
    expected |= {action: {"*"} for action in TRACES}
    secrets = set()
    if keys:
        secrets.add(stack.text(function["Environment"]["Variables"]["JWT_SECRET_ARN"]))
    if user:
        assert function["Environment"]["Variables"]["DATABASE_USER"] == user
        if "VpcConfig" in function:
            expected |= {action: {"*"} for action in NETWORK}
        kind = deployment.removesuffix("-and-everything")
        match function["Environment"]["Variables"]["DATABASE_AUTH"]:
            case "iam":
                database = {"aurora-proxy": "prx-1", "existing-iam": "db-ABC123"}.get(
                    kind, "«DatabaseCluster.DBClusterResourceId»"
                )
                arn = f"arn:aws:rds-db:eu-central-1:123456789012:dbuser:{database}/{user}"
                expected["rds-db:connect"] = {arn}
            case "dsql":
                expected["dsql:DbConnect"] = {"«DsqlCluster.ResourceArn»"}
            case "":
                assert kind in ("existing", "existing-vpc")
                secrets.add(SECRET)
    else:
        assert "VpcConfig" not in function, "without a database there is nothing to reach"
    if secrets:
        expected |= {"secretsmanager:BatchGetSecretValue": {"*"}, "secretsmanager:GetSecretValue": secrets}
    assert may == expected


def test_migrate_signs_in_as_the_owner(stack, deployment):
    function, may = stack.functions()[SERVERLESS["migrate"]], allowed(stack, role_of(stack, "migrate"))
    variables = function["Environment"]["Variables"]
    if deployment.startswith("dsql"):
        assert (variables["DATABASE_AUTH"], variables["DATABASE_USER"]) == ("dsql", "admin")
        assert may.pop("dsql:DbConnectAdmin") == {"«DsqlCluster.ResourceArn»"}
    else:
        secret = stack.text(variables["DATABASE_SECRET_ARN"])
        assert secret == ("«DatabaseCluster.MasterUserSecret.SecretArn»" if deployment.startswith("aurora") else SECRET)
        assert variables["DATABASE_AUTH"] == ""
        assert may.pop("secretsmanager:GetSecretValue") == {secret}
        assert may.pop("secretsmanager:BatchGetSecretValue") == {"*"}
    network = NETWORK if "VpcConfig" in function else set()
    assert set(may) == LOGS | TRACES | network
    assert "Proxy" not in stack.text(variables["DATABASE_HOST"]), "the proxy does not know the owner"


def test_keys_that_are_made_are_rotated_and_those_of_others_are_not(stack, deployment):
    schedules = [s for s in stack.of_type("AWS::SecretsManager::RotationSchedule").values() if "RotationLambdaARN" in s]
    if stack.parameters["JwtSecretArn"]:
        assert SERVERLESS["jwt-rotate"] not in stack.resources and schedules == []
        return
    (schedule,) = schedules
    assert stack.text(schedule["SecretId"]) == "«JwtSecret»"
    assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 30}
    may = allowed(stack, role_of(stack, "jwt-rotate"))
    changes = {f"secretsmanager:{action}" for action in ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]}
    assert set(may) == LOGS | TRACES | changes
    assert all(may[action] == {"«JwtSecret»"} for action in changes)
    permission = stack.resources["JwtRotatePermission"]["Properties"]
    assert stack.text(permission["SourceArn"]) == "«JwtSecret»" and permission["Principal"] == "secretsmanager.amazonaws.com"


def test_no_role_may_do_something_to_everything_without_a_reason(stack):
    for name, role in stack.of_type("AWS::IAM::Role").items():
        for action, resources in allowed(stack, role).items():
            assert "*" not in action, f"{name}: {action}"
            assert "*" not in resources or action in ON_ANYTHING, f"{name} may {action} on *"
        for arn in role.get("ManagedPolicyArns", []):
            assert isinstance(arn, dict), f"{name} has a policy of AWS's, which allows more than is needed: {arn}"


def test_a_functions_code_has_nothing_to_do_with_the_network(stack):
    for policy in stack.of_type("AWS::IAM::ManagedPolicy").values():
        statements = policy["PolicyDocument"]["Statement"]
        if any(action.startswith("ec2:") for s in statements for action in listed(s["Action"])):
            assert any(s["Effect"] == "Deny" and set(s["Action"]) == NETWORK for s in statements)


def test_a_new_account_can_deploy_it():
    for function in Stack().functions().values():
        assert "ReservedConcurrentExecutions" not in function, "of an account's first ten, none can be reserved"
    for function in Stack(ReservedConcurrency="20").functions().values():
        assert function["ReservedConcurrentExecutions"] == "20"


# Versions: what runs is what was published


def alias_of(stack, function):
    (alias,) = [a for a in stack.of_type("AWS::Lambda::Alias").values() if a["FunctionName"] == {"Ref": function}]
    return alias


def version_of(stack, function):
    return alias_of(stack, function)["FunctionVersion"]["Fn::GetAtt"][0]


def test_every_alias_points_to_a_version_that_names_the_settings(stack):
    for function in stack.functions():
        assert alias_of(stack, function)["Name"] == "live"
        version = stack.resources[version_of(stack, function)]
        assert stack.text(version["Properties"]["Description"]) == "«Settings.VersionNumber»"
        variables = stack.functions()[function]["Environment"]["Variables"]
        assert stack.text(variables["SETTINGS_VERSION"]) == "«Settings.VersionNumber»"
        assert version["DeletionPolicy"] == "Retain"


def test_the_settings_have_all_that_a_function_is_made_of():
    raw = Stack().raw

    def names(node):
        if isinstance(node, list):
            return set().union(*map(names, node)) if node else set()
        if not isinstance(node, dict):
            return set()
        found = set().union(*map(names, node.values())) if node else set()
        if "Ref" in node:
            found.add(node["Ref"])
        if "Fn::GetAtt" in node:
            found.add(".".join(listed(node["Fn::GetAtt"])))
        return found

    known = names(raw["Resources"]["Settings"]["Properties"]["Content"])
    # These change the function without a new version, or not without new code; a role and a log group keep their names.
    known |= {"AWS::NoValue", "AWS::StackName", "Settings.VersionNumber", "ReservedConcurrency"}
    for name, resource in raw["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            own = {name.replace("Function", "Role") + ".Arn", name.replace("Function", "LogGroup")}
            missing = names(resource["Properties"]) - known - own
            assert not missing, f"{name} depends on {missing}, which Settings has to have: or it changes unpublished"


def test_new_code_of_a_function_is_a_new_version_of_it_alone():
    before, after = Stack(), Stack(code={"DataGetFunction": "new"})
    changed = {name for name in before.functions() if version_of(before, name) != version_of(after, name)}
    assert changed == {"DataGetFunction"}
    assert before.resources["Migration"] == after.resources["Migration"]


def test_requests_go_over_to_new_code_in_steps_that_alarms_stop(stack):
    alarms = {stack.text(alarm["AlarmName"]) for alarm in stack.of_type("AWS::CloudWatch::Alarm").values() if "AlarmName" in alarm}
    groups = stack.of_type("AWS::CodeDeploy::DeploymentGroup")
    stepless = {SERVERLESS[name] for name in ["migrate", "data-sweep", "jwt-rotate"]}
    assert {name.removesuffix("DeploymentGroup") for name in groups} == set(stack.functions()) - stepless
    for group in groups.values():
        assert {stack.text(alarm["Name"]) for alarm in group["AlarmConfiguration"]["Alarms"]} == alarms
        assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["DeploymentRole", "Arn"]}
        step = stack.parameters["DeploymentPreference"]
        assert stack.text(group["DeploymentConfigName"]) == f"CodeDeployDefault.Lambda{step}"
    for function in stack.functions().values():
        assert stack.text(function["FunctionName"]).startswith("keyhold-"), "DeploymentRole knows them by this"


# Migrations


def test_the_schema_is_there_before_a_function_uses_it(stack):
    assert stack.resources["Migration"]["Properties"]["ServiceToken"] == {"Fn::GetAtt": ["MigrateFunction", "Arn"]}
    for binary, (user, _) in NEEDS.items():
        assert ("Migration" in stack.before(SERVERLESS[binary])) == bool(user), binary


def test_the_way_to_the_database_is_there_before_the_migrations(stack, deployment):
    before = stack.before("Migration")
    if deployment.startswith("aurora"):
        kinds = {"AWS::RDS::DBInstance", "AWS::EC2::VPCEndpoint", "AWS::EC2::SubnetRouteTableAssociation"}
        needed = {name for name, resource in stack.resources.items() if resource["Type"] in kinds} - {"DatabaseStandby"}
        assert needed | {"DatabaseFromMigrate"} <= before
    if deployment.startswith("dsql"):
        assert "DsqlCluster" in before
    assert "MigrateRole" in before


def test_new_migrations_are_applied_and_nothing_is_undone():
    before, after = Stack(), Stack(code={"MigrateFunction": "new"})
    assert before.resources["Migration"]["Properties"]["Version"] != after.resources["Migration"]["Properties"]["Version"]
    assert after.resources["Migration"]["DeletionPolicy"] == after.resources["Migration"]["UpdateReplacePolicy"] == "Retain"
    migrate = after.functions()["MigrateFunction"]
    assert int(after.resources["Migration"]["Properties"]["ServiceTimeout"]) > migrate["Timeout"]


def test_dsql_is_told_who_may_be_whom(stack, deployment):
    roles = stack.resources["Migration"]["Properties"].get("DatabaseRoles")
    if not deployment.startswith("dsql"):
        assert roles is None
        return
    expected = {}
    for binary, (user, _) in NEEDS.items():
        if user:
            expected.setdefault(user, set()).add(SERVERLESS[binary].replace("Function", "Role"))
    assert {user: {arn["Fn::GetAtt"][0] for arn in arns} for user, arns in roles.items()} == expected


# The API


def test_every_route_leads_to_its_function(stack):
    events = {}
    for name, resource in source()["Resources"].items():
        for event in resource.get("Properties", {}).get("Events", {}).values() if "Serverless" in resource["Type"] else ():
            if event["Type"] == "HttpApi":
                events[event["Properties"]["Method"], event["Properties"]["Path"]] = name
    routed = {}
    for path, methods in stack.resources["HttpApi"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            alias = re.search(r"functions/\$\{(\w+)\}/invocations", uri)[1]
            routed[method.upper(), path] = stack.resources[alias]["Properties"]["FunctionName"]["Ref"]
    assert routed == events and len(routed) > 30
    permissions = [p for p in stack.of_type("AWS::Lambda::Permission").values() if p["Principal"] == "apigateway.amazonaws.com"]
    assert len(permissions) == len(routed)
    for permission in permissions:
        alias = stack.resources[permission["FunctionName"]["Ref"]]["Properties"]
        method, _, path = stack.text(permission["SourceArn"]).split("/", 2)[2].partition("/")
        here = [name for (m, p), name in routed.items() if m == method and re.sub(r"\{\w+\}", "*", p) == f"/{path}"]
        assert here == [alias["FunctionName"]["Ref"]], f"{method} /{path}"


def test_the_gateway_leaves_tokens_to_the_functions():
    body = json.dumps(Stack().resources["HttpApi"]["Properties"]["Body"])
    assert "security" not in body
    # The question that `sam deploy --guided` would ask of each function, and take Enter for no.
    stacks, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"))
    assert all(answered for _, answered in auth_per_resource(stacks))


def test_what_costs_a_core_is_throttled_more(stack):
    (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 100
    assert set(stage["RouteSettings"]) == {"POST /api/register", "POST /api/token"}
    for settings in stage["RouteSettings"].values():
        assert settings == {"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 10}
    assert "$context.path" not in stage["AccessLogSettings"]["Format"], "a path tells a user's key"
    json.loads(stage["AccessLogSettings"]["Format"])


def test_browsers_of_others_are_let_in_by_name_alone():
    assert "x-amazon-apigateway-cors" not in Stack().resources["HttpApi"]["Properties"]["Body"]
    cors = Stack(CorsOrigins="https://a.example,https://b.example").resources["HttpApi"]["Properties"]["Body"][
        "x-amazon-apigateway-cors"
    ]
    assert cors == {
        "allowOrigins": {"Fn::Split": [",", "https://a.example,https://b.example"]},
        "allowMethods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        "allowHeaders": ["Accept", "Authorization", "Content-Type", "If-Match", "If-None-Match"],
        "exposeHeaders": ["ETag", "Location", "Retry-After", "WWW-Authenticate"],
        "maxAge": 7200,
    }


def test_a_domain_is_made_only_where_it_is_asked_for():
    assert not Stack().of_type("AWS::ApiGatewayV2::DomainName")
    with_domain = {"DomainName": "api.example.com", "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1"}
    stack = Stack(**with_domain)
    assert stack.text(stack.outputs["ApiUrl"]) == "https://api.example.com"
    assert stack.text(stack.outputs["DocsUrl"]) == "https://api.example.com/api/docs"
    assert not stack.of_type("AWS::Route53::RecordSet")
    assert Stack(HostedZoneId="Z1", **with_domain).of_type("AWS::Route53::RecordSet")
    assert stack.text(Stack().outputs["DocsUrl"]) == "«HttpApi.ApiEndpoint»/api/docs"


# The database and its network


def test_the_database_keeps_what_it_has(stack, deployment):
    if deployment.startswith("aurora"):
        cluster = stack.resources["DatabaseCluster"]
        assert cluster["DeletionPolicy"] == cluster["UpdateReplacePolicy"] == "Snapshot"
        properties = cluster["Properties"]
        for name in ["DeletionProtection", "StorageEncrypted", "EnableIAMDatabaseAuthentication", "ManageMasterUserPassword"]:
            assert properties[name] is True, name
        assert "MasterUserPassword" not in properties and properties["BackupRetentionPeriod"] >= 7
        for instance in stack.of_type("AWS::RDS::DBInstance").values():
            assert instance["PubliclyAccessible"] is False
        schedule = [s for s in stack.of_type("AWS::SecretsManager::RotationSchedule").values() if "RotationLambdaARN" not in s]
        days = stack.parameters["OwnerPasswordDays"]
        assert [rotation["RotationRules"]["AutomaticallyAfterDays"] for rotation in schedule] == ([] if days == 7 else [days])
        restored = deployment.startswith("aurora-restored")
        assert ("SnapshotIdentifier" in properties) == restored == ("MasterUsername" not in properties)
    elif deployment.startswith("dsql"):
        cluster = stack.resources["DsqlCluster"]
        assert cluster["DeletionPolicy"] == cluster["UpdateReplacePolicy"] == "Retain"
        assert cluster["Properties"]["DeletionProtectionEnabled"] is True
    if not deployment.startswith("aurora"):
        kinds = {resource["Type"].rsplit("::", 1)[0] for resource in stack.resources.values()}
        assert not kinds & {"AWS::EC2", "AWS::RDS"}, "there is a network or a database that is not needed"


def test_only_functions_with_a_database_are_in_its_network(stack, deployment):
    kind = deployment.removesuffix("-and-everything")
    in_vpc = kind.startswith("aurora") or kind in ("existing-vpc", "existing-iam")
    with_database = {"migrate", *(binary for binary, (user, _) in NEEDS.items() if user)}
    for binary, function in SERVERLESS.items():
        if function in stack.functions():
            assert ("VpcConfig" in stack.functions()[function]) == (in_vpc and binary in with_database), binary
    if kind in ("existing-vpc", "existing-iam"):
        expected = {"SubnetIds": VPC["SubnetIds"].split(","), "SecurityGroupIds": [VPC["SecurityGroupIds"]]}
        assert stack.functions()["MigrateFunction"]["VpcConfig"] == expected


def test_the_network_leads_nowhere_else(stack):
    kinds = {resource["Type"] for resource in stack.resources.values()}
    for kind in ["InternetGateway", "NatGateway", "EIP", "Route", "VPCGatewayAttachment", "VPCPeeringConnection"]:
        assert f"AWS::EC2::{kind}" not in kinds
    subnets = stack.of_type("AWS::EC2::Subnet").values()
    assert not any(subnet.get("MapPublicIpOnLaunch") for subnet in subnets)
    assert {stack.text(subnet["AvailabilityZone"]) for subnet in subnets} in (set(), {"eu-central-1a", "eu-central-1b"})


def test_lambda_is_in_both_zones_of_north_virginia(monkeypatch):
    monkeypatch.setitem(PSEUDO, "AWS::Region", "us-east-1")
    subnets = Stack().of_type("AWS::EC2::Subnet").values()
    assert {subnet["AvailabilityZoneId"] for subnet in subnets} == {"use1-az1", "use1-az2"}
    assert not any("AvailabilityZone" in subnet for subnet in subnets)


def flows(stack):
    """Who may speak to whom, as both sides' security groups allow it."""
    out, into = set(), set()
    for name, group in stack.of_type("AWS::EC2::SecurityGroup").items():
        assert group["SecurityGroupEgress"], f"{name} would let everything out"
        assert "SecurityGroupIngress" not in group
        for rule in group["SecurityGroupEgress"]:
            assert rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]
            to = rule["DestinationSecurityGroupId"]["Fn::GetAtt"][0] if "CidrIp" not in rule else rule["CidrIp"]
            out.add((name, to, rule["ToPort"]))
    for rule in stack.of_type("AWS::EC2::SecurityGroupIngress").values():
        assert rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]
        into.add((rule["SourceSecurityGroupId"]["Fn::GetAtt"][0], rule["GroupId"]["Fn::GetAtt"][0], rule["ToPort"]))
    short = lambda flow: tuple(str(part).replace("SecurityGroup", "") for part in flow)
    return set(map(short, out)), set(map(short, into))


def test_functions_reach_the_database_and_the_secrets_alone():
    inner = {("Function", "Database", "5432"), ("Function", "Endpoint", "443")}
    migrate = {("Migrate", "Database", "5432"), ("Migrate", "Endpoint", "443")}
    elsewhere = {("Migrate", "0.0.0.0/0", "443"), ("Database", "127.0.0.1/32", "443"), ("Endpoint", "127.0.0.1/32", "443")}
    assert flows(Stack()) == (inner | migrate | elsewhere, inner | migrate)
    inner = {("Function", "Proxy", "5432"), ("Proxy", "Database", "5432"), ("Function", "Endpoint", "443")}
    assert flows(Stack(RdsProxy="true")) == (inner | migrate | elsewhere, inner | migrate)


def test_a_database_that_may_pause_is_left_alone():
    def sweeps(stack):
        (schedule,) = stack.of_type("AWS::Scheduler::Schedule").values()
        return schedule["ScheduleExpression"]

    pausing = Stack().resources["DatabaseCluster"]["Properties"]["ServerlessV2ScalingConfiguration"]
    assert pausing == {"MinCapacity": "0", "MaxCapacity": "4", "SecondsUntilAutoPause": 300}
    assert sweeps(Stack()) == "rate(1 day)"
    assert int(Stack().resources["DatabaseParameters"]["Properties"]["Parameters"]["idle_session_timeout"]) < 300_000
    for awake in [{"AuroraMinCapacity": "0.5"}, {"RdsProxy": "true"}, {"Database": "dsql"}, EXISTING]:
        assert sweeps(Stack(**awake)) == "rate(5 minutes)"
    awake = Stack(AuroraMinCapacity="0.5").resources["DatabaseCluster"]["Properties"]["ServerlessV2ScalingConfiguration"]
    assert "SecondsUntilAutoPause" not in awake


# Operation


def test_alarms_tell_whoever_asked_for_it(stack):
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    for name, alarm in alarms.items():
        assert alarm["TreatMissingData"] == "notBreaching" and alarm["AlarmDescription"], name
        told = [{"Ref": "AlarmTopic"}] if stack.parameters["AlarmEmail"] else None
        assert alarm.get("AlarmActions") == alarm.get("OKActions") == told, name
    assert len(alarms) <= 10, "each costs money"
    topic = stack.of_type("AWS::SNS::Topic")
    assert bool(topic) == bool(stack.parameters["AlarmEmail"])
    for properties in topic.values():
        assert properties["KmsMasterKeyId"] == {"Ref": "AlarmKey"}


def test_the_dashboard_shows_what_the_log_measures(stack, deployment):
    widgets = json.loads(stack.text(stack.resources["Dashboard"]["Properties"]["DashboardBody"]))["widgets"]
    assert len(widgets) == (12 if deployment.startswith("aurora") else 10)
    shown = json.dumps(widgets)
    log = (ROOT / "shared/src/request_log.rs").read_text()
    assert 'NAMESPACE: &str = "Keyhold"' in log
    by_route = re.findall(r"\w+", re.search(r'directive\(&\["route"\], &\|name\| \[(.*?)\]', log)[1])
    searched = re.findall(r"SEARCH\('{Keyhold,route} MetricName=\W+(\w+)", shown)
    assert sorted(set(searched)) == sorted(by_route), "what is measured by route is shown by route, and nothing else"
    for metric in re.findall(r'\("(\w+)", "(?:Count|Milliseconds)"', log):
        assert f'"{metric}"' in shown or f'\\"{metric}\\"' in shown, f"{metric} is measured and not shown"
    (failed,) = [a for a in stack.of_type("AWS::CloudWatch::Alarm").values() if a.get("Namespace") == "Keyhold"]
    assert failed["MetricName"] == "failed_sign_ins" and "Dimensions" not in failed and '"failed_sign_ins"' in log


def test_connections_are_known_for_every_capacity():
    known = source()["Mappings"]["AuroraConnections"]
    assert set(known) == set(source()["Parameters"]["AuroraMaxCapacity"]["AllowedValues"])
