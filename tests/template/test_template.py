"""Tests the resources that template.yaml creates for each deployment, as translated by SAM."""

import functools
import json
import re

import pytest
import yaml
from samcli.commands.deploy.auth_utils import auth_per_resource
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.yamlhelper import yaml_dump, yaml_parse

from functions import FUNCTIONS
from stack import DEPLOYMENTS, EXISTING, PSEUDO, ROOT, SECRET, VPC, Stack, database_of, source, source_functions, source_routes

# The logical id of each function, by its name in functions/.
LOGICAL_IDS = {
    function["Metadata"]["BuildProperties"]["Binary"]: logical_id for logical_id, function in source_functions().items()
}
# These have their own permissions, see their tests.
PRIVILEGED = {"migrate", "jwt-rotate", "mail-send"}
ORDINARY = [name for name in FUNCTIONS if name not in PRIVILEGED]
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
NETWORK = {
    f"ec2:{action}"
    for action in ["CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "DeleteNetworkInterface"]
    + ["AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"]
}
SECRETS = {"secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue"}
# Actions that support no resource in IAM, or only resources whose names are unknown when the role is created. template.yaml has
# the reason for each.
ON_ANY_RESOURCE = TRACES | NETWORK | {"secretsmanager:BatchGetSecretValue", "cloudwatch:DescribeAlarms"}


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request):
    return request.param


@functools.cache
def deployed(deployment):
    return Stack(**DEPLOYMENTS[deployment])


@pytest.fixture
def stack(deployment):
    return deployed(deployment)


def as_list(value):
    return value if isinstance(value, list) else [value]


def allowed(stack, role):
    """Returns the resources for each action that a role allows."""
    found = {}
    for statement in stack.statements(role):
        if statement["Effect"] == "Allow":
            for action in as_list(statement["Action"]):
                found.setdefault(action, set()).update(stack.texts(statement["Resource"]))
    return found


def role_of(stack, name):
    return stack.resources[stack.functions()[LOGICAL_IDS[name]]["Role"]["Fn::GetAtt"][0]]["Properties"]


def asynchronous_invocation_of(stack, name):
    """Returns the retries and destinations of asynchronous invocations of a function."""
    configs = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    (config,) = [config for config in configs if config["FunctionName"] == {"Ref": LOGICAL_IDS[name]}]
    assert config["Qualifier"] == "live"
    return config


def log_group_of(logical_id):
    return logical_id.replace("Function", "LogGroup")


def test_every_function_is_in_the_template():
    missing = [function.source for name, function in FUNCTIONS.items() if name not in LOGICAL_IDS]
    assert not missing, "add these functions to template.yaml"
    assert not set(LOGICAL_IDS) - set(FUNCTIONS), "remove these functions from template.yaml"


# The template as a whole


def test_every_reference_has_a_target(stack):
    existing = set(stack.resources)
    for name, targets in stack.direct_dependencies().items():
        assert targets <= existing, f"{name} refers to {targets - existing}"
    for name, value in stack.outputs.items():
        targets = stack.references(value)
        assert targets <= existing, f"the output {name} refers to {targets - existing}"


def test_dependencies_have_no_circle(stack):
    for name in stack.resources:
        assert name not in stack.dependencies_of(name), f"{name} depends on itself"


def test_dependencies_have_no_circle_across_all_conditions():
    stack = Stack()
    stack.resources = stack.raw["Resources"]
    for name in stack.resources:
        assert name not in stack.dependencies_of(name), f"{name} depends on itself"


def test_rules_reject_only_invalid_parameters(stack):
    assert stack.violated_rules() == []
    for invalid in [{"Database": "existing"}, {"DomainName": "api.example.com"}, {"RdsProxy": "true"} | EXISTING]:
        assert len(Stack(**invalid).violated_rules()) == 1, invalid


def test_the_template_is_within_the_limits_of_cloudformation(stack):
    assert len(stack.raw["Resources"]) <= 400, "the limit is 500, and each function needs about ten"
    assert len(json.dumps(stack.raw)) < 1_000_000
    assert len(stack.raw["Parameters"]) <= 200


def test_every_parameter_is_used_and_in_a_group():
    text = (ROOT / "template.yaml").read_text()
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(source()["Parameters"])
    for name, parameter in source()["Parameters"].items():
        assert re.search(rf"(!Ref |\${{){name}\b", text), f"{name} is not used"
        assert "Default" in parameter, f"{name} needs a default"


def test_sam_build_writes_the_same_template():
    written = yaml_dump(yaml_parse((ROOT / "template.yaml").read_text()))
    assert yaml_parse(written) == yaml_parse((ROOT / "template.yaml").read_text())
    aliases = [token for token in yaml.scan(written) if isinstance(token, (yaml.AliasToken, yaml.AnchorToken))]
    assert aliases == [], "CloudFormation does not support aliases"


# Functions


