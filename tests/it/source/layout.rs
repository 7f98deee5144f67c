//! The folders of the functions: the tests know each of them, and no function depends on another.

use std::collections::BTreeSet;
use std::fs;

use tests::binaries::TASKS;

use crate::support::workspace::{functions, root};
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
