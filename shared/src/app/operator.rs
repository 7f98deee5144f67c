//! Operators: who sends a request to an admin route.

use super::App;
use crate::audit;
use crate::domain::UserId;
use crate::error::ApiError;
use crate::http::{Request, bearer_token};
use crate::secrets::Keys;

/// An operator of the service.
pub struct Operator {
    /// The ARN of the IAM principal, or `admin token`.
    principal: String,
}

impl Operator {
    /// Records what the operator did, and to which account.
    pub fn record(&self, action: &'static str, user: Option<UserId>) {
        audit::record_operator_action(action, &self.principal, user);
    }
}

impl<K: Keys> App<K> {
    /// Returns the operator who sends a request.
    ///
    /// In AWS the gateway has verified the signature of an IAM principal, and names it in the event. It must belong to the
    /// account of the stack, so that a route without an authorizer, or with one of another account, lets no request pass.
    /// Elsewhere the request has the admin token.
    ///
    /// # Errors
    /// `MissingToken` or `InvalidToken`. Also if the service has no operators.
    pub fn operator(&self, request: &Request) -> Result<Operator, ApiError> {
        let operators = &self.settings().operators;
        if let Some(iam) = request.iam_principal() {
            if operators.account_id.as_deref() == Some(iam.account_id.as_str()) {
                return Ok(Operator { principal: iam.user_arn.clone() });
            }
            audit::record_rejected_operator(&iam.user_arn);
            return Err(ApiError::InvalidToken(None));
        }
        let token = bearer_token(request)?;
        if operators.token.as_ref().is_some_and(|expected| expected.matches(token)) {
            return Ok(Operator { principal: "admin token".to_owned() });
        }
        audit::record_rejected_operator("unknown");
        Err(ApiError::InvalidToken(None))
    }
}