def test_every_function_has_its_own_role_log_and_settings(stack):
    roles = []
    for name, function in stack.functions().items():
        assert function["Timeout"] >= 15 and function["MemorySize"] >= 256, name
        assert function["Architectures"] == ["arm64"] and function["Runtime"] == "provided.al2023", name
        assert function["TracingConfig"] == {"Mode": "Active"}, name
        log = stack.resources[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        assert log["RetentionInDays"] == 30 and function["LoggingConfig"]["LogFormat"] == "JSON", name
        assert function["LoggingConfig"]["LogGroup"]["Ref"] == log_group_of(name), name
        assert "DATABASE_URL" in function["Environment"]["Variables"], f"`sam local` does not pass DATABASE_URL to {name}"
        assert function["Environment"]["Variables"]["DATABASE_URL"] == "", name
        assert function["Environment"]["Variables"]["JWT_SECRET"] == "", name
        assert function["Environment"]["Variables"]["JWT_PUBLIC_KEYS"] == "", name
        roles.append(function["Role"]["Fn::GetAtt"][0])
    assert len(set(roles)) == len(roles), "two functions share a role"


@pytest.mark.parametrize("name", ORDINARY)
def test_a_function_has_exactly_the_permissions_that_its_code_needs(stack, deployment, name):
    needs, logical_id = FUNCTIONS[name], LOGICAL_IDS[name]
    function = stack.functions()[logical_id]
    variables = function["Environment"]["Variables"]
    expected = {action: {f"«{log_group_of(logical_id)}.Arn»"} for action in LOGS}
    expected |= {action: {"*"} for action in TRACES}
    secrets = set()
    if needs.keys in ("sign", "digest"):
        secrets.add(stack.text(variables["JWT_SECRET_ARN"]))
    if needs.keys == "verify":
        secrets.add(stack.text(variables["JWT_PUBLIC_KEYS_ARN"]) or stack.text(variables["JWT_SECRET_ARN"]))
    if needs.role:
        assert variables["DATABASE_USER"] == needs.role, f"{needs.source} declares another ROLE"
        if "VpcConfig" in function:
            expected |= {action: {"*"} for action in NETWORK}
        database = database_of(deployment)
        match variables["DATABASE_AUTH"]:
            case "iam":
                cluster = "«DatabaseCluster.DBClusterResourceId»"
                # Versions that are older than the proxy connect to the cluster itself.
                ids = {"aurora-proxy": {cluster, "prx-1"}, "existing-iam": {"db-ABC123"}}.get(database, {cluster})
                arn = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:"
                expected["rds-db:connect"] = {f"{arn}{resource_id}/{needs.role}" for resource_id in ids}
            case "dsql":
                expected["dsql:DbConnect"] = {"«DsqlCluster.ResourceArn»"}
            case "":
                assert database in ("existing", "existing-vpc")
                secrets.add(SECRET)
    else:
        assert "VpcConfig" not in function, f"{needs.source} declares no ROLE, so the function needs no VPC"
    if stack.parameters["MailFrom"] and name in functions_that_mail():
        expected["s3:PutObject"] = {"«Outbox.Arn»/*"}
    if name == "users-import":
        expected |= {"s3:GetObject": {"«ImportBucket.Arn»/*"}, "s3:ListBucket": {"«ImportBucket.Arn»"}}
    if secrets:
        expected |= {"secretsmanager:BatchGetSecretValue": {"*"}, "secretsmanager:GetSecretValue": secrets}
    assert allowed(stack, role_of(stack, name)) == expected, f"change the policies in template.yaml, or {needs.source}"


# The functions of the library that put a message into the outbox.
MAILING = re.compile(r"\bapp\s*\.(?:mail_code|announce|require_verification|move_left_announcements)\(")


@functools.cache
def functions_that_mail():
    return {name for name, function in FUNCTIONS.items() if MAILING.search((ROOT / function.source).read_text())}


def test_migrate_signs_in_as_the_owner(stack, deployment):
    function, actions = stack.functions()[LOGICAL_IDS["migrate"]], allowed(stack, role_of(stack, "migrate"))
    variables = function["Environment"]["Variables"]
    if deployment.startswith("dsql"):
        assert (variables["DATABASE_AUTH"], variables["DATABASE_USER"]) == ("dsql", "admin")
        assert actions.pop("dsql:DbConnectAdmin") == {"«DsqlCluster.ResourceArn»"}
        secrets = set()
    else:
        secret = stack.text(variables["DATABASE_SECRET_ARN"])
        assert secret == ("«DatabaseCluster.MasterUserSecret.SecretArn»" if deployment.startswith("aurora") else SECRET)
        assert variables["DATABASE_AUTH"] == ""
        assert actions.pop("secretsmanager:BatchGetSecretValue") == {"*"}
        secrets = {secret}
    if not stack.parameters["JwtSecretArn"]:
        assert variables["JWT_KEYS"] == "create", "CloudFormation cannot create a key pair"
        keys = {"«JwtSecret»", "«JwtPublicKeys»"}
        secrets |= keys
        assert actions.pop("secretsmanager:PutSecretValue") == keys
    assert actions.pop("secretsmanager:GetSecretValue", set()) == secrets
    network = NETWORK if "VpcConfig" in function else set()
    assert set(actions) == LOGS | TRACES | network
    assert "Proxy" not in stack.text(variables["DATABASE_HOST"]), "the owner cannot sign in through the proxy"


def test_only_signing_keys_that_the_stack_creates_are_rotated(stack):
    schedules = [s for s in stack.of_type("AWS::SecretsManager::RotationSchedule").values() if "RotationLambdaARN" in s]
    if stack.parameters["JwtSecretArn"]:
        assert LOGICAL_IDS["jwt-rotate"] not in stack.resources and schedules == []
        return
    (schedule,) = schedules
    assert stack.text(schedule["SecretId"]) == "«JwtSecret»"
    assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 30}
    resources = allowed(stack, role_of(stack, "jwt-rotate"))
    both = {"«JwtSecret»", "«JwtPublicKeys»"}
    changes = {"GetSecretValue": both, "PutSecretValue": both, "UpdateSecretVersionStage": {"«JwtSecret»"}}
    changes = {f"secretsmanager:{action}": secrets for action, secrets in changes.items()}
    assert set(resources) == LOGS | TRACES | set(changes)
    assert {action: resources[action] for action in changes} == changes
    assert "Migration" in stack.raw["Resources"]["JwtSecretRotation"]["DependsOn"], "the first rotation needs a key pair"
    permission = stack.resources["JwtRotatePermission"]["Properties"]
    assert stack.text(permission["SourceArn"]) == "«JwtSecret»" and permission["Principal"] == "secretsmanager.amazonaws.com"


