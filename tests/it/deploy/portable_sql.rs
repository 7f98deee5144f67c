//! The SQL keeps within what PostgreSQL and Aurora DSQL share, by the table of limits in `migrations/README.md`.

use std::collections::BTreeSet;
use std::fs;

use shared::db::Dialect;

use crate::support::Outcome;
use crate::support::sql::{Statement, contains, refused, statements, words};
use crate::support::workspace::{migrations, root};

/// What is sent to PostgreSQL alone, though it does not stand in `postgresql(…)`: the file, the phrase, and what sees to that.
const ALLOWED: [(&str, &str, &str); 5] = [
    ("migrations.rs", "pg_advisory_lock", "`connect_for_migrations`; DSQL's migrations need no lock"),
    ("migrations.rs", "pg_advisory_unlock", "`close`"),
    ("reconcile.rs", "alter role", "`bring_roles`; DSQL has no settings of roles"),
    ("reconcile.rs", "pg_database", "as above"),
    ("reconcile.rs", "rds_iam", "as above; DSQL has `aws iam grant`"),
];

/// The texts of a Rust file that are SQL: its literals, without comments and escapes, but for what is PostgreSQL's alone.
fn literals(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.to_lowercase() + "\n")
        .collect();
    // Every second part is within quotes; none of these texts has one of its own.
    let code = code.replace("\\\"", "");
    let parts: Vec<&str> = code.split('"').collect();
    assert_eq!(parts.len() % 2, 1, "a quote that is no literal's: this test has to be taught about it");
    let literals = parts.chunks_exact(2).filter(|pair| !pair[0].trim_end().ends_with("postgresql("));
    literals.map(|pair| pair[1].to_owned()).collect()
}

/// The migrations that DSQL gets: file and text.
fn migrations_for_dsql() -> Result<Vec<(String, String)>, Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for (file, sql) in migrations()? {
        let (version, name) = file.trim_end_matches(".sql").split_once("__").ok_or("no name")?;
        if migrate::applies(version.trim_start_matches('V').parse()?, name, Dialect::AuroraDsql) {
            files.push((file, sql));
        }
    }
    Ok(files)
}

/// Every statement, or part of one, with the file that it stands in.
fn sql() -> Result<Vec<(String, Statement)>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for (name, text) in migrations_for_dsql()? {
        all.extend(statements(&text).into_iter().map(|statement| (name.clone(), statement)));
    }
    let mut folders = vec![root().join("shared/src/db")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name that is no text")?.to_owned();
            all.extend(literals(&fs::read_to_string(&path)?).iter().map(|text| (name.clone(), words(text))));
        }
    }
    Ok(all)
}

#[test]
fn no_statement_has_what_aurora_dsql_refuses() -> Outcome {
    let (mut found, mut statements) = (BTreeSet::new(), 0);
    for (file, statement) in sql()? {
        for phrase in refused(&statement) {
            found.insert((file.clone(), phrase));
        }
        statements +=
            usize::from(["select", "insert", "update", "delete"].iter().any(|verb| contains(&statement, verb)));
    }
    assert!(statements > 20, "only {statements} statements were found: this test has to be taught where they are");
    let allowed: BTreeSet<_> = ALLOWED.iter().map(|(file, phrase, _)| ((*file).to_owned(), *phrase)).collect();
    let unexplained: Vec<_> = found.difference(&allowed).collect();
    assert!(
        unexplained.is_empty(),
        "DSQL does not take {unexplained:?}: see migrations/README.md, and explain it here"
    );
    let unused: Vec<_> = allowed.difference(&found).collect();
    assert!(unused.is_empty(), "nothing needs these exceptions any more: {unused:?}");
    Ok(())
}

#[test]
fn a_migration_is_one_statement() -> Outcome {
    // DSQL takes one of DDL in a transaction.
    for (name, sql) in migrations_for_dsql()? {
        assert_eq!(statements(&sql).len(), 1, "{name}: make a migration of each statement");
    }
    Ok(())
}
