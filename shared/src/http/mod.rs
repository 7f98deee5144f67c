//! HTTP: requests, replies, responses, and routes.

mod body;
mod headers;
mod json_object;
mod media_type;
mod negotiation;
mod path;
mod percent;
mod precondition;
mod query;
mod reply;
mod request;
mod response;
mod route;

pub use self::body::Body;
pub use self::headers::ResponseHeaders;
use self::negotiation::accepts_gzip;
pub use self::path::{InvalidParameter, data_path, path, user_id};
pub(crate) use self::precondition::reject_impossible_preconditions;
pub use self::precondition::{if_match, if_none_match};
pub use self::query::Query;
pub use self::reply::{Page, Reply};
pub use self::request::{InvalidEvent, Request};
pub(crate) use self::request::{Payload, bearer_token};
pub use self::response::Response;
pub(crate) use self::response::{ErrorForm, failure, success};
pub use self::route::Route;