def test_only_functions_that_issue_tokens_can_read_the_signing_keys():
    signing = {name for name, function in FUNCTIONS.items() if function.keys == "sign"}
    assert signing == {"token", "token-refresh", "password-update", "account-email-request", "account-email-confirm"}
    # Their code derives other keys from the signing keys and drops these.
    digesting = {name for name, function in FUNCTIONS.items() if function.keys == "digest"}
    stack = Stack(**MAIL)
    readers = {
        name
        for name in FUNCTIONS
        if "«JwtSecret»" in allowed(stack, role_of(stack, name)).get("secretsmanager:GetSecretValue", set())
    }
    assert readers == signing | digesting | {"migrate", "jwt-rotate"}
    assert json.loads(stack.resources["JwtPublicKeys"]["Properties"]["SecretString"]) == {"keys": []}


def test_signing_keys_of_your_own_are_split_if_their_public_keys_are_given():
    public = SECRET[:-1] + "x"
    for parameters, expected in [({}, SECRET), ({"JwtPublicKeysArn": public}, public)]:
        stack = Stack(JwtSecretArn=SECRET, **parameters)
        assert "JwtPublicKeys" not in stack.resources
        reads = allowed(stack, role_of(stack, "data-get"))["secretsmanager:GetSecretValue"]
        assert reads == {expected}, parameters


def test_roles_are_limited_to_named_actions_and_resources(stack):
    for name, role in stack.of_type("AWS::IAM::Role").items():
        for action, resources in allowed(stack, role).items():
            assert "*" not in action, f"{name} allows {action}"
            assert "*" not in resources or action in ON_ANY_RESOURCE, f"{name} allows {action} on every resource"
        for arn in role.get("ManagedPolicyArns", []):
            assert isinstance(arn, dict), f"{name} has the managed policy {arn}, which allows more than it needs"


def test_the_code_of_a_function_cannot_change_the_network(stack):
    for policy in stack.of_type("AWS::IAM::ManagedPolicy").values():
        statements = policy["PolicyDocument"]["Statement"]
        if any(action.startswith("ec2:") for s in statements for action in as_list(s["Action"])):
            assert any(s["Effect"] == "Deny" and set(s["Action"]) == NETWORK for s in statements)


def test_concurrency_is_reserved_only_on_request():
    for function in Stack().functions().values():
        assert "ReservedConcurrentExecutions" not in function, "a new account cannot reserve concurrency"
    for function in Stack(ReservedConcurrency="20").functions().values():
        assert function["ReservedConcurrentExecutions"] == "20"


# Versions


def alias_of(stack, function):
    (alias,) = [a for a in stack.of_type("AWS::Lambda::Alias").values() if a["FunctionName"] == {"Ref": function}]
    return alias


def version_of(stack, function):
    return alias_of(stack, function)["FunctionVersion"]["Fn::GetAtt"][0]


def test_every_alias_points_to_a_version_with_the_current_settings(stack):
    for function in stack.functions():
        assert alias_of(stack, function)["Name"] == "live"
        version = stack.resources[version_of(stack, function)]
        assert stack.text(version["Properties"]["Description"]) == "«Settings.VersionNumber»"
        variables = stack.functions()[function]["Environment"]["Variables"]
        assert stack.text(variables["SETTINGS_VERSION"]) == "«Settings.VersionNumber»"
        assert version["DeletionPolicy"] == "Retain"


