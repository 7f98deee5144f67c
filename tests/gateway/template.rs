//! The routes and the variables of the functions in `template.yaml`.

use std::fs;
use std::path::Path;

use ::tests::Error;
use serde_yaml_ng::Value;

use crate::request::{Parameter, find_route};

/// The functions of the template.
pub struct Template {
    functions: Vec<Function>,
}

/// A function as the template describes it.
#[derive(Clone, Debug)]
pub struct Function {
    /// The name of the binary.
    pub name: String,
    /// Environment variables. Values that only AWS knows are empty.
    pub variables: Vec<(String, String)>,
    routes: Vec<Route>,
}

#[derive(Clone, Debug)]
struct Route {
    method: String,
    /// The path, with its parameter in braces.
    path: String,
}

/// The function of a request, its route, and the path parameter.
pub struct Match<'a> {
    pub function: &'a Function,
    /// Method and path, as in `GET /api/data/{key+}`.
    pub route_key: String,
    pub parameter: Option<Parameter>,
}

impl Template {
    /// Reads `template.yaml`.
    pub fn read() -> Result<Self, Error> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let text = fs::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
        let template: Value = serde_yaml_ng::from_str(&text).map_err(|error| {
            Error::new(format!("template.yaml is not valid YAML: {error}"), "Run `sam validate` for details.")
        })?;
        let everywhere = &template["Globals"]["Function"]["Environment"]["Variables"];
        let resources = template["Resources"].as_mapping().into_iter().flatten();
        let functions = resources.filter_map(|(_, resource)| {
            let properties = &resource["Properties"];
            let own = &properties["Environment"]["Variables"];
            let variables = [everywhere, own].into_iter().filter_map(Value::as_mapping).flatten();
            Some(Function {
                name: resource["Metadata"]["BuildProperties"]["Binary"].as_str()?.to_owned(),
                variables: variables
                    .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), resolve(&template, value))))
                    .collect(),
                routes: routes(&properties["Events"]),
            })
        });
        Ok(Self { functions: functions.collect() })
    }

    /// Finds the function of a method and a decoded path. A route without a parameter has precedence.
    pub fn route(&self, method: &str, path: &str) -> Option<Match<'_>> {
        let routes =
            self.functions.iter().flat_map(|function| function.routes.iter().map(move |route| (function, route)));
        let ((function, route), parameter) =
            find_route(routes, |(_, route)| (route.method.as_str(), route.path.as_str()), method, path)?;
        if parameter.as_ref().is_some_and(|(_, value)| value.is_empty()) {
            return None;
        }
        Some(Match { function, route_key: format!("{} {}", route.method, route.path), parameter })
    }
}

fn routes(events: &Value) -> Vec<Route> {
    let events = events.as_mapping().into_iter().flatten().map(|(_, event)| event);
    events
        .filter(|event| event["Type"] == "HttpApi")
        .filter_map(|event| {
            let text = |name: &str| event["Properties"][name].as_str();
            Some(Route { method: text("Method")?.to_uppercase(), path: text("Path")?.to_owned() })
        })
        .collect()
}

/// The value of a variable: its text, or the default of the parameter that it refers to.
fn resolve(template: &Value, value: &Value) -> String {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => {
            let name = tagged.value.as_str().unwrap_or_default();
            resolve(template, &template["Parameters"][name]["Default"])
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}
