//! Tests that all lists of routes agree with the `ROUTE` of each function: the router in `Cargo.toml`, `template.yaml`,
//! `events/`, the OpenAPI document, `README.md`, and `keyhold.http`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::workspace::{events_of, root};
use crate::support::{Outcome, endpoints};

/// Returns `function: METHOD /path` for the `ROUTE` of every endpoint.
fn declared() -> BTreeSet<String> {
    endpoints().iter().map(|(function, route)| format!("{function}: {route}")).collect()
}

/// Returns the routes of a gateway: the declared ones, and a HEAD route for every GET route.
fn gateway_routes() -> BTreeSet<String> {
    let heads = declared().into_iter().filter_map(|route| {
        let (function, path) = route.split_once(": GET ")?;
        Some(format!("{function}: HEAD {path}"))
    });
    declared().into_iter().chain(heads).collect()
}

/// Fails with the routes that are missing in a list, and those that do not belong in it.
fn assert_lists(list: &str, actual: &BTreeSet<String>, expected: &BTreeSet<String>) {
    let missing: Vec<_> = expected.difference(actual).collect();
    let unknown: Vec<_> = actual.difference(expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "{list}: add {missing:?}, and remove {unknown:?}");
}

#[test]
fn the_watch_router_has_every_route() -> Outcome {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let router = &manifest["workspace"]["metadata"]["lambda"]["watch"]["router"];
    let mut routes = BTreeSet::new();
    for (path, targets) in router.as_table().ok_or("no router")? {
        // cargo-lambda writes `{*key}` for what API Gateway writes `{key+}`.
        let path = path.replace("{*key}", "{key+}");
        for target in targets.as_array().ok_or("no list of functions")? {
            let text = |name: &str| target[name].as_str().ok_or(format!("{path}: no {name}"));
            routes.insert(format!("{}: {} {path}", text("function")?, text("method")?));
        }
    }
    assert_lists("the router in Cargo.toml", &routes, &gateway_routes());
    Ok(())
}

#[test]
fn the_template_has_every_route() -> Outcome {
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(&fs::read_to_string(root().join("template.yaml"))?)?;
    let mut routes = BTreeSet::new();
    for (_, resource) in template["Resources"].as_mapping().ok_or("no resources")? {
        let Some(events) = resource["Properties"]["Events"].as_mapping() else { continue };
        let function =
            resource["Metadata"]["BuildProperties"]["Binary"].as_str().ok_or("a function without a binary")?;
        for (_, event) in events {
            if event["Type"] != "HttpApi" {
                continue;
            }
            let text = |name: &str| {
                event["Properties"][name].as_str().map(str::to_owned).ok_or(format!("{function}: no {name}"))
            };
            routes.insert(format!("{function}: {} {}", text("Method")?.to_uppercase(), text("Path")?));
        }
    }
    assert_lists("template.yaml", &routes, &gateway_routes());
    Ok(())
}

#[test]
fn the_events_have_every_route() -> Outcome {
    let mut routes = BTreeSet::new();
    for (function, _) in endpoints() {
        for (name, event) in events_of(function)? {
            let method = event["requestContext"]["http"]["method"].as_str().ok_or(format!("{name}: no method"))?;
            let route = event["routeKey"].as_str().ok_or(format!("{name}: no routeKey"))?;
            assert_eq!(event["requestContext"]["routeKey"], route, "{name}");
            assert!(route.starts_with(&format!("{method} ")), "{name}: {route} is not for {method}");
            routes.insert(format!("{function}: {route}"));
        }
    }
    assert_lists("events/", &routes, &declared());
    Ok(())
}

#[test]
fn the_openapi_document_has_every_route() -> Outcome {
    let document: Value = serde_json::from_str(openapi_get::DOCUMENT)?;
    let mut routes = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().ok_or("no paths")? {
        for method in operations.as_object().ok_or("no operations")?.keys().filter(|method| *method != "parameters") {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let declared = endpoints().into_iter().map(|(_, route)| route.to_string().replace("{key+}", "{key}"));
    assert_lists("functions/openapi-get/openapi.json", &routes, &declared.collect());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[test]
fn the_readme_has_every_route() -> Outcome {
    let readme = fs::read_to_string(root().join("README.md"))?;
    for (function, route) in endpoints() {
        let row =
            format!("| `{}` | [`{function}`](functions/{function}) |", route.to_string().replace("{key+}", "{key}"));
        assert!(readme.contains(&row), "README.md: add the row {row}");
    }
    Ok(())
}

#[test]
fn the_http_file_has_every_route() -> Outcome {
    let declared: BTreeSet<String> = endpoints().into_iter().map(|(_, route)| route.to_string()).collect();
    let mut routes = BTreeSet::new();
    for line in fs::read_to_string(root().join("tests/clients/keyhold.http"))?.lines() {
        let Some((method, path)) = line.split_once(" {{api}}") else { continue };
        let path = path.split('?').next().unwrap_or_default();
        let request = format!("{method} {path}");
        // A request that is not the text of a route belongs to a route with a parameter: of several, to the most specific one.
        let parameterized = || {
            let suffixes = declared.iter().filter_map(|route| {
                let (stem, parameter) = route.split_once('{')?;
                let (_, suffix) = parameter.split_once('}')?;
                (request.starts_with(stem) && request.ends_with(suffix)).then_some((suffix.len(), route))
            });
            suffixes.max().map(|(_, route)| route.clone())
        };
        let route = declared.get(&request).cloned().or_else(parameterized);
        routes.insert(route.ok_or(format!("{request} in keyhold.http does not belong to a route"))?);
    }
    assert_lists("tests/clients/keyhold.http", &routes, &declared);
    Ok(())
}

#[test]
fn the_readme_of_the_clients_shows_the_program_that_is_run() -> Outcome {
    let readme = fs::read_to_string(root().join("tests/clients/README.md"))?;
    let (_, program) = readme.split_once("```ts\n").ok_or("tests/clients/README.md has no TypeScript block")?;
    let (program, _) = program.split_once("```").ok_or("the TypeScript block in tests/clients/README.md has no end")?;
    let file = fs::read_to_string(root().join("tests/clients/six-calls.ts"))?;
    assert!(file.contains(program), "copy the start of tests/clients/six-calls.ts to tests/clients/README.md");
    Ok(())
}