def test_the_settings_contain_every_value_of_the_functions():
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
            found.add(".".join(as_list(node["Fn::GetAtt"])))
        return found

    known = names(raw["Resources"]["Settings"]["Properties"]["Content"])
    # ReservedConcurrency is not part of a version. The others are constant, or the version number of Settings itself.
    known |= {"AWS::NoValue", "AWS::StackName", "AWS::AccountId", "Settings.VersionNumber", "ReservedConcurrency"}
    for name, resource in raw["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            own = {name.replace("Function", "Role") + ".Arn", log_group_of(name)}
            missing = names(resource["Properties"]) - known - own
            assert not missing, f"add {missing} to Settings, so that a change publishes a new version of {name}"


def test_new_code_publishes_a_new_version_of_its_function_only():
    before, after = Stack(), Stack(code={"DataGetFunction": "new"})
    changed = {name for name in before.functions() if version_of(before, name) != version_of(after, name)}
    assert changed == {"DataGetFunction"}
    assert before.resources["Migration"] == after.resources["Migration"]


def test_requests_shift_to_new_code_gradually_and_alarms_stop_the_shift(stack):
    alarms = {stack.text(alarm["AlarmName"]) for alarm in stack.of_type("AWS::CloudWatch::Alarm").values() if "AlarmName" in alarm}
    groups = stack.of_type("AWS::CodeDeploy::DeploymentGroup")
    tasks = {LOGICAL_IDS[name] for name, function in FUNCTIONS.items() if function.route is None}
    assert {name.removesuffix("DeploymentGroup") for name in groups} == set(stack.functions()) - tasks
    for group in groups.values():
        assert {stack.text(alarm["Name"]) for alarm in group["AlarmConfiguration"]["Alarms"]} == alarms
        assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["DeploymentRole", "Arn"]}
        preference = stack.parameters["DeploymentPreference"]
        assert stack.text(group["DeploymentConfigName"]) == f"CodeDeployDefault.Lambda{preference}"
    for function in stack.functions().values():
        assert stack.text(function["FunctionName"]).startswith("keyhold-"), "DeploymentRole allows only this prefix"


# Migrations


def test_the_schema_is_created_before_the_functions_that_use_it(stack):
    assert stack.resources["Migration"]["Properties"]["ServiceToken"] == {"Fn::GetAtt": ["MigrateFunction", "Arn"]}
    for name in ORDINARY:
        assert ("Migration" in stack.dependencies_of(LOGICAL_IDS[name])) == bool(FUNCTIONS[name].role), name


def test_the_database_and_its_network_are_created_before_the_migrations(stack, deployment):
    before = stack.dependencies_of("Migration")
    if deployment.startswith("aurora"):
        kinds = {"AWS::RDS::DBInstance", "AWS::EC2::VPCEndpoint", "AWS::EC2::SubnetRouteTableAssociation"}
        needed = {name for name, resource in stack.resources.items() if resource["Type"] in kinds} - {"DatabaseStandby"}
        assert needed | {"DatabaseFromTasks"} <= before
    if deployment.startswith("dsql"):
        assert "DsqlCluster" in before
    assert "MigrateRole" in before


def test_new_migrations_are_applied_and_never_reverted():
    before, after = Stack(), Stack(code={"MigrateFunction": "new"})
    assert before.resources["Migration"]["Properties"]["Version"] != after.resources["Migration"]["Properties"]["Version"]
    assert after.resources["Migration"]["DeletionPolicy"] == after.resources["Migration"]["UpdateReplacePolicy"] == "Retain"
    migrate = after.functions()["MigrateFunction"]
    assert int(after.resources["Migration"]["Properties"]["ServiceTimeout"]) > migrate["Timeout"]


def test_dsql_maps_the_roles_of_functions_to_database_roles(stack, deployment):
    roles = stack.resources["Migration"]["Properties"].get("DatabaseRoles")
    if not deployment.startswith("dsql"):
        assert roles is None
        return
    expected = {}
    for name, function in FUNCTIONS.items():
        if function.role:
            expected.setdefault(function.role, set()).add(LOGICAL_IDS[name].replace("Function", "Role"))
    assert {role: {arn["Fn::GetAtt"][0] for arn in arns} for role, arns in roles.items()} == expected


# The API


