"""What `sam local` makes of the template: all of it but the containers."""

from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.local.lambdafn.env_vars import EnvironmentVariables

from stack import ROOT, source

# As in the README.
OVERRIDES = {"Architecture": "x86_64", "Database": "existing"}


def stacks():
    found, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"), parameter_overrides=OVERRIDES)
    return found


def test_sam_local_knows_every_function_and_hands_on_what_stands_in_for_secrets():
    functions = list(SamFunctionProvider(stacks()).get_all())
    declared = [name for name, r in source()["Resources"].items() if r["Type"] == "AWS::Serverless::Function"]
    assert sorted(function.function_id for function in functions) == sorted(declared)
    shell = {"DATABASE_URL": "postgres://user:password@host.docker.internal:5432/keyhold", "JWT_SECRET": "secret"}
    for function in functions:
        assert function.architectures == ["x86_64"]
        environment = EnvironmentVariables(variables=function.environment["Variables"], shell_env_values=shell).resolve()
        assert {name: environment[name] for name in shell} == shell, function.function_id
        # What only a deployment has is empty, and an empty variable counts as none.
        assert not environment["DATABASE_HOST"] and not environment["SETTINGS_VERSION"]
        # A database that is not on RDS knows nothing of IAM: there are no roles to make for it.
        assert environment.get("DATABASE_ROLES", "off") == "off"


def test_sam_local_knows_every_route():
    routed = {(method, route.path, route.function_name) for route in ApiProvider(stacks()).routes for method in route.methods}
    declared = {
        (event["Properties"]["Method"], event["Properties"]["Path"], name)
        for name, resource in source()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }
    # It adds OPTIONS wherever there could be CORS.
    assert {route for route in routed if route[0] != "OPTIONS"} == declared
