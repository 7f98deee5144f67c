//! What handlers speak: requests that were taken apart, replies, routes. Nothing here knows SQL or hashing.

mod body;
mod negotiation;
mod path;
mod precondition;
mod query;
mod reply;
mod request;
mod route;

pub use body::Body;
pub(crate) use negotiation::takes;
pub use negotiation::takes_gzip;
pub use path::{BrokenEncoding, data_path, path};
pub use precondition::{has_current, if_match, if_none_match};
pub use query::Query;
pub(crate) use reply::Content;
pub use reply::Reply;
pub use request::{InvalidEvent, Request};
pub(crate) use request::{Payload, bearer_token};
pub use route::Route;
