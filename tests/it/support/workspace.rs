//! Files of the repository that tests compare.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde_json::Value;
use shared::db::Dialect;

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
            names.insert(entry.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?);
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

/// Returns the migrations for a dialect: file names and texts.
pub fn migrations(dialect: Dialect) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let folder = match dialect {
        Dialect::PostgreSql => "migrations/postgresql",
        Dialect::AuroraDsql => "migrations/dsql",
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root().join(folder))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?;
        files.insert(name, fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

/// A line of a file.
pub struct Line {
    /// The file, relative to the folder that was searched, with `/`.
    pub file: String,
    /// The number of the line, from 1.
    pub number: usize,
    /// The text.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.number, self.text.trim())
    }
}

/// Returns the Rust files in a folder and below it, relative to it and sorted.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let (mut files, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(folder)?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the statements of a Rust file without comments and unit tests. A `use` of several lines is one line.
pub fn code_lines(folder: &Path, file: &Path) -> Result<Vec<Line>, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(folder.join(file))?;
    let file = file.to_str().ok_or("a path that is not UTF-8")?;
    let mut lines: Vec<Line> = Vec::new();
    let mut is_open = false;
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if code.starts_with("#[cfg(test)]") {
            break;
        }
        if is_open {
            if let Some(last) = lines.last_mut() {
                last.text += code.trim();
            }
        } else {
            lines.push(Line { file: file.to_owned(), number: index + 1, text: code.to_owned() });
        }
        let starts_use = ["use ", "pub use "].iter().any(|word| code.trim_start().starts_with(word));
        is_open = (is_open || starts_use) && !code.contains(';');
    }
    Ok(lines)
}
