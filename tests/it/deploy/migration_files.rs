//! Rules for the files in `migrations/`. The main one: the version of the code that is still running must work with them.

use std::collections::BTreeSet;
use std::fs;

use shared::db::Dialect;

use crate::support::Outcome;
use crate::support::sql::{contains, statements};
use crate::support::workspace::{migrations, root};

/// Returns the phrase by which a migration may break code that is still running. A line `-- Unused since VERSION: …` permits
/// everything.
fn breaking_phrase(sql: &str) -> Option<&'static str> {
    const PHRASES: [&str; 7] = ["drop", "rename", "type", "set not null", "add constraint", "add check", "truncate"];
    if sql.lines().any(|line| line.starts_with("-- Unused since ") && line.contains(": ")) {
        return None;
    }
    for statement in statements(sql) {
        if statement.first().is_none_or(|verb| verb == "create") {
            continue;
        }
        if let Some(phrase) = PHRASES.into_iter().find(|phrase| contains(&statement, phrase)) {
            return Some(phrase);
        }
        // Each column is checked on its own, so that the default of another column does not count.
        let columns = statement.split(|word| word == ",");
        if columns.into_iter().any(|column| contains(column, "not null") && !contains(column, "default")) {
            return Some("not null without a default");
        }
    }
    None
}

#[test]
fn migrations_do_not_break_code_that_is_still_running() -> Outcome {
    for dialect in [Dialect::PostgreSql, Dialect::AuroraDsql] {
        for (name, sql) in migrations(dialect)? {
            let phrase = breaking_phrase(&sql);
            assert!(
                phrase.is_none(),
                "{name} for {dialect:?} has `{}`, which may break the version that is still running. Deploy a version that \
                 does not depend on it, then add the line `-- Unused since VERSION: what and why` to the migration",
                phrase.unwrap_or_default()
            );
        }
    }
    Ok(())
}

#[test]
fn breaking_changes_are_found() {
    for (sql, phrase) in [
        ("alter table users drop column age;", Some("drop")),
        ("-- Why.\nALTER TABLE users\n  RENAME COLUMN age TO years;", Some("rename")),
        ("alter table users alter column age type integer;", Some("type")),
        ("alter table users alter column age set not null;", Some("set not null")),
        ("alter table users add constraint users_age check (age > 0);", Some("add constraint")),
        (
            "alter table users add column a text default '', add column b text not null;",
            Some("not null without a default"),
        ),
        ("create table notes (id uuid not null);\ndrop table users;", Some("drop")),
        ("drop index data_store_expiry;", Some("drop")),
        ("alter table users add column note text;", None),
        ("alter table users add column note text not null default '';", None),
        ("create table notes (id uuid not null, type text not null);", None),
        ("create index users_age on users (age);", None),
        ("-- Replaces a drop.\nalter table users add column dropped_at timestamptz;", None),
        ("-- Unused since 0.2.0: no function reads the age.\nalter table users drop column age;", None),
    ] {
        assert_eq!(breaking_phrase(sql), phrase, "{sql}");
    }
}

#[test]
fn every_migration_exists_for_both_dialects() -> Outcome {
    let names = |dialect| migrations(dialect).map(|files| files.into_keys().collect::<BTreeSet<_>>());
    let (postgresql, dsql) = (names(Dialect::PostgreSql)?, names(Dialect::AuroraDsql)?);
    let differences: Vec<_> = postgresql.symmetric_difference(&dsql).collect();
    assert!(
        differences.is_empty(),
        "add {differences:?} to the other folder of migrations/. If one dialect needs no change, its file is a comment"
    );
    Ok(())
}

#[test]
fn migrations_are_numbered_without_gaps() -> Outcome {
    let mut numbers = Vec::new();
    for file in migrations(Dialect::PostgreSql)?.keys() {
        let stem = file.strip_prefix('V').and_then(|file| file.strip_suffix(".sql"));
        let (number, _) =
            stem.and_then(|stem| stem.split_once("__")).ok_or(format!("rename {file} to V1__name.sql"))?;
        numbers.push(number.parse::<usize>()?);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn sql_files_outside_the_two_folders_would_be_ignored() -> Outcome {
    for entry in fs::read_dir(root().join("migrations"))? {
        let path = entry?.path();
        assert!(path.extension().is_none_or(|extension| extension != "sql"), "move {} into a folder", path.display());
    }
    Ok(())
}
