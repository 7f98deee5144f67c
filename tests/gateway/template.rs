//! What `template.yaml` says about functions: their routes and their variables.

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
    /// Its binary.
    pub name: String,
    /// Its variables; one is empty where only AWS knows its value.
    pub variables: Vec<(String, String)>,
    routes: Vec<Route>,
}

#[derive(Clone, Debug)]
struct Route {
    method: String,
    /// With its parameters in braces.
    path: String,
}

/// A request's function, and how it was found.
pub struct Match<'a> {
    pub function: &'a Function,
    /// `GET /api/data/{key+}`.
    pub route_key: String,
    /// The value of the path's parameter.
    pub parameter: Option<Parameter>,
}

impl Template {
    /// Reads `template.yaml`.
    pub fn read() -> Result<Self, Error> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let text = fs::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
        let template: Value = serde_yaml_ng::from_str(&text)
            .map_err(|error| Error::new(format!("template.yaml is no YAML: {error}"), "`sam validate` says more."))?;
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

    /// The function that answers a method on a path whose percent-encoding is undone, as API Gateway looks for it: among
    /// the routes that fit, one without a parameter first.
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

/// A variable's text: as it stands there, or the default of the parameter that it refers to.
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
