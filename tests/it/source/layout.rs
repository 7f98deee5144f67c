//! The folders: the tests know each function, functions do not depend on each other, and neither do test modules.

use std::collections::BTreeSet;
use std::fs;

use tests::binaries::TASKS;

use crate::support::workspace::{functions, root, rust_files};
use crate::support::{Outcome, endpoints};

#[test]
fn the_tests_know_the_function_of_every_folder() -> Outcome {
    let known: BTreeSet<String> = endpoints().iter().map(|(name, _)| *name).chain(TASKS).map(str::to_owned).collect();
    assert_eq!(functions()?, known, "add a new function to `support::endpoints` or to `tests::binaries::TASKS`");
    Ok(())
}

#[test]
fn a_function_depends_on_shared_and_on_no_other_function() -> Outcome {
    let names = functions()?;
    for name in &names {
        let manifest = root().join("functions").join(name).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(manifest)?.parse()?;
        assert_eq!(manifest["package"]["name"].as_str(), Some(name.as_str()), "the folder's name is the binary's");
        let dependencies = manifest["dependencies"].as_table().ok_or("no dependencies")?;
        assert!(dependencies.contains_key("shared"), "{name}");
        assert!(
            dependencies.keys().all(|dependency| !names.contains(dependency)),
            "{name} depends on another function"
        );
    }
    Ok(())
}

#[test]
fn test_modules_import_from_support_only() -> Outcome {
    let folder = root().join("tests/it");
    let mut imports = 0;
    for file in rust_files(&folder)?.iter().filter(|file| !file.starts_with("support")) {
        for line in fs::read_to_string(folder.join(file))?.lines().map(str::trim_start) {
            let beside = line.starts_with("use super::") && !line.starts_with("use super::*");
            assert!(!beside, "{}: `{line}`: move the shared items to support/", file.display());
            let Some(path) = line.strip_prefix("use crate::") else { continue };
            imports += 1;
            assert!(path.starts_with("support::"), "{}: `{line}`: move the shared items to support/", file.display());
        }
    }
    assert!(imports > 40, "only {imports} imports were found: this test probably reads the wrong folder");
    Ok(())
}
