//! `GET /api/docs`: return the interactive documentation of the API.
//!
//! `build.rs` makes the page from `page/` and Swagger UI in `vendor/`. It is one document, which loads only
//! `GET /api/openapi.json`.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/docs");

/// The page, compressed with gzip to a quarter of its size. All browsers accept it.
const GZIPPED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));

/// The entity tag of the page, a digest of its content.
const TAG: &str = env!("PAGE_TAG");

/// The Content-Security-Policy of the page. It allows the page's script and style by their digests, requests to the
/// same origin, and the icons in the style.
const POLICY: &str = concat!(
    "default-src 'none'; script-src 'sha256-",
    env!("SCRIPT_DIGEST"),
    "'; style-src 'sha256-",
    env!("STYLE_DIGEST"),
    "'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Time for which caches may keep the page. It limits how long an old page is shown after a deployment.
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
