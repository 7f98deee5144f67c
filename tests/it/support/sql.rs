//! SQL statements as lists of words, and the phrases that Aurora DSQL rejects.

/// The words and other characters of a statement.
pub type Statement = Vec<String>;

/// The statements of a migration, without comments and in lower case.
pub fn statements(sql: &str) -> Vec<Statement> {
    let code: String =
        sql.lines().map(|line| line.split("--").next().unwrap_or_default().to_lowercase() + "\n").collect();
    code.split(';').map(words).filter(|words| !words.is_empty()).collect()
}

/// Splits SQL into words and single other characters.
pub fn words(sql: &str) -> Statement {
    let mut words = Statement::new();
    let mut within = false;
    for sign in sql.chars() {
        let is_word = sign.is_alphanumeric() || sign == '_';
        match words.last_mut() {
            Some(word) if is_word && within => word.push(sign),
            _ if !sign.is_whitespace() => words.push(sign.to_string()),
            _ => {}
        }
        within = is_word;
    }
    words
}

/// Whether words follow each other somewhere in a statement.
pub fn contains(statement: &[String], phrase: &str) -> bool {
    let phrase = words(phrase);
    statement.windows(phrase.len()).any(|window| window == phrase)
}

/// Phrases that DSQL rejects, or accepts only in another form.
const REFUSED: [&str; 44] = [
    "json",
    "jsonb",
    "serial",
    "bigserial",
    "smallserial",
    "as identity",
    "create sequence",
    "nextval",
    "create trigger",
    "create extension",
    "create type",
    "create domain",
    "plpgsql",
    "do $$",
    "temporary",
    "temp",
    "unlogged",
    "tablespace",
    "inherits",
    "references",
    "foreign key",
    "exclude using",
    // DSQL has `create index async`, and no index of a part of the rows.
    "create index",
    "create unique index",
    "alter column",
    "add constraint",
    "collate",
    "truncate",
    "vacuum",
    "savepoint",
    "lock table",
    "listen",
    "notify",
    "pg_notify",
    "pg_advisory_lock",
    "pg_advisory_unlock",
    // RDS Proxy pins a connection for it.
    "set local",
    "skip locked",
    "for no key update",
    "for share",
    // Catalogs that DSQL lacks.
    "pg_database",
    "pg_authid",
    "alter role",
    "rds_iam",
];

/// The phrases of a statement that DSQL rejects.
pub fn refused(statement: &[String]) -> Vec<&'static str> {
    let is_index = |phrase: &str| phrase == "create index" && contains(statement, "create index async");
    REFUSED.into_iter().filter(|phrase| contains(statement, phrase) && !is_index(phrase)).collect()
}
