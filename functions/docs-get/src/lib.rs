//! `GET /api/docs`: return a page to read and try the API.
//!
//! `build.rs` makes the page from `page/` and Swagger UI in `vendor/`. It is one document and loads only
//! `GET /api/openapi.json`.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/docs");

/// The page, compressed to a quarter. Every browser accepts it.
const GZIPPED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));

/// The entity tag of the page: a digest.
const TAG: &str = env!("PAGE_TAG");

/// Allows the page's own script and style by their digests, requests to its own origin, and the icons in the style.
const POLICY: &str = concat!(
    "default-src 'none'; script-src 'sha256-",
    env!("SCRIPT_DIGEST"),
    "'; style-src 'sha256-",
    env!("STYLE_DIGEST"),
    "'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Time for which caches may keep the page, which changes with a deployment.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Returns 200 with the page, or 304 if `If-None-Match` names it.
#[expect(clippy::unused_async, reason = "the runtime awaits handlers")]
pub async fn handle((): (), request: Request) -> Result<Reply, ApiError> {
    let reply = if http::matches_etag(&request, TAG)? {
        Reply::not_modified()
    } else if http::accepts_gzip(&request) {
        Reply::gzipped(GZIPPED)
    } else {
        Reply::text(unpack()?)
    };
    Ok(reply.html(TAG, POLICY, MAX_AGE))
}

/// Decompresses the page for clients without gzip, such as curl.
fn unpack() -> Result<String, ApiError> {
    let mut page = String::new();
    GzDecoder::new(GZIPPED).read_to_string(&mut page).map_err(ApiError::internal)?;
    Ok(page)
}
