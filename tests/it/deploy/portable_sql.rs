//! Statements that are sent to Aurora DSQL contain only what it accepts, by the table of limits in `migrations/README.md`.

use std::collections::BTreeSet;
use std::fs;

use shared::db::Dialect;

use crate::support::Outcome;
use crate::support::sql::{Statement, contains, refused, statements, words};
use crate::support::workspace::{migrations, root, rust_files};

/// Phrases outside of `postgresql(…)` that are sent to PostgreSQL only: the file, the phrase, and the reason.
const ALLOWED: [(&str, &str, &str); 5] = [
    ("migrations.rs", "pg_advisory_lock", "`connect_for_migrations` takes the lock on PostgreSQL only"),
    ("migrations.rs", "pg_advisory_unlock", "`close` releases the lock on PostgreSQL only"),
    ("reconcile.rs", "alter role", "`sync_roles` sets timeouts on PostgreSQL only"),
    ("reconcile.rs", "pg_database", "the same"),
    ("reconcile.rs", "rds_iam", "the same, DSQL has `aws iam grant`"),
];

/// Returns the literals of a Rust file, except those in `postgresql(…)`.
fn literals(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.to_lowercase() + "\n")
        .collect();
    // Every second part is a literal, because no literal contains a quote after the escaped ones are removed.
    let code = code.replace("\\\"", "");
    let parts: Vec<&str> = code.split('"').collect();
    assert_eq!(parts.len() % 2, 1, "a literal contains a quote. Make this function parse it");
    let literals = parts.chunks_exact(2).filter(|pair| !pair[0].trim_end().ends_with("postgresql("));
    literals.map(|pair| pair[1].to_owned()).collect()
}

/// Returns every statement, or part of one, with its file.
fn sql() -> Result<Vec<(String, Statement)>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for (name, text) in migrations(Dialect::AuroraDsql)? {
        all.extend(statements(&text).into_iter().map(|statement| (name.clone(), statement)));
    }
    let folder = root().join("shared/src/db");
    for file in rust_files(&folder)? {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?.to_owned();
        all.extend(literals(&fs::read_to_string(folder.join(&file))?).iter().map(|text| (name.clone(), words(text))));
    }
    Ok(all)
}

#[test]
fn statements_contain_only_what_dsql_accepts() -> Outcome {
    let (mut found, mut statements) = (BTreeSet::new(), 0);
    for (file, statement) in sql()? {
        for phrase in refused(&statement) {
            found.insert((file.clone(), phrase));
        }
        let verbs = ["select", "insert", "update", "delete"];
        statements += usize::from(verbs.iter().any(|verb| contains(&statement, verb)));
    }
    assert!(statements > 20, "only {statements} statements were found. Make `sql` read the files that contain them");
    let allowed: BTreeSet<_> = ALLOWED.iter().map(|(file, phrase, _)| ((*file).to_owned(), *phrase)).collect();
    let unexplained: Vec<_> = found.difference(&allowed).collect();
    assert!(
        unexplained.is_empty(),
        "DSQL rejects {unexplained:?}. See migrations/README.md. If it is sent to PostgreSQL only, add the reason to ALLOWED"
    );
    let unused: Vec<_> = allowed.difference(&found).collect();
    assert!(unused.is_empty(), "remove from ALLOWED what the statements do not contain: {unused:?}");
    Ok(())
}

#[test]
fn a_semicolon_in_a_dsql_migration_ends_a_line() -> Outcome {
    // `migrate` splits the files at these semicolons.
    for (name, sql) in migrations(Dialect::AuroraDsql)? {
        for line in sql.lines().filter(|line| !line.trim_start().starts_with("--")) {
            let is_split = line.find(';').is_none_or(|position| position + 1 == line.trim_end().len());
            assert!(is_split, "{name}: put the statements and the comment on lines of their own: {line}");
        }
    }
    Ok(())
}

#[test]
fn a_statement_of_a_dsql_migration_can_be_repeated() -> Outcome {
    // An interrupted run repeats all statements of a file. `migrate` accepts only that an object already exists.
    for (name, sql) in migrations(Dialect::AuroraDsql)? {
        for statement in statements(&sql) {
            let is_repeatable = contains(&statement, "if exists")
                || statement.first().is_some_and(|verb| verb == "create")
                || contains(&statement, "add column");
            assert!(is_repeatable, "{name}: write the statement so that it can be repeated: {}", statement.join(" "));
        }
    }
    Ok(())
}
