//! `GET /api/docs`: a page to read the API on and to try it.
//!
//! `build.rs` makes it of `page/` and of Swagger UI in `vendor/`. It is one document that loads nothing but
//! `GET /api/openapi.json`.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/docs");

/// The page, compressed to a quarter, as every browser takes it.
const GZIPPED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));

/// Its entity tag: a digest.
const TAG: &str = env!("PAGE_TAG");

/// Nothing but the page's own script and style, by their digests; requests to the service that it came from; the icons
/// in the style. Swagger UI needs no more.
const POLICY: &str = concat!(
    "default-src 'none'; script-src 'sha256-",
    env!("SCRIPT_DIGEST"),
    "'; style-src 'sha256-",
    env!("STYLE_DIGEST"),
    "'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// How long it may be kept before it is asked for again: it changes with a deployment.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Answers 200 with the page, or 304 if the caller has it.
pub async fn handle((): (), request: Request) -> Result<Reply, ApiError> {
    let reply = if http::has_current(&request, TAG)? {
        Reply::not_modified()
    } else if http::takes_gzip(&request) {
        Reply::gzipped(GZIPPED)
    } else {
        Reply::text(unpacked()?)
    };
    Ok(reply.html(TAG, POLICY, MAX_AGE))
}

/// For curl, and whatever else takes no compressed answer.
fn unpacked() -> Result<String, ApiError> {
    let mut page = String::new();
    GzDecoder::new(GZIPPED).read_to_string(&mut page).map_err(|error| ApiError::Internal(Box::new(error)))?;
    Ok(page)
}