def test_every_route_invokes_its_function(stack):
    routed = {}
    for path, methods in stack.resources["HttpApi"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            alias = re.search(r"functions/\$\{(\w+)\}/invocations", uri)[1]
            routed[method.upper(), path] = stack.resources[alias]["Properties"]["FunctionName"]["Ref"]
    assert routed == source_routes() and len(routed) > 30
    permissions = [p for p in stack.of_type("AWS::Lambda::Permission").values() if p["Principal"] == "apigateway.amazonaws.com"]
    assert len(permissions) == len(routed)
    for permission in permissions:
        alias = stack.resources[permission["FunctionName"]["Ref"]]["Properties"]
        method, _, path = stack.text(permission["SourceArn"]).split("/", 2)[2].partition("/")
        matching = [name for (m, p), name in routed.items() if m == method and re.sub(r"\{\w+\}", "*", p) == f"/{path}"]
        assert matching == [alias["FunctionName"]["Ref"]], f"{method} /{path}"


def test_the_gateway_verifies_signatures_on_admin_routes_and_nothing_else():
    body = Stack().resources["HttpApi"]["Properties"]["Body"]
    assert body["components"]["securitySchemes"].keys() == {"AWS_IAM"}
    signed = set()
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                assert operation["security"] == [{"AWS_IAM": []}]
                signed.add(f"{method.upper()} {path}")
    assert signed == {f"{method} {path}" for method, path in source_routes() if path.startswith("/api/admin/")} and signed
    # Otherwise `sam deploy --guided` asks for each function whether it may have no authorizer.
    stacks, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"))
    assert all(has_auth for _, has_auth in auth_per_resource(stacks))


# The functions of the library that hash a password.
HASHING = re.compile(r"\bapp\s*\.(?:sign_in|reauthenticate|hash_password|register)\(")


def functions_that_hash():
    sources = {function: (ROOT / function.source).read_text() for function in FUNCTIONS.values()}
    return [function for function, text in sources.items() if HASHING.search(text)]


def test_routes_that_hash_passwords_have_a_whole_core_and_a_limit_of_their_own(stack):
    (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 100
    assert {"token", "register", "password-update"} <= {function.name for function in functions_that_hash()}
    assert set(stage["RouteSettings"]) == {function.route for function in functions_that_hash()}
    for settings in stage["RouteSettings"].values():
        assert settings == {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 50}
    hashing = {function.name for function in functions_that_hash()}
    for name, function in source_functions().items():
        binary = function["Metadata"]["BuildProperties"]["Binary"]
        assert (function["Properties"].get("MemorySize") == 1769) == (binary in hashing), name
    assert "$context.path" not in stage["AccessLogSettings"]["Format"], "a path contains the key of a user"
    json.loads(stage["AccessLogSettings"]["Format"])


def test_the_api_gateway_endpoint_can_be_closed_beside_a_domain():
    domain = {"DomainName": "api.example.com", "CertificateArn": "arn:aws:acm:eu-central-1:1:certificate/1"}
    for parameters, closed in [({}, False), (domain, False), ({**domain, "ExecuteApiEndpoint": "false"}, True)]:
        body = Stack(**parameters).resources["HttpApi"]["Properties"]["Body"]
        (server,) = body["servers"]
        settings = server["x-amazon-apigateway-endpoint-configuration"]
        assert settings == {"disableExecuteApiEndpoint": closed}, parameters


def test_browsers_may_call_the_api_only_from_given_origins():
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


def test_a_domain_is_created_only_on_request():
    assert not Stack().of_type("AWS::ApiGatewayV2::DomainName")
    with_domain = {"DomainName": "api.example.com", "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1"}
    stack = Stack(**with_domain)
    assert stack.text(stack.outputs["ApiUrl"]) == "https://api.example.com"
    assert stack.text(stack.outputs["DocsUrl"]) == "https://api.example.com/api/docs"
    assert not stack.of_type("AWS::Route53::RecordSet")
    assert Stack(HostedZoneId="Z1", **with_domain).of_type("AWS::Route53::RecordSet")
    assert stack.text(Stack().outputs["DocsUrl"]) == "«HttpApi.ApiEndpoint»/api/docs"


# The database and its network


def test_the_database_is_protected_from_loss_of_data(stack, deployment):
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
        assert [rotation["RotationRules"]["AutomaticallyAfterDays"] for rotation in schedule] == [days]
        restored = deployment.startswith("aurora-restored")
        assert ("SnapshotIdentifier" in properties) == restored == ("MasterUsername" not in properties)
    elif deployment.startswith("dsql"):
        cluster = stack.resources["DsqlCluster"]
        assert cluster["DeletionPolicy"] == cluster["UpdateReplacePolicy"] == "Retain"
        assert cluster["Properties"]["DeletionProtectionEnabled"] is True
    if not deployment.startswith("aurora"):
        kinds = {resource["Type"].rsplit("::", 1)[0] for resource in stack.resources.values()}
        assert not kinds & {"AWS::EC2", "AWS::RDS"}, "a network or a database is created without need"


def test_only_functions_with_a_database_are_in_its_network(stack, deployment):
    database = database_of(deployment)
    in_vpc = database.startswith("aurora") or database in ("existing-vpc", "existing-iam")
    for name, function in FUNCTIONS.items():
        if LOGICAL_IDS[name] in stack.functions():
            connects = name == "migrate" or function.role is not None
            assert ("VpcConfig" in stack.functions()[LOGICAL_IDS[name]]) == (in_vpc and connects), name
    if database in ("existing-vpc", "existing-iam"):
        expected = {"SubnetIds": VPC["SubnetIds"].split(","), "SecurityGroupIds": [VPC["SecurityGroupIds"]]}
        assert stack.functions()["MigrateFunction"]["VpcConfig"] == expected


def test_the_network_has_no_route_to_the_internet(stack):
    kinds = {resource["Type"] for resource in stack.resources.values()}
    for kind in ["InternetGateway", "NatGateway", "EIP", "Route", "VPCGatewayAttachment", "VPCPeeringConnection"]:
        assert f"AWS::EC2::{kind}" not in kinds
    subnets = stack.of_type("AWS::EC2::Subnet").values()
    assert not any(subnet.get("MapPublicIpOnLaunch") for subnet in subnets)
    assert {stack.text(subnet["AvailabilityZone"]) for subnet in subnets} in (set(), {"eu-central-1a", "eu-central-1b"})


def test_subnets_in_north_virginia_are_in_zones_that_lambda_supports(monkeypatch):
    monkeypatch.setitem(PSEUDO, "AWS::Region", "us-east-1")
    subnets = Stack().of_type("AWS::EC2::Subnet").values()
    assert {subnet["AvailabilityZoneId"] for subnet in subnets} == {"use1-az1", "use1-az2"}
    assert not any("AvailabilityZone" in subnet for subnet in subnets)


def flows(stack):
    """Returns the flows (source, destination, port) that security groups allow: those out of a source, those into a destination."""
    outbound, inbound = set(), set()
    for name, group in stack.of_type("AWS::EC2::SecurityGroup").items():
        assert group["SecurityGroupEgress"], f"{name} has no egress rule, so CloudFormation would allow all traffic"
        assert "SecurityGroupIngress" not in group
        for rule in group["SecurityGroupEgress"]:
            assert rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]
            destination = rule.get("CidrIp") or rule["DestinationSecurityGroupId"]["Fn::GetAtt"][0]
            outbound.add((name, destination, rule["ToPort"]))
    for rule in stack.of_type("AWS::EC2::SecurityGroupIngress").values():
        assert rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]
        inbound.add((rule["SourceSecurityGroupId"]["Fn::GetAtt"][0], rule["GroupId"]["Fn::GetAtt"][0], rule["ToPort"]))

    def short(flow):
        return tuple(str(part).replace("SecurityGroup", "") for part in flow)

    return set(map(short, outbound)), set(map(short, inbound))


