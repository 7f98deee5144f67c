//! Files of the repository that tests compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folders in `functions/`.
pub fn functions() -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("functions"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.insert(entry.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?);
        }
    }
    Ok(names)
}

/// The events in `events/` for a function: `<function>.json` and `<function>-<case>.json`.
pub fn events_of(function: &str) -> Result<Vec<(String, Value)>, Box<dyn std::error::Error>> {
    let mut events = Vec::new();
    for entry in fs::read_dir(root().join("events"))? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        // The longest name, so that `data-create-…` belongs to `data-create`.
        let longest = functions()?.into_iter().filter(|known| name.starts_with(known.as_str())).max_by_key(String::len);
        if longest.as_deref() == Some(function) {
            events.push((name.to_owned(), serde_json::from_str(&fs::read_to_string(&path)?)?));
        }
    }
    Ok(events)
}

/// The texts of the migrations, by file name.
pub fn migrations() -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root().join("migrations"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?.to_owned();
        if name.ends_with(".sql") {
            files.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}
