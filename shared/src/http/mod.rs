//! What handlers speak: requests that were taken apart, replies, routes. Nothing here knows SQL or hashing.

mod body;
mod path;
mod precondition;
mod query;
mod reply;
mod request;
mod route;

pub use body::Body;
pub use path::{BrokenEncoding, data_path, path};
pub use precondition::{if_match, if_none_match};
pub use query::Query;
pub use reply::Reply;
pub use request::{InvalidEvent, Request};
pub(crate) use request::{Payload, bearer_token};
pub use route::Route;