def test_functions_can_reach_only_the_database_and_secrets_manager():
    inner = {("Function", "Database", "5432"), ("Function", "Endpoint", "443")}
    tasks = {("Task", "Database", "5432"), ("Task", "Endpoint", "443")}
    elsewhere = {("Task", "0.0.0.0/0", "443"), ("Database", "127.0.0.1/32", "443"), ("Endpoint", "127.0.0.1/32", "443")}
    assert flows(Stack()) == (inner | tasks | elsewhere, inner | tasks)
    # Also to the database itself, to which versions connect that are older than the proxy.
    inner |= {("Function", "Proxy", "5432"), ("Proxy", "Database", "5432")}
    for proxy in ["true", "unused"]:
        assert flows(Stack(RdsProxy=proxy)) == (inner | tasks | elsewhere, inner | tasks)


def test_functions_of_a_service_with_mail_can_also_reach_the_outbox():
    without, with_mail = Stack(), Stack(**MAIL)
    assert flows(with_mail)[0] - flows(without)[0] == {("Function", "0.0.0.0/0", "443")}
    assert reachable_objects(with_mail) - reachable_objects(without) == {("s3:PutObject", "«Outbox.Arn»/*")}
    assert reachable_objects(without) == {
        ("s3:PutObject", "arn:aws:s3:::cloudformation-custom-resource-response-*/*"),
        ("s3:GetObject", "«ImportBucket.Arn»/*"),
        ("s3:GetObject", "«ImportBucket.Arn»"),
        ("s3:ListBucket", "«ImportBucket.Arn»/*"),
        ("s3:ListBucket", "«ImportBucket.Arn»"),
    }


def reachable_objects(stack):
    """The actions and resources that the endpoint of S3 allows."""
    reachable = set()
    for statement in stack.resources["S3Endpoint"]["Properties"]["PolicyDocument"]["Statement"]:
        actions, resources = (
            value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
        )
        reachable |= {(action, stack.text(resource)) for action in actions for resource in resources}
    return reachable


