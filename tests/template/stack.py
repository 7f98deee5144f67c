"""Reads template.yaml like CloudFormation: translated by SAM, for the parameters of one deployment."""

import copy
import functools
import json
import logging
import os
import re
from pathlib import Path

# The translator asks boto3 for the partition of the region.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
logging.disable(logging.WARNING)

from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/keyhold/1",
    "AWS::StackName": "keyhold",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = {"Ref": "AWS::NoValue"}
SUB_NAME = r"\$\{([^!}][^}]*)\}"


class NoManagedPolicies:
    """Gives SAM no ARNs of AWS managed policies, because the template uses none."""

    def load(self):
        return {}


def source():
    """Returns the template before translation, with aliases expanded."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def source_functions():
    """Returns the functions before translation, by logical id."""
    return {
        name: resource
        for name, resource in source()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def source_routes():
    """Returns the logical id of the function for each method and path."""
    return {
        (event["Properties"]["Method"], event["Properties"]["Path"]): name
        for name, function in source_functions().items()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }


@functools.cache
def _translate(parameters, code):
    template = copy.deepcopy(source())
    template["Globals"]["Function"].pop("CodeUri")
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://bucket/{dict(code).get(name, name)}"
    return transform(template, dict(parameters), NoManagedPolicies())


class Stack:
    """One deployment. `code` replaces the code of functions, by logical id."""

    def __init__(self, code=None, **parameters):
        self.raw = copy.deepcopy(_translate(tuple(sorted(parameters.items())), tuple((code or {}).items())))
        self.parameters = {name: parameters.get(name, p.get("Default")) for name, p in self.raw["Parameters"].items()}
        for name in parameters:
            assert name in self.raw["Parameters"], f"template.yaml has no parameter {name}"
        self.conditions = {}
        for name in self.raw["Conditions"]:
            self._condition({"Condition": name})
        self.resources = {
            name: {key: value for key, value in self._resolve(resource).items() if key != "Condition"}
            for name, resource in self.raw["Resources"].items()
            if self.conditions.get(resource.get("Condition"), True)
        }
        self.outputs = {
            name: self._resolve(output["Value"])
            for name, output in self.raw["Outputs"].items()
            if self.conditions.get(output.get("Condition"), True)
        }

    def of_type(self, kind):
        return {name: resource["Properties"] for name, resource in self.resources.items() if resource["Type"] == kind}

    def functions(self):
        return self.of_type("AWS::Lambda::Function")

    def violated_rules(self):
        """Returns the messages with which CloudFormation rejects these parameters."""
        violated = []
        for rule in self.raw["Rules"].values():
            if self._condition(rule["RuleCondition"]):
                violated += [a["AssertDescription"] for a in rule["Assertions"] if not self._condition(a["Assert"])]
        return violated

    # Conditions

    def _condition(self, node):
        (kind, value), *_ = node.items()
        match kind:
            case "Condition":
                if value not in self.conditions:
                    self.conditions[value] = self._condition(self.raw["Conditions"][value])
                return self.conditions[value]
            case "Fn::Equals":
                left, right = (self._text(part) for part in value)
                return left == right
            case "Fn::Contains":
                return self._text(value[1]) in value[0]
            case "Fn::Not":
                return not self._condition(value[0])
            case "Fn::And":
                return all([self._condition(part) for part in value])
            case "Fn::Or":
                return any([self._condition(part) for part in value])
        raise AssertionError(f"unknown condition: {node}")

    def _text(self, node):
        if isinstance(node, dict) and "Ref" in node:
            value = PSEUDO.get(node["Ref"]) or self.parameters[node["Ref"]]
            return value if isinstance(value, list) else str(value)
        if isinstance(node, dict) and "Fn::Join" in node:
            glue, parts = node["Fn::Join"]
            parts = self._text(parts)
            return glue.join(parts.split(",") if isinstance(parts, str) else parts)
        return str(node)

    # Replaces everything that depends only on parameters. References to resources stay.

    def _resolve(self, node):
        if isinstance(node, list):
            return [resolved for part in node if (resolved := self._resolve(part)) != NO_VALUE]
        if not isinstance(node, dict):
            return node
        if "Fn::If" in node and len(node) == 1:
            condition, then, otherwise = node["Fn::If"]
            return self._resolve(then if self._condition({"Condition": condition}) else otherwise)
        if node.keys() == {"Ref"} and node["Ref"] in self.parameters:
            parameter = self.raw["Parameters"][node["Ref"]]
            value = self.parameters[node["Ref"]]
            return value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
        if "Fn::FindInMap" in node:
            name, first, second = (self._resolve(part) for part in node["Fn::FindInMap"])
            return self.raw["Mappings"][name][str(first)][second]
        return {key: resolved for key, part in node.items() if (resolved := self._resolve(part)) != NO_VALUE}

    # References

    def references(self, node):
        """Returns the logical ids that a node refers to."""
        if isinstance(node, list):
            return set().union(*map(self.references, node)) if node else set()
        if not isinstance(node, dict):
            return set()
        if node.keys() == {"Ref"}:
            return set() if node["Ref"] in PSEUDO else {node["Ref"]}
        if node.keys() == {"Fn::GetAtt"}:
            target = node["Fn::GetAtt"]
            return {target.split(".")[0] if isinstance(target, str) else target[0]}
        if node.keys() == {"Fn::Sub"}:
            text, own = (node["Fn::Sub"], {}) if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"]
            names = {name.split(".")[0] for name in re.findall(SUB_NAME, text)}
            return (names - set(own) - set(PSEUDO) - set(self.parameters)) | self.references(list(own.values()))
        return self.references(list(node.values()))

    def direct_dependencies(self):
        """Returns the logical ids that each resource depends on."""
        dependencies = {}
        for name, resource in self.resources.items():
            explicit = resource.get("DependsOn", [])
            dependencies[name] = self.references(resource) | set([explicit] if isinstance(explicit, str) else explicit)
        return dependencies

    def dependencies_of(self, name):
        """Returns all resources that are created before a resource."""
        direct, found, pending = self.direct_dependencies(), set(), [name]
        while pending:
            for dependency in direct.get(pending.pop(), ()):
                if dependency not in found:
                    found.add(dependency)
                    pending.append(dependency)
        return found

    # Texts

    def text(self, node):
        """Returns a node as text, with placeholders for resources: `«JwtSecret»`, `«DataGetLogGroup.Arn»`."""
        if not isinstance(node, dict):
            return str(node)
        (kind, value), = node.items()
        match kind:
            case "Ref":
                return str(PSEUDO.get(value) or self.parameters.get(value) or f"«{value}»")
            case "Fn::GetAtt":
                name = value if isinstance(value, str) else ".".join(value)
                if name == "DatabaseProxy.DBProxyArn":
                    return "arn:aws:rds:eu-central-1:123456789012:db-proxy:prx-1"
                return f"«{name}»"
            case "Fn::Sub":
                text, own = (value, {}) if isinstance(value, str) else value
                def put(match):
                    name = match[1]
                    if name in own:
                        return self.text(own[name])
                    return self.text({"Fn::GetAtt": name} if "." in name else {"Ref": name})
                return re.sub(SUB_NAME, put, text)
            case "Fn::Select":
                return self.texts(value[1])[int(value[0])]
            case "Fn::Join":
                return value[0].join(self.texts(value[1]))
        raise AssertionError(f"not a text: {node}")

    def texts(self, node):
        if isinstance(node, dict) and "Fn::Split" in node:
            return self.text(node["Fn::Split"][1]).split(node["Fn::Split"][0])
        if isinstance(node, dict) and "Fn::GetAZs" in node:
            return ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
        return [self.text(part) for part in (node if isinstance(node, list) else [node])]

    def statements(self, role):
        """Returns the policy statements of a role, from its inline and its managed policies."""
        documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
        for reference in role.get("ManagedPolicyArns", []):
            documents.append(self.resources[reference["Ref"]]["Properties"]["PolicyDocument"])
        return [statement for document in documents for statement in document["Statement"]]

    def as_json(self):
        """Returns the deployment as a template without parameters and conditions."""
        return json.dumps({"Resources": self.resources}, ensure_ascii=False)


SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:owner-AbCdEf"
VPC = {"SubnetIds": "subnet-0123456a,subnet-0123456b", "SecurityGroupIds": "sg-0123456a"}
EXISTING = {"Database": "existing", "DatabaseSecretArn": SECRET, "DatabaseHost": "db.example.com"}
DATABASES = {
    "aurora": {},
    "aurora-awake": {"AuroraMinCapacity": "0.5", "AuroraStandby": "true"},
    "aurora-proxy": {"RdsProxy": "true"},
    "aurora-restored": {"DatabaseSnapshot": "keyhold-snapshot"},
    "existing": EXISTING,
    "existing-vpc": EXISTING | VPC,
    "existing-iam": EXISTING | VPC | {"DatabaseResourceId": "db-ABC123"},
    "dsql": {"Database": "dsql"},
}
OTHER_PARAMETERS = {
    "DomainName": "api.example.com",
    "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
    "HostedZoneId": "Z1",
    "OwnerPasswordDays": "30",
    "CorsOrigins": "https://app.example.com,https://www.example.com",
    "ReservedConcurrency": "20",
    "JwtSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keys-AbCdEf",
    "MailFrom": "Keyhold <no-reply@example.com>",
    "RequireVerifiedEmail": "true",
    "AdminRoutes": "iam",
    "AlarmEmail": "ops@example.com",
    "DeploymentPreference": "AllAtOnce",
}
# Each database twice: with defaults, and with all other parameters set.
ALL = "-all-parameters"
DEPLOYMENTS = DATABASES | {f"{name}{ALL}": parameters | OTHER_PARAMETERS for name, parameters in DATABASES.items()}


def database_of(deployment):
    """Returns the name in DATABASES that a deployment has been made from."""
    return deployment.removesuffix(ALL)
