//! Mailed codes and announcements: from the request to the outbox.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::App;
use crate::audit::Event;
use crate::auth::digest_keys::Digests;
use crate::auth::rate_limit::RateLimit;
use crate::auth::throttle;
use crate::db::announcements::{self, Announcement};
use crate::db::mailed_codes::{self, CodeOwner, CodeUse, MailLimits, NewCode, PresentedCode, Recipient, Requested};
use crate::db::sign_in::VerifiedPassword;
use crate::domain::{CodePurpose, Device, Handle, MailedCode, Network, Session, canonical_name, uuid_v7};
use crate::error::ApiError;
use crate::mail::{Message, Outbox};
use crate::report;
use crate::secrets::Keys;

/// Time that a request spends on moving an announcement to the outbox. `data-sweep` moves it otherwise.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(1);

/// The data of a response to a request for a code.
#[derive(Debug, Serialize)]
pub struct CodeRequested {
    /// The handle that the client presents with the code.
    handle: Handle,
}

/// A code that was checked and can be used.
pub struct CheckedCode {
    code: PresentedCode,
    /// The user.
    pub owner: CodeOwner,
}

impl<K: Keys> App<K> {
    /// Returns the outbox.
    ///
    /// # Errors
    /// `MailNotConfigured`.
    pub fn outbox(&self) -> Result<&Outbox, ApiError> {
        self.settings().mail.as_ref().ok_or(ApiError::MailNotConfigured)
    }

    /// Makes the announcement of a change from its message, if there is mail.
    pub fn announcement(&self, message: impl FnOnce() -> Message) -> Option<Announcement> {
        self.settings().mail.is_some().then(|| Announcement { id: uuid_v7(self.now()), message: message().text() })
    }

    /// Moves the announcement of a change that was made to the outbox. A failure is not one of the request, because `data-sweep`
    /// moves the announcement later.
    pub async fn announce(&self, announcement: Option<Announcement>) {
        let Some((announcement, outbox)) = announcement.zip(self.settings().mail.as_ref()) else { return };
        let moved = timeout(ANNOUNCE_LIMIT, self.move_to_outbox(&announcement, outbox));
        let moved = moved.await.unwrap_or_else(|elapsed| Err(ApiError::Unavailable(elapsed.into())));
        if let Err(error) = moved {
            tracing::warn!("data-sweep has to move an announcement to the outbox: {}", report::chain(&error));
        }
    }

    /// Moves the announcements to the outbox that requests have left, and returns their number.
    ///
    /// # Errors
    /// The outbox or the database is unavailable.
    pub async fn move_left_announcements(&self) -> Result<i64, ApiError> {
        let Some(outbox) = &self.settings().mail else { return Ok(0) };
        let left = announcements::left(self.db(), self.now()).await?;
        for announcement in &left {
            self.move_to_outbox(announcement, outbox).await?;
        }
        Ok(left.len() as i64)
    }

    async fn move_to_outbox(&self, announcement: &Announcement, outbox: &Outbox) -> Result<(), ApiError> {
        outbox.put_text(announcement.id, &announcement.message, self.now()).await?;
        Ok(announcements::remove(self.db(), announcement.id).await?)
    }
}