def test_files_with_accounts_are_encrypted_and_expire():
    stack = Stack()
    bucket = stack.resources["ImportBucket"]["Properties"]
    assert bucket["BucketEncryption"] and all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == 7
    (denied,) = stack.resources["ImportBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert denied["Effect"] == "Deny" and denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    function = stack.functions()[LOGICAL_IDS["users-import"]]
    assert function["Timeout"] == 900 and "Proxy" not in stack.text(function["Environment"]["Variables"]["DATABASE_HOST"])


def test_an_import_is_not_repeated_by_lambda():
    assert asynchronous_invocation_of(Stack(), "users-import")["MaximumRetryAttempts"] == 0


def test_a_proxy_is_used_only_after_it_has_targets_and_not_in_the_deployment_before_its_removal():
    def host(stack):
        return stack.text(stack.functions()["DataGetFunction"]["Environment"]["Variables"]["DATABASE_HOST"])

    assert host(Stack(RdsProxy="true")) == "«DatabaseProxy.Endpoint»"
    for proxy in ["unused", "false"]:
        assert host(Stack(RdsProxy=proxy)) == "«DatabaseCluster.Endpoint.Address»"
    for proxy in ["true", "unused"]:
        stack = Stack(RdsProxy=proxy)
        assert "DatabaseProxyTargets" in stack.resources
        (migration,) = stack.of_type("Custom::Migration").values()
        assert {"Ref": "DatabaseProxyTargets"} in migration["Network"], "functions wait for the migration"


def test_the_regions_with_compiled_in_roots_are_documented_and_checked(monkeypatch):
    roots = set(re.findall(r"CN=Amazon RDS ([a-z]+-[a-z]+-\d) Root", (ROOT / "shared/roots/rds.pem").read_text()))
    rule = source()["Rules"]["TheRootsOfTheRegionAreKnown"]["Assertions"][0]["Assert"]["Fn::Contains"][0]
    deploy = (ROOT / "docs/deploy.md").read_text()
    section = deploy[deploy.index("## Regions") : deploy.index("## Sign-in to the database")]
    documented = set(re.findall(r"`([a-z]+-[a-z]+-\d)`", section))
    assert len(roots) > 20 and roots == set(rule) == documented
    monkeypatch.setitem(PSEUDO, "AWS::Region", "mx-central-1")
    (violated,) = Stack().violated_rules()
    assert "DatabaseCaLayer" in violated
    layer = "arn:aws:lambda:mx-central-1:123456789012:layer:keyhold-database-ca:1"
    assert not Stack(DatabaseCaLayer=layer).violated_rules() and not Stack(Database="dsql").violated_rules()
    variables = Stack(DatabaseCaLayer=layer).functions()["DataGetFunction"]
    assert variables["Layers"] == [layer]
    assert variables["Environment"]["Variables"]["DATABASE_CA_FILE"] == "/opt/database-ca.pem"
    assert "Layers" not in Stack().functions()["DataGetFunction"]


def test_a_second_zone_has_an_endpoint_only_beside_a_standby():
    def zones(stack):
        return len(stack.resources["SecretsEndpoint"]["Properties"]["SubnetIds"])

    assert (zones(Stack()), zones(Stack(AuroraStandby="true"))) == (1, 2)


def test_the_migration_waits_for_its_network():
    (migration,) = Stack().of_type("Custom::Migration").values()
    needed = {"S3Endpoint", "SecretsEndpoint", "DatabaseFromTasks", "EndpointFromTasks"}
    assert needed <= {resource["Ref"] for resource in migration["Network"]}


def test_two_stacks_in_a_region_do_not_share_names():
    stack = Stack()
    (schedule,) = stack.of_type("AWS::Scheduler::Schedule").values()
    assert stack.text(schedule["Name"]) == "keyhold-data-sweep"


def test_the_stack_policy_denies_the_replacement_of_data():
    """A changed parameter that is lost must not replace the database by an empty one."""
    statements = json.loads((ROOT / "docs/stack-policy.json").read_text())["Statement"]
    (denied,) = [s for s in statements if s["Effect"] == "Deny"]
    assert denied["Action"] == ["Update:Replace", "Update:Delete"]
    data = {"AWS::RDS::DBCluster", "AWS::DSQL::Cluster", "AWS::SecretsManager::Secret"}
    expected = {f"LogicalResourceId/{name}" for name, r in source()["Resources"].items() if r["Type"] in data}
    assert set(denied["Resource"]) == expected
    run = (ROOT / "docs/run.md").read_text()
    restore = run[run.index("## Restore") : run.index("## Remove")]
    assert "samconfig.toml" in restore and "--parameter-overrides" not in restore, "a later `sam deploy` would lose the value"


def test_sweeps_do_not_prevent_a_database_from_pausing():
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


# Mail

MAIL = {"MailFrom": "Keyhold <no-reply@example.com>"}
SMTP = {**MAIL, "SmtpUrlSecretArn": SECRET}


def test_mail_is_sent_only_on_request():
    stack = Stack()
    kinds = {resource["Type"] for resource in stack.resources.values()}
    assert not kinds & {"AWS::SQS::Queue", "AWS::SES::ConfigurationSet", "AWS::Events::Rule"}
    assert set(stack.of_type("AWS::S3::Bucket")) == {"ImportBucket"}
    assert LOGICAL_IDS["mail-send"] not in stack.resources
    for function in stack.functions().values():
        assert function["Environment"]["Variables"]["MAIL_OUTBOX"] == ""
    assert Stack(RequireVerifiedEmail="true").violated_rules()
    assert not Stack(RequireVerifiedEmail="true", **MAIL).violated_rules()


def test_a_message_in_the_outbox_invokes_the_function_that_sends_it():
    stack = Stack(**MAIL)
    function = stack.functions()["MailSendFunction"]
    assert "VpcConfig" not in function, "SES is not reachable from the VPC"
    variables = function["Environment"]["Variables"]
    assert stack.text(variables["MAIL_OUTBOX"]) == "s3://«Outbox»"
    assert variables["MAIL_FROM"] == MAIL["MailFrom"] and variables["MAIL_BRAND"] == "Keyhold"
    (rule,) = stack.of_type("AWS::Events::Rule").values()
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": [{"Ref": "Outbox"}]}}
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Ref": "MailSendFunctionAliaslive"}
    bucket = stack.resources["Outbox"]["Properties"]
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert all(bucket["PublicAccessBlockConfiguration"].values())


def test_a_message_that_cannot_be_sent_is_kept_and_raises_an_alarm():
    stack = Stack(**MAIL)
    config = asynchronous_invocation_of(stack, "mail-send")
    assert config["MaximumRetryAttempts"] == 2
    assert config["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["MailDeadLetters", "Arn"]}}}
    days = stack.resources["Outbox"]["Properties"]["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"]
    assert int(stack.resources["MailDeadLetters"]["Properties"]["MessageRetentionPeriod"]) == days * 24 * 3600
    assert "MailDeadLettersAlarm" in stack.resources


@pytest.mark.parametrize(("parameters", "by_ses"), [(MAIL, True), (SMTP, False)])
def test_the_function_that_sends_may_only_take_messages_and_send_them(parameters, by_ses):
    stack = Stack(**parameters)
    actions = allowed(stack, role_of(stack, "mail-send"))
    outbox = {"s3:GetObject": {"«Outbox.Arn»/*"}, "s3:DeleteObject": {"«Outbox.Arn»/*"}, "s3:ListBucket": {"«Outbox.Arn»"}}
    letters = {"sqs:SendMessage": {"«MailDeadLetters.Arn»"}}
    ses = "arn:aws:ses:eu-central-1:123456789012"
    resources = {f"{ses}:identity/*", f"{ses}:configuration-set/«MailConfigurationSet»"}
    sending = {"ses:SendEmail": resources, "ses:SendRawEmail": resources}
    if not by_ses:
        sending = {"secretsmanager:GetSecretValue": {SECRET}}
    logs = {action: {"«MailSendLogGroup.Arn»"} for action in LOGS}
    assert actions == outbox | letters | sending | logs | {action: {"*"} for action in TRACES}
    assert ("MailConfigurationSet" in stack.resources) == ("MailReputationAlarm" in stack.resources) == by_ses


def test_no_one_is_an_operator_unless_the_admin_routes_are_on():
    for parameters, account in [({}, ""), ({"AdminRoutes": "iam"}, {"Ref": "AWS::AccountId"})]:
        for function in Stack(**parameters).functions().values():
            variables = function["Environment"]["Variables"]
            assert variables["ADMIN_ACCOUNT_ID"] == account and variables["ADMIN_TOKEN"] == "", parameters


# Operation


def test_alarms_send_mail_only_on_request(stack):
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    for name, alarm in alarms.items():
        assert alarm["TreatMissingData"] == "notBreaching" and alarm["AlarmDescription"], name
        actions = [{"Ref": "AlarmTopic"}] if stack.parameters["AlarmEmail"] else None
        assert alarm.get("AlarmActions") == alarm.get("OKActions") == actions, name
    assert len(alarms) <= (12 if stack.parameters["MailFrom"] else 10), "each alarm costs money"
    topic = stack.of_type("AWS::SNS::Topic")
    assert bool(topic) == bool(stack.parameters["AlarmEmail"])
    for properties in topic.values():
        assert properties["KmsMasterKeyId"] == {"Ref": "AlarmKey"}


def test_the_dashboard_shows_every_metric_of_the_functions(stack, deployment):
    widgets = json.loads(stack.text(stack.resources["Dashboard"]["Properties"]["DashboardBody"]))["widgets"]
    assert len(widgets) == (12 if deployment.startswith("aurora") else 10)
    shown = json.dumps(widgets)
    code = (ROOT / "shared/src/telemetry/request_line.rs").read_text()
    constants = {name: re.findall(r'"(\w+)"', value) for name, value in re.findall(r"const (\w+): [^=]+ = ([^;]+);", code)}
    assert constants["NAMESPACE"] == ["Keyhold"]
    shown_by_route = re.findall(r"SEARCH\('{Keyhold/keyhold,route} MetricName=\W+(\w+)", shown)
    assert sorted(set(shown_by_route)) == sorted(constants["BY_ROUTE"]), "the dashboard shows other metrics by route"
    metrics = constants["ALWAYS"] + constants["SOMETIMES"] + constants["BY_CODE"]
    assert len(metrics) > 8
    for metric in metrics:
        assert f'"{metric}"' in shown or f'\\"{metric}\\"' in shown, f"the dashboard in template.yaml does not show {metric}"
    (namespace,) = {stack.text(f["Environment"]["Variables"]["METRICS_NAMESPACE"]) for f in stack.functions().values()}
    alarms = [
        alarm
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        if stack.text(alarm.get("Namespace", "")) == namespace == "Keyhold/keyhold"
    ]
    assert {alarm["MetricName"] for alarm in alarms} == {"failed_sign_ins", "throttled", "refresh_reused"} <= set(metrics)
    assert all("Dimensions" not in alarm for alarm in alarms)


def test_the_connection_alarm_supports_every_capacity():
    known = source()["Mappings"]["AuroraConnections"]
    assert set(known) == set(source()["Parameters"]["AuroraMaxCapacity"]["AllowedValues"])
