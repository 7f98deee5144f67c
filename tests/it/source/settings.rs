//! The settings that the code reads, the table in `shared/README.md`, and the variables in `template.yaml` are the same.

use std::collections::BTreeSet;
use std::fs;

use serde_yaml_ng::Value;

use crate::support::Outcome;
use crate::support::workspace::{code_lines, functions, root, rust_files};

/// Settings that the template does not set, by the start of their names.
const NOT_IN_THE_TEMPLATE: [(&str, &str); 3] = [
    ("AWS_", "Lambda sets them, or a test does"),
    ("MAIL_FOLDER", "only `cargo dev` sets it"),
    ("OTEL_", "only a build with the feature `otlp` reads them"),
];

/// A variable whose value makes Lambda publish a new version. No code reads it.
const SETTINGS_VERSION: &str = "SETTINGS_VERSION";

#[test]
fn every_setting_that_the_code_reads_is_documented() -> Outcome {
    let (read, documented) = (read()?, documented()?);
    let missing: Vec<_> = read.difference(&documented).collect();
    assert!(missing.is_empty(), "add a row for {missing:?} to the table \"Settings\" of shared/README.md");
    let obsolete: Vec<_> = documented.difference(&read).collect();
    assert!(
        obsolete.is_empty(),
        "no code reads {obsolete:?}: remove the row from the table \"Settings\" of shared/README.md"
    );
    Ok(())
}

#[test]
fn the_template_sets_the_settings_that_are_documented() -> Outcome {
    let (set, documented) = (set_by_the_template()?, documented()?);
    let unknown: Vec<_> = set.difference(&documented).filter(|name| *name != SETTINGS_VERSION).collect();
    assert!(unknown.is_empty(), "template.yaml sets {unknown:?}, which no code reads");
    let is_exempt = |name: &str| NOT_IN_THE_TEMPLATE.iter().any(|(start, _)| name.starts_with(start));
    let missing: Vec<_> = documented.difference(&set).filter(|name| !is_exempt(name)).collect();
    assert!(
        missing.is_empty(),
        "template.yaml does not set {missing:?}: add a parameter and a variable, or a reason to {NOT_IN_THE_TEMPLATE:?}"
    );
    Ok(())
}

/// Returns the variables that the functions and `shared` read: upper-case names in the files that import `shared::env`.
fn read() -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let mut folders: Vec<_> = functions()?.iter().map(|name| root().join("functions").join(name).join("src")).collect();
    folders.push(root().join("shared/src"));
    let mut names = BTreeSet::new();
    for folder in folders {
        for file in rust_files(&folder)? {
            let lines = code_lines(&folder, &file)?;
            let reads = |text: &str| ["::env::", "env,", "env}", "::env;"].iter().any(|part| text.contains(part));
            if lines.iter().any(|line| line.text.starts_with("use ") && reads(&line.text)) {
                // Every second piece between quotes is a text. `env!` reads at compile time.
                let lines: Vec<_> = lines.iter().filter(|line| !line.text.contains("env!(")).collect();
                let texts = lines.iter().flat_map(|line| line.text.split('"').skip(1).step_by(2));
                names.extend(texts.filter(|text| text.contains('_') && is_upper_case(text)).map(str::to_owned));
                // A name of one word could be another text, unless it is the argument of a function of `env`.
                let arguments = lines.iter().filter_map(|line| line.text.split_once("env::")?.1.split('"').nth(1));
                names.extend(arguments.filter(|text| is_upper_case(text)).map(str::to_owned));
            }
        }
    }
    Ok(names)
}

/// Returns the first column of the table "Settings".
fn documented() -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let readme = fs::read_to_string(root().join("shared/README.md"))?;
    let (_, section) = readme.split_once("\n## Settings\n").ok_or("shared/README.md has no section \"Settings\"")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    Ok(rows.map(str::to_owned).collect())
}

/// Returns the variables of all functions in `template.yaml`.
fn set_by_the_template() -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let template: Value = serde_yaml_ng::from_str(&fs::read_to_string(root().join("template.yaml"))?)?;
    let resources = template["Resources"].as_mapping().ok_or("template.yaml has no resources")?;
    let functions = resources.values().filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    let mut names = BTreeSet::new();
    for function in functions.map(|function| &function["Properties"]).chain([&template["Globals"]["Function"]]) {
        if let Some(variables) = function["Environment"]["Variables"].as_mapping() {
            names.extend(variables.keys().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    Ok(names)
}

fn is_upper_case(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
