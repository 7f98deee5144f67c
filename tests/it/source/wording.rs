//! Texts are plain technical English: constructions that make a reader stop are listed here, and none is used.

use std::fs;
use std::path::Path;

use crate::support::Outcome;
use crate::support::workspace::root;

/// Words and the words to use in their place.
const WORDS: [(&str, &str); 8] = [
    ("nobody", "name the subject: \"no client\", \"no user\""),
    ("whoever", "name the subject: \"the client that\", \"the engineer who\""),
    ("whatever", "name the thing"),
    ("stands", "\"is in\", \"has\""),
    ("shall", "\"must\", or an imperative"),
    ("is no", "\"is not a\""),
    ("lest", "\"so that … not\""),
    ("thereof", "name the thing"),
];

/// The Unix user, as a string in code.
const UNIX_USER: &str = "\"nobody\"";

/// Words that a doc comment does not start with.
const OPENINGS: [&str; 4] = ["What", "Who", "Whoever", "Where"];

/// Files by the end of their names.
const TEXTS: [&str; 12] =
    [".rs", ".md", ".yaml", ".yml", ".json", ".sql", ".ts", ".mjs", ".py", ".toml", ".html", ".http"];

/// This file, which has the words; a list of other people's passwords; and texts that tools write.
const EXEMPT: [&str; 4] = ["tests/it/source/wording.rs", "package-lock.json", "Cargo.lock", "common_passwords.txt"];

#[test]
fn texts_are_plain_technical_english() -> Outcome {
    let mut findings = Vec::new();
    for file in all_files()? {
        let is_text = TEXTS.iter().any(|end| file.ends_with(end)) || file == ".ci/run";
        if !is_text || EXEMPT.iter().any(|exempt| file.ends_with(exempt)) {
            continue;
        }
        for (index, line) in fs::read_to_string(root().join(&file))?.lines().enumerate() {
            let mut find = |what: &str, advice: &str| findings.push(format!("{file}:{}: {what}: {advice}", index + 1));
            for (word, advice) in WORDS {
                if has_word(&line.replace(UNIX_USER, ""), word) {
                    find(word, advice);
                }
            }
            let doc = ["/// ", "//! "].iter().find_map(|marker| line.trim_start().strip_prefix(marker));
            for opening in OPENINGS {
                if doc.is_some_and(|doc| doc.split(' ').next() == Some(opening)) && starts_paragraph(&file, index)? {
                    find(opening, "start with a verb or with the name of the thing");
                }
            }
        }
    }
    assert!(findings.is_empty(), "rewrite these texts:\n{}", findings.join("\n"));
    Ok(())
}

/// Tells whether a line is the first one of a paragraph of a doc comment.
fn starts_paragraph(file: &str, index: usize) -> Result<bool, std::io::Error> {
    let text = fs::read_to_string(root().join(file))?;
    let before = index.checked_sub(1).and_then(|before| text.lines().nth(before)).unwrap_or_default().trim();
    Ok(!(before.starts_with("/// ") || before.starts_with("//! ")))
}

fn has_word(line: &str, word: &str) -> bool {
    let line = line.to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(word)
        .any(|(start, _)| !line[..start].ends_with(is_part) && !line[start + word.len()..].starts_with(is_part))
}

/// Returns the files of the repository, without folders that tools write.
fn all_files() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let (mut files, mut pending) = (Vec::new(), vec![root()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if ["target", ".git", "node_modules", ".aws-sam", ".venv"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push(relative(&path)?);
            }
        }
    }
    Ok(files)
}

fn relative(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    Ok(path.strip_prefix(root())?.to_str().ok_or("a path that is not UTF-8")?.to_owned())
}
