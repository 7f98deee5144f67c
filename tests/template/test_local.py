"""Tests how `sam local` reads the template, without starting containers."""

from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.local.lambdafn.env_vars import EnvironmentVariables

from stack import ROOT, source_functions, source_routes

# As in docs/deploy.md.
OVERRIDES = {"Architecture": "x86_64", "Database": "existing"}


def stacks():
    found, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"), parameter_overrides=OVERRIDES)
    return found


def test_sam_local_runs_every_function_with_the_variables_of_the_shell():
    functions = list(SamFunctionProvider(stacks()).get_all())
    assert sorted(function.function_id for function in functions) == sorted(source_functions())
    shell = {"DATABASE_URL": "postgres://user:password@host.docker.internal:5432/keyhold", "JWT_SECRET": "secret"}
    for function in functions:
        assert function.architectures == ["x86_64"]
        environment = EnvironmentVariables(variables=function.environment["Variables"], shell_env_values=shell).resolve()
        assert {name: environment[name] for name in shell} == shell, function.function_id
        # Values that exist only in a deployment are empty, which counts as unset.
        assert not environment["DATABASE_HOST"] and not environment["SETTINGS_VERSION"]
        # A database outside RDS does not support IAM, so no roles are created for it.
        assert environment.get("DATABASE_ROLES", "off") == "off"


def test_sam_local_serves_every_route():
    routed = {(method, route.path): route.function_name for route in ApiProvider(stacks()).routes for method in route.methods}
    # SAM adds OPTIONS to every path of an API with CorsConfiguration.
    without_options = {route: function for route, function in routed.items() if route[0] != "OPTIONS"}
    assert without_options == source_routes()
