//! What may stand in a migration: nothing that the version before it could not take.

use crate::support::Outcome;
use crate::support::sql::{contains, statements};
use crate::support::workspace::migrations;

/// Written for what was empty or had nobody to use it: a first migration creates it and makes it what it is in one run.
const BEFORE_THE_FIRST_DEPLOYMENT: [&str; 1] = ["V7__postgresql.sql"];

/// What of a migration the code that still runs cannot take, unless the file says since when nothing depends on it.
fn takes_away(sql: &str) -> Option<String> {
    if sql.lines().any(|line| line.starts_with("-- Unused since ") && line.contains(": ")) {
        return None;
    }
    const PHRASES: [&str; 7] = ["drop", "rename", "type", "set not null", "add constraint", "add check", "truncate"];
    for statement in statements(sql) {
        if statement.first().is_none_or(|verb| verb == "create") {
            continue;
        }
        if let Some(phrase) = PHRASES.into_iter().find(|phrase| contains(&statement, phrase)) {
            return Some(phrase.to_owned());
        }
        // Each column of its own: another one's default does not help.
        let columns = statement.split(|word| word == ",");
        if columns.into_iter().any(|column| contains(column, "not null") && !contains(column, "default")) {
            return Some("not null without default".to_owned());
        }
    }
    None
}

#[test]
fn a_migration_takes_nothing_from_the_version_that_still_runs() -> Outcome {
    for (name, sql) in migrations()? {
        if BEFORE_THE_FIRST_DEPLOYMENT.contains(&name.as_str()) {
            assert!(takes_away(&sql).is_some(), "{name} needs no exception");
            continue;
        }
        let found = takes_away(&sql);
        assert!(
            found.is_none(),
            "{name} has `{}`, which the version before it may depend on. Deploy a version that does not first; then say \
             so in a line `-- Unused since VERSION: what and why`",
            found.unwrap_or_default()
        );
    }
    Ok(())
}

#[test]
fn what_takes_something_away_is_recognised() {
    for (sql, taken) in [
        ("alter table users drop column age;", Some("drop")),
        ("-- Why.\nALTER TABLE users\n  RENAME COLUMN age TO years;", Some("rename")),
        ("alter table users alter column age type integer;", Some("type")),
        ("alter table users alter column age set not null;", Some("set not null")),
        ("alter table users add constraint users_age check (age > 0);", Some("add constraint")),
        (
            "alter table users add column a text default '', add column b text not null;",
            Some("not null without default"),
        ),
        ("drop index data_store_expiry;", Some("drop")),
        ("alter table users add column note text;", None),
        ("alter table users add column note text not null default '';", None),
        ("create table notes (id uuid not null, type text not null);", None),
        ("create index users_age on users (age);", None),
        ("-- What was in drop is added.\nalter table users add column dropped_at timestamptz;", None),
        ("-- Unused since 0.2.0: nobody asks for ages.\nalter table users drop column age;", None),
    ] {
        assert_eq!(takes_away(sql).as_deref(), taken, "{sql}");
    }
}
