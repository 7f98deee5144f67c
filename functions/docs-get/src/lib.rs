//! `GET /api/docs`: return the interactive documentation of the API.
//!
//! `build.rs` makes the page from `page/` and Swagger UI in `vendor/`. It is one document, which loads only
//! `GET /api/openapi.json`.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use shared::error::ApiError;
use shared::http::{Page, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/docs").with_entity_tags();

const PAGE: Page = Page { tag: env!("PAGE_TAG"), gzipped: GZIPPED, unpack, policy: POLICY };

/// The page, compressed to a quarter of its size. All browsers accept gzip.
const GZIPPED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));

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
    Reply::page(&request, &PAGE, MAX_AGE)
}

/// Decompresses the page for clients without gzip, such as curl.
fn unpack() -> Result<String, ApiError> {
    let mut page = String::new();
    GzDecoder::new(GZIPPED).read_to_string(&mut page).map_err(ApiError::internal)?;
    Ok(page)
}
