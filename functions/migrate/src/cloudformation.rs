//! `migrate` as a custom resource: CloudFormation sends an event at each deployment and waits, for an hour if need be, for
//! an answer at a URL that is in it:
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

/// What CloudFormation asks for. What an answer needs may be missing, so that there is one all the same.
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
    // Read where what is wrong with it can be answered.
    #[serde(default)]
    resource_properties: Value,
}

/// What it gets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
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

/// What the template can get at by `!GetAtt`: texts alone.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    applied: String,
}

/// The schema is one thing whatever happens: another id would have CloudFormation delete the old one.
const PHYSICAL_RESOURCE_ID: &str = "keyhold-schema";
/// Kept back of an invocation's time for the answer: longer than its attempts take where they are refused, and as long as
/// the first two take where nobody answers.
const TIME_FOR_ANSWER: Duration = Duration::from_secs(12);
/// Bytes of a text in an answer, which may have 4096 in all.
const MAX_TEXT: usize = 1000;

impl Request {
    /// The request in an event, if it is one of CloudFormation's.
    pub(crate) fn of(event: &str) -> Option<Self> {
        serde_json::from_str(event).ok()
    }

    /// Does what is asked for by `migration`, until shortly before the `deadline`, and sends the answer, be it that it failed.
    ///
    /// # Errors
    /// The answer could not be sent. Lambda then invokes the function again.
    pub(crate) async fn serve<F>(
        self,
        migration: impl FnOnce(IamRoles) -> F,
        now: SystemTime,
        deadline: Option<SystemTime>,
    ) -> Result<Answer, BoxError>
    where
        F: Future<Output = Result<Report, BoxError>> + Send + 'static,
    {
        let done = match self.request_type.as_str() {
            "Create" | "Update" => {
                let left = deadline.map_or(Duration::MAX, |deadline| deadline.duration_since(now).unwrap_or_default());
                match self.iam_roles() {
                    Ok(iam_roles) => run(migration(iam_roles), left.saturating_sub(TIME_FOR_ANSWER)).await,
                    Err(reason) => Err(reason),
                }
            }
            // The data outlives the stack.
            "Delete" => Ok(Report::default()),
            other => Err(format!("RequestType is {other:?} and not Create, Update or Delete")),
        };
        let answer = self.answer(done);
        aws::client::put(&self.response_url, &serde_json::to_string(&answer)?).await?;
        Ok(answer)
    }

    /// Which roles of IAM may be which role of the database.
    fn iam_roles(&self) -> Result<IamRoles, String> {
        match self.resource_properties.get("DatabaseRoles") {
            None => Ok(IamRoles::new()),
            Some(roles) => IamRoles::deserialize(roles)
                .map_err(|error| format!("DatabaseRoles is no list of ARNs for each role of the database: {error}")),
        }
    }

    fn answer(&self, done: Result<Report, String>) -> Answer {
        let (status, reason, applied) = match done {
            Ok(report) => (Status::Success, String::new(), report.applied.join(", ")),
            Err(reason) => (Status::Failed, reason, String::new()),
        };
        Answer {
            status,
            reason: shortened(reason),
            physical_resource_id: PHYSICAL_RESOURCE_ID,
            stack_id: self.stack_id.clone(),
            request_id: self.request_id.clone(),
            logical_resource_id: self.logical_resource_id.clone(),
            data: Data { applied: shortened(applied) },
        }
    }
}

/// Runs the migrations, whatever happens in them: the report, or why there is none, in words for whoever deploys.
async fn run<F>(migration: F, patience: Duration) -> Result<Report, String>
where
    F: Future<Output = Result<Report, BoxError>> + Send + 'static,
{
    // A task of its own: should it panic, this one goes on.
    let task = tokio::spawn(migration);
    let abort = task.abort_handle();
    let reason = match timeout(patience, task).await {
        Ok(Ok(Ok(report))) => return Ok(report),
        Ok(Ok(Err(error))) => report::chain(error.as_ref()),
        Ok(Err(_)) => "the migration panicked: the function's log says where".to_owned(),
        Err(_) => {
            abort.abort();
            "the migrations were not done before the function's timeout, and the one that was begun is undone: does another \
             run hold the lock, or something else the tables? Raise the timeout of the function, or deploy again"
                .to_owned()
        }
    };
    tracing::error!("the migration failed: {reason}");
    Err(reason)
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_TEXT, Report, run, shortened};

    #[tokio::test]
    async fn a_migration_that_panics_has_failed() {
        let failed = run(async { panic!("on purpose") }, Duration::MAX).await;
        assert!(failed.is_err_and(|reason| reason.contains("panicked")));
        let done = run(async { Ok(Report::default()) }, Duration::MAX).await;
        assert!(done.is_ok(), "and the next one is done");
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(shortened("short".to_owned()), "short");
        let cut = shortened("é".repeat(MAX_TEXT));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (MAX_TEXT / 2 + 1, true));
    }
}
