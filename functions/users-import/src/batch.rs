//! Imports a batch: all of its accounts or none.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::SystemTime;

use shared::db::Database;
use shared::db::imports::{self, ImportedAccount, TakenNames};
use shared::domain::UserId;
use shared::error::{Code, Fault};
use shared::report::BoxError;

use crate::account::{self, Candidate};
use crate::lines::Line;

/// Attempts at a batch while registrations take names that it has.
const MAX_ATTEMPTS: usize = 3;

/// The outcome of a batch.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) imported: usize,
    pub(crate) existing: usize,
    pub(crate) held_back: usize,
    /// The numbers of the rejected lines, and their faults.
    pub(crate) rejected: Vec<(u64, Vec<Fault>)>,
}

/// Imports the accounts of a batch, unless a line is rejected.
///
/// # Errors
/// The database is unavailable, or registrations took names in each attempt.
pub(crate) async fn import(
    db: &Database,
    batch: Vec<Line>,
    names: &mut Names,
    now: SystemTime,
) -> Result<Outcome, BoxError> {
    let (mut candidates, mut rejected) = (Vec::new(), Vec::new());
    for Line { number, text } in batch {
        let read = match &text {
            Ok(text) => account::read(text, now).map_err(|error| error.faults().to_vec()),
            Err(reason) => Err(vec![Fault::new("line", Code::InvalidRequest, reason)]),
        };
        match read {
            Ok(candidate) => candidates.push((number, candidate)),
            Err(faults) => rejected.push((number, faults)),
        }
    }
    names.reject_repeated(&mut candidates, &mut rejected);
    for _ in 0..MAX_ATTEMPTS {
        let accounts: Vec<&ImportedAccount> = candidates.iter().map(|(_, candidate)| &candidate.account).collect();
        let taken = Taken::new(imports::find_taken(db, &accounts).await?);
        let (mut new, mut existing) = (Vec::new(), 0);
        for (number, candidate) in &candidates {
            match taken.compare(candidate) {
                Comparison::New => new.push(&candidate.account),
                Comparison::Existing => existing += 1,
                Comparison::Taken(faults) => rejected.push((*number, faults)),
            }
        }
        if !rejected.is_empty() {
            rejected.sort_by_key(|(number, _)| *number);
            return Ok(Outcome { imported: 0, existing, held_back: new.len(), rejected });
        }
        let inserted = if new.is_empty() { Ok(()) } else { imports::insert(db, &new, now).await };
        match inserted {
            Ok(()) => return Ok(Outcome { imported: new.len(), existing, ..Outcome::default() }),
            Err(imports::Error::Taken) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err("accounts with the same names were created meanwhile. Repeat the import".into())
}

/// The ids and names of the lines so far, as digests of 64 bits, and the line of each. A million lines take some 100 MiB.
#[derive(Default)]
pub(crate) struct Names(HashMap<u64, u64>);

impl Names {
    /// Moves candidates with an id or a name of an earlier line to the rejected ones.
    fn reject_repeated(&mut self, candidates: &mut Vec<(u64, Candidate)>, rejected: &mut Vec<(u64, Vec<Fault>)>) {
        candidates.retain(|(number, Candidate { account, has_id, has_username })| {
            let parts = [
                has_id.then(|| ("user_id", Code::InvalidRequest, account.id.to_string())),
                has_username.then(|| ("username", Code::UsernameExists, account.username.canonical())),
                Some(("email", Code::EmailExists, account.email.canonical())),
            ];
            let mut faults = Vec::new();
            for (field, code, value) in parts.into_iter().flatten() {
                let digest = self.0.hasher().hash_one((field, value));
                let first = *self.0.entry(digest).or_insert(*number);
                if first != *number {
                    faults.push(Fault::new(field, code, format!("{field} is also that of line {first}")));
                }
            }
            let is_first = faults.is_empty();
            if !is_first {
                rejected.push((*number, faults));
            }
            is_first
        });
    }
}

/// The stored accounts that have an id or a name of a candidate, each of which finds its account.
struct Taken {
    accounts: Vec<TakenNames>,
    ids: HashMap<UserId, usize>,
    usernames: HashMap<String, usize>,
    emails: HashMap<String, usize>,
}

enum Comparison {
    /// Nothing of the candidate is stored.
    New,
    /// The account is stored.
    Existing,
    /// Another account has its id or a name.
    Taken(Vec<Fault>),
}

impl Taken {
    fn new(accounts: Vec<TakenNames>) -> Self {
        let index = |name: fn(&TakenNames) -> &str| {
            accounts.iter().enumerate().map(|(index, account)| (name(account).to_owned(), index)).collect()
        };
        let (usernames, emails) = (index(|account| &account.username), index(|account| &account.email));
        let ids = accounts.iter().enumerate().map(|(index, account)| (account.id, index)).collect();
        Self { accounts, ids, usernames, emails }
    }

    fn compare(&self, candidate: &Candidate) -> Comparison {
        let Candidate { account, has_id, has_username } = candidate;
        let (username, email) = (account.username.canonical(), account.email.canonical());
        let by_email = self.emails.get(&email).map(|index| &self.accounts[*index]);
        if let Some(stored) = by_email
            && (!has_username || stored.username == username)
            && (!has_id || stored.id == account.id)
        {
            return Comparison::Existing;
        }
        let parts = [
            ("user_id", Code::InvalidRequest, self.ids.contains_key(&account.id)),
            ("username", Code::UsernameExists, self.usernames.contains_key(&username)),
            ("email", Code::EmailExists, by_email.is_some()),
        ];
        let faults = parts.into_iter().filter(|(_, _, is_taken)| *is_taken);
        let faults: Vec<Fault> = faults
            .map(|(field, code, _)| Fault::new(field, code, format!("{field} is that of another account")))
            .collect();
        if faults.is_empty() { Comparison::New } else { Comparison::Taken(faults) }
    }
}