impl<K: Keys + Digests> App<K> {
    /// Makes a code, stores its digest, and mails it. Returns none if a verified password was replaced meanwhile, or no account
    /// has the id.
    ///
    /// If the recipient is a name, the response and its time do not depend on whether there is such an account.
    ///
    /// # Errors
    /// `MailNotConfigured`, `TooManyAttempts`, `EmailExists`, the session has ended, or the database or the outbox is unavailable.
    pub async fn mail_code(
        &self,
        purpose: CodePurpose,
        recipient: Recipient<'_>,
        network: Option<&Network>,
    ) -> Result<Option<CodeRequested>, ApiError> {
        let (outbox, now) = (self.outbox()?, self.now());
        let (handle, code) = (Handle::random()?, MailedCode::random()?);
        let digests = self.0.secrets.keys().await.digests().code_digests(handle, &code);
        let limits = match recipient {
            // Operators are trusted.
            Recipient::User(_) => MailLimits { network: None, account: None },
            _ => self.mail_limits(),
        };
        let new = NewCode { handle, purpose, digest: &digests[0], network, limits, now };
        let message = match mailed_codes::store(self.db(), &new, recipient).await? {
            None => return Ok(None),
            Some(Requested::Throttled(until)) => {
                let wait = throttle::wait(until, now);
                Event::MailThrottled { purpose, wait }.record();
                return Err(ApiError::TooManyAttempts(wait));
            }
            Some(Requested::Withheld) => {
                Event::CodeWithheld(purpose).record();
                None
            }
            Some(Requested::Stored { user, username, to }) => {
                Event::CodeMailed(user, purpose).record();
                Some(Message::with_code(to, username, purpose, code, now))
            }
        };
        // Not the handle: a mail program shows the name of the entry as part of the message's id.
        outbox.put(uuid_v7(now), message.as_ref(), now).await?;
        Ok(Some(CodeRequested { handle }))
    }

    fn mail_limits(&self) -> MailLimits {
        let limits = self.settings().limits;
        MailLimits {
            network: RateLimit::per_hour(limits.mails, u32::MAX),
            account: RateLimit::per_day(limits.mails_for_account),
        }
    }

    /// Mails a code to a user who has to verify the address before signing in, and returns the error of the sign-in. Returns none
    /// if the verified password was replaced meanwhile.
    ///
    /// # Errors
    /// As for [`App::mail_code`].
    pub async fn require_verification(
        &self,
        verified: &VerifiedPassword,
        network: Option<&Network>,
    ) -> Result<Option<ApiError>, ApiError> {
        let requested = self.mail_code(CodePurpose::EmailVerification, Recipient::Verified(verified), network).await?;
        Ok(requested.map(|requested| ApiError::EmailNotVerified(requested.handle)))
    }

    /// Checks a code that a client presents with its handle, of the user of a session if there is one.
    ///
    /// # Errors
    /// `InvalidCode`, the session has ended, or the database is unavailable.
    pub async fn check_code(
        &self,
        purpose: CodePurpose,
        (handle, code): (Handle, MailedCode),
        session: Option<Session>,
    ) -> Result<CheckedCode, ApiError> {
        self.outbox()?;
        let digests = self.0.secrets.keys().await.digests().code_digests(handle, &code);
        let code = PresentedCode { handle, purpose, digests };
        let owner = match session {
            None => mailed_codes::check(self.db(), &code, self.now()).await?,
            Some(session) => mailed_codes::check_of_session(self.db(), &code, session, self.now()).await?,
        };
        let owner = owner.ok_or_else(|| invalid_code(purpose))?;
        Ok(CheckedCode { code, owner })
    }

    /// Uses a code for a change. `device` has sent the request.
    ///
    /// # Errors
    /// `InvalidCode` if it was used or replaced meanwhile or has expired, `EmailExists`, the session has ended, or the database is
    /// unavailable.
    pub async fn use_code(&self, checked: &CheckedCode, change: CodeUse<'_>, device: &Device) -> Result<(), ApiError> {
        let CheckedCode { code, owner } = checked;
        let is_used = mailed_codes::apply(self.db(), code, owner.user, change, device, self.now()).await?;
        is_used.then_some(()).ok_or_else(|| invalid_code(code.purpose))
    }

    /// Returns the subjects under which failed sign-ins of a user from a network are counted.
    pub async fn throttle_subjects(&self, owner: &CodeOwner, network: Option<&Network>) -> Vec<String> {
        let keys = self.0.secrets.keys().await;
        let names = [&owner.username, &owner.email].map(|name| canonical_name(name));
        names.iter().map(|name| keys.digests().throttle_subject(name, network)).collect()
    }
}

/// Records that a code was rejected, and returns the error.
fn invalid_code(purpose: CodePurpose) -> ApiError {
    Event::CodeRejected(purpose).record();
    ApiError::InvalidCode
}
