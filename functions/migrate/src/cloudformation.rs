//! The protocol of CloudFormation's custom resources. CloudFormation invokes the function in a deployment and waits, for an
//! hour by default, until a response is uploaded to the URL in the event:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/crpg-ref.html>.

use std::future::Future;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::db::admin::reconcile::IamRoles;
use shared::report::BoxError;
use shared::{aws, report};
use tokio::time::timeout;

use crate::Report;

/// A request of CloudFormation. Only the URL is required, so that an incomplete request gets a response too.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "CloudFormation names the fields")]
pub(crate) struct Request {
    #[serde(default)]
    request_type: String,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    #[serde(default)]
    stack_id: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    logical_resource_id: String,
    // Parsed by `iam_roles`, so that an error is part of the response.
    #[serde(default)]
    resource_properties: Value,
}

/// A response to CloudFormation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    status: Status,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    physical_resource_id: &'static str,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Success,
    Failed,
}

/// The attributes that a template can read with `!GetAtt`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    applied: String,
}

/// The id never changes, because CloudFormation would delete the resource that had the previous one.
const PHYSICAL_RESOURCE_ID: &str = "keyhold-schema";
/// The part of an invocation's time that is reserved for the response. It is enough for all attempts that fail at once, and
/// for two that time out.
const TIME_FOR_RESPONSE: Duration = Duration::from_secs(12);
/// The longest text in a response, in bytes. A response has at most 4096 bytes.
const MAX_TEXT: usize = 1000;

impl Request {
    /// Parses an event. Returns none if it is not a request of CloudFormation.
    pub(crate) fn parse(event: &str) -> Option<Self> {
        serde_json::from_str(event).ok()
    }

    /// Runs the migration if the request needs it, until shortly before the deadline, and sends the response. A failed
    /// migration is sent as a response too.
    ///
    /// # Errors
    /// The response could not be sent. Lambda then invokes the function again.
    pub(crate) async fn serve<F>(
        self,
        migration: impl FnOnce(IamRoles) -> F,
        now: SystemTime,
        deadline: Option<SystemTime>,
    ) -> Result<Response, BoxError>
    where
        F: Future<Output = Result<Report, BoxError>> + Send + 'static,
    {
        let result = match self.request_type.as_str() {
            "Create" | "Update" => {
                let left = deadline.map_or(Duration::MAX, |deadline| deadline.duration_since(now).unwrap_or_default());
                match self.iam_roles() {
                    Ok(iam_roles) => run(migration(iam_roles), left.saturating_sub(TIME_FOR_RESPONSE)).await,
                    Err(reason) => Err(reason),
                }
            }
            // The data stays when the stack is deleted.
            "Delete" => Ok(Report::default()),
            other => Err(format!("RequestType must be Create, Update, or Delete, not {other:?}")),
        };
        let response = self.response(result);
        aws::client::put(&self.response_url, &serde_json::to_string(&response)?).await?;
        Ok(response)
    }

    /// Returns the IAM roles that may sign in as each database role.
    fn iam_roles(&self) -> Result<IamRoles, String> {
        match self.resource_properties.get("DatabaseRoles") {
            None => Ok(IamRoles::new()),
            Some(roles) => IamRoles::deserialize(roles)
                .map_err(|error| format!("DatabaseRoles must map each database role to a list of ARNs: {error}")),
        }
    }

    fn response(&self, result: Result<Report, String>) -> Response {
        let (status, reason, applied) = match result {
            Ok(report) => (Status::Success, String::new(), report.applied.join(", ")),
            Err(reason) => (Status::Failed, reason, String::new()),
        };
        Response {
            status,
            reason: truncate(reason),
            physical_resource_id: PHYSICAL_RESOURCE_ID,
            stack_id: self.stack_id.clone(),
            request_id: self.request_id.clone(),
            logical_resource_id: self.logical_resource_id.clone(),
            data: Data { applied: truncate(applied) },
        }
    }
}

/// Runs the migration and survives its panics and its timeout. The error is a text for the operator.
async fn run<F>(migration: F, time_limit: Duration) -> Result<Report, String>
where
    F: Future<Output = Result<Report, BoxError>> + Send + 'static,
{
    // A panic ends its own task only.
    let task = tokio::spawn(migration);
    let abort = task.abort_handle();
    let reason = match timeout(time_limit, task).await {
        Ok(Ok(Ok(report))) => return Ok(report),
        Ok(Ok(Err(error))) => report::chain(error.as_ref()),
        Ok(Err(_)) => "the migration panicked. The log of the function has the message".to_owned(),
        Err(_) => {
            abort.abort();
            "the migration did not finish before the timeout of the function. Another run may hold the migration lock, or a \
             transaction may lock a table. Raise the timeout of the function, or deploy again: the next run continues with \
             the missing migrations"
                .to_owned()
        }
    };
    tracing::error!("the migration failed: {reason}");
    Err(reason)
}

fn truncate(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_TEXT, Report, run, truncate};

    #[tokio::test]
    async fn a_panic_is_a_failed_migration() {
        let panicked = run(async { panic!("on purpose") }, Duration::MAX).await;
        assert!(panicked.is_err_and(|reason| reason.contains("panicked")));
        let next = run(async { Ok(Report::default()) }, Duration::MAX).await;
        assert!(next.is_ok(), "the next migration runs");
    }

    #[test]
    fn a_long_text_is_truncated_between_two_characters() {
        assert_eq!(truncate("short".to_owned()), "short");
        let truncated = truncate("é".repeat(MAX_TEXT));
        assert_eq!((truncated.chars().count(), truncated.ends_with('…')), (MAX_TEXT / 2 + 1, true));
    }
}
