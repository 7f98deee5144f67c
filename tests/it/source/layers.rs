//! The modules of `shared` import downwards only. The table in `shared/src/lib.rs` lists them from top to bottom, with the
//! modules that each may import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::Outcome;
use crate::support::workspace::{Line, code_lines, root, rust_files};

/// Modules that all modules above them may import without being listed.
const BASE: [&str; 4] = ["domain", "env", "clock", "report"];

/// Crates that belong to some layers only, and the modules that may use them.
const CRATES: &[(&str, &[&str])] = &[
    ("lambda_http", &["runtime", "http", "error", "telemetry"]),
    ("lambda_runtime", &["runtime"]),
    ("tokio_postgres", &["db", "secrets"]),
    ("deadpool_postgres", &["db"]),
    ("aws_sdk_secretsmanager", &["aws", "secrets"]),
    ("jsonwebtoken", &["auth"]),
    ("bcrypt", &["auth"]),
    ("opentelemetry", &["telemetry"]),
    ("tokio", &["runtime", "app", "secrets", "aws", "db", "telemetry"]),
];

const REMEDY: &str = "An import may only point downwards in the table of shared/src/lib.rs, to a module that the table lists. \
    Pass the value as an argument, move the item to a lower module, or define a trait in the lower module that the upper one \
    implements. If the new import points downwards and is right, add it to the table";

/// A row of the table: the modules of the row and the modules that they may import.
struct Layer {
    modules: Vec<String>,
    imports: Imports,
}

enum Imports {
    All,
    These(Vec<String>),
}

#[test]
fn modules_import_only_what_the_table_allows() -> Outcome {
    let layers = layers()?;
    let rank = |module: &str| layers.iter().position(|layer| layer.modules.iter().any(|name| name == module));
    let mut used = BTreeSet::new();
    for line in lines_of_shared()? {
        let from = module_of(&line.file);
        let layer = &layers[rank(&from).ok_or(format!("shared/src/lib.rs has no table row for `{from}`. Add one"))?];
        for to in imports(&line.text) {
            if to == from {
                continue;
            }
            let place = format!("{line}\n`{from}` imports `{to}`");
            let below = rank(&to).ok_or(format!("{place}, which has no row in the table of shared/src/lib.rs"))?;
            assert!(below >= rank(&from).unwrap_or_default(), "{place}, which is above it. {REMEDY}.");
            let listed = match &layer.imports {
                Imports::All => true,
                Imports::These(names) => names.contains(&to),
            };
            assert!(listed || BASE.contains(&to.as_str()), "{place}, which its table row does not list. {REMEDY}.");
            used.insert((from.clone(), to));
        }
    }
    for layer in &layers {
        let Imports::These(names) = &layer.imports else { continue };
        for name in names {
            let is_used = layer.modules.iter().any(|module| used.contains(&(module.clone(), name.clone())));
            assert!(is_used, "{:?} does not import `{name}` any more. Remove it from the table row", layer.modules);
        }
    }
    Ok(())
}

#[test]
fn files_of_a_module_do_not_import_each_other_in_a_circle() -> Outcome {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines_of_shared()? {
        let path: Vec<&str> = line.file.trim_end_matches(".rs").split('/').collect();
        // A file that has submodules may use them, and they may use its types.
        let Some((name, parents)) = path.split_last().filter(|(name, parents)| **name != "mod" && !parents.is_empty())
        else {
            continue;
        };
        let module = parents.join("::");
        for prefix in ["super::".to_owned(), format!("crate::{module}::")] {
            for imported in names_after(&line.text, &prefix) {
                let file = format!("{}/{imported}.rs", parents.join("/"));
                if imported != *name && root().join("shared/src").join(&file).is_file() {
                    imports.entry(line.file.clone()).or_default().insert(file);
                }
            }
        }
    }
    for start in imports.keys() {
        let (mut reached, mut pending) = (BTreeSet::new(), vec![start]);
        while let Some(next) = pending.pop() {
            for file in imports.get(next).into_iter().flatten() {
                assert!(
                    file != start,
                    "shared/src/{start} and shared/src/{next} import each other in a circle. {REMEDY}."
                );
                if reached.insert(file) {
                    pending.push(file);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_crate_is_used_only_in_the_layers_that_it_belongs_to() -> Outcome {
    for line in lines_of_shared()? {
        let module = module_of(&line.file);
        for (name, homes) in CRATES {
            let is_used = !names_after(&line.text, &format!("{name}::")).is_empty();
            assert!(
                !is_used || homes.contains(&module.as_str()),
                "{line}\n`{module}` uses the crate `{name}`, which only {homes:?} may use. Move the code there."
            );
        }
    }
    Ok(())
}

/// Reads the table of `shared/src/lib.rs`.
fn layers() -> Result<Vec<Layer>, Box<dyn std::error::Error>> {
    let library = fs::read_to_string(root().join("shared/src/lib.rs"))?;
    let rows = library.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let layers: Vec<_> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
            let modules = cells[0].split(',').map(|name| name.trim_matches(&['[', '`', ']', ' '][..]).to_owned());
            let imports = match cells.get(2).map_or("", |cell| cell.trim().trim_end_matches('|').trim()) {
                "all" => Imports::All,
                names => Imports::These(names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()),
            };
            Layer { modules: modules.collect(), imports }
        })
        .collect();
    assert!(layers.len() > 10, "the table of shared/src/lib.rs has {} rows that this test can read", layers.len());
    Ok(layers)
}

/// Returns the code of `shared/src` without `lib.rs`, whose declarations are no imports.
fn lines_of_shared() -> Result<Vec<Line>, Box<dyn std::error::Error>> {
    let folder = root().join("shared/src");
    let mut lines = Vec::new();
    for path in rust_files(&folder)? {
        if path != Path::new("lib.rs") {
            lines.extend(code_lines(&folder, &path)?);
        }
    }
    Ok(lines)
}

/// Returns the module at the top of the tree that a file belongs to: `db` for `db/data/read.rs`.
fn module_of(file: &str) -> String {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Returns the modules at the top of the tree that a line names by `crate::`, in a `use` or in code.
fn imports(line: &str) -> Vec<String> {
    // `App` and `ApiError` are exported by `lib.rs` as well. Inside of `shared` they are imported from their modules.
    names_after(line, "crate::").into_iter().filter(|name| name.starts_with(|c: char| c.is_lowercase())).collect()
}

/// Returns each first name that follows a prefix: `a` and `b` of `use crate::{a::x, b}` for `crate::`.
fn names_after(line: &str, prefix: &str) -> Vec<String> {
    let name = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut names = Vec::new();
    for (start, _) in line.match_indices(prefix) {
        if line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &line[start + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(name(rest)),
            Some(group) => {
                let (mut depth, mut item) = (0_u32, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => names.push(name(std::mem::take(&mut item).trim())),
                        _ if depth == 0 => item.push(c),
                        _ => {}
                    }
                }
                names.push(name(item.trim()));
            }
        }
    }
    names
}
