//! Registration: the limit for each network, the hash, and the new account.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::App;
use crate::audit::Event;
use crate::auth::rate_limit::RateLimit;
use crate::auth::throttle;
use crate::db::users::{self, NewUser, Registration};
use crate::domain::{Account, Device, Network, Password, Profile, UserId};
use crate::error::ApiError;
use crate::secrets::Keys;

/// Networks that have registered too many accounts, and the time at which each may register the next one. This process has
/// learned them from the database, which counts. It rejects further registrations without hashing a password.
#[derive(Default)]
pub(super) struct ThrottledNetworks(Mutex<Vec<(Network, SystemTime)>>);

impl ThrottledNetworks {
    /// Maximum number of networks. A further one replaces the first one.
    const MAX: usize = 64;

    fn until(&self, network: &Network, now: SystemTime) -> Option<SystemTime> {
        self.lock().iter().find(|(throttled, until)| throttled == network && *until > now).map(|(_, until)| *until)
    }

    fn add(&self, network: &Network, until: SystemTime, now: SystemTime) {
        let mut networks = self.lock();
        networks.retain(|(throttled, until)| throttled != network && *until > now);
        if networks.len() == Self::MAX {
            networks.remove(0);
        }
        networks.push((network.clone(), until));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Network, SystemTime)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Keys> App<K> {
    /// Creates an account. `device` has sent the request.
    ///
    /// # Errors
    /// A name is taken, `TooManyAttempts`, or the database is unavailable.
    pub async fn register(&self, profile: &Profile, password: Password, device: &Device) -> Result<Account, ApiError> {
        let limited = device.network.as_ref().zip(RateLimit::per_hour(self.settings().limits.registrations, u32::MAX));
        if let Some(until) = limited.and_then(|(network, _)| self.0.throttled_networks.until(network, self.now())) {
            return Err(self.too_many_registrations(until));
        }
        let password = self.hash_password(password).await?;
        let now = self.now();
        let user = NewUser { id: UserId::new(now), profile, password: &password, device, created_at: now };
        match users::insert(self.db(), user, limited).await {
            Ok(Registration::Created(account)) => {
                Event::AccountCreated(account.user_id).record();
                Ok(account)
            }
            Ok(Registration::Throttled(until)) => {
                if let Some((network, _)) = limited {
                    self.0.throttled_networks.add(network, until, now);
                }
                Err(self.too_many_registrations(until))
            }
            Err(error @ (users::Error::UsernameTaken | users::Error::EmailTaken)) => {
                if let Some((network, limit)) = limited {
                    users::count_failed_registration(self.db(), network, limit, now).await?;
                }
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn too_many_registrations(&self, until: SystemTime) -> ApiError {
        let wait = throttle::wait(until, self.now());
        Event::RegistrationThrottled { wait }.record();
        ApiError::TooManyAttempts(wait)
    }
}
