//! Tests that test modules import from `support` and not from other test modules.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Outcome;
use crate::support::workspace::root;

/// Returns the Rust files in a folder and the folders below it.
fn rust_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[test]
fn test_modules_import_from_support_only() -> Outcome {
    let tests = root().join("tests/it");
    let mut imports = 0;
    for file in rust_files(&tests)?.iter().filter(|file| !file.starts_with(tests.join("support"))) {
        for line in fs::read_to_string(file)?.lines().map(str::trim_start) {
            let Some(path) = line.strip_prefix("use crate::") else { continue };
            imports += 1;
            assert!(path.starts_with("support::"), "{}: `{line}`: move the shared items to support/", file.display());
        }
    }
    assert!(imports > 40, "only {imports} imports were found: this test probably reads the wrong folder");
    Ok(())
}
