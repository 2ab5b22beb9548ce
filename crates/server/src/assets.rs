//! The pages, embedded in the binary.

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Pages;

const INDEX: &str = "index.html";

/// A static file, or the one page whose script draws whatever the path names. Unknown paths get the page too, with status
/// 404: it says what to do.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return crate::error::ApiError::method_not_allowed().into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Pages::get(path).filter(|_| !path.is_empty() && path != INDEX) {
        return answer(StatusCode::OK, path, file, &headers);
    }
    let status = if is_page(path) { StatusCode::OK } else { StatusCode::NOT_FOUND };
    drawn(status, &headers)
}

/// The one page, with this status; its script draws what the path names.
pub(crate) fn drawn(status: StatusCode, headers: &HeaderMap) -> Response {
    match Pages::get(INDEX) {
        Some(file) => answer(status, INDEX, file, headers),
        None => {
            (StatusCode::NOT_FOUND, "the pages are not built: run cargo xtask web").into_response()
        }
    }
}

/// Whether a person waits for the answer in a browser, and not a program.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Whether the pages are built into this binary.
pub(crate) fn are_built() -> bool {
    const MARK: &[u8] = b"content=\"not-built\"";
    Pages::get(INDEX).is_some_and(|f| !f.data.windows(MARK.len()).any(|w| w == MARK))
}

/// Whether the script has a page for this path: those of `web/src/lib/routes.ts`.
fn is_page(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    matches!(
        parts.as_slice(),
        [""] | ["index.html"]
            | ["runs" | "compare" | "campaigns" | "calibration" | "glossary" | "login"]
            | ["campaigns", _]
            | ["runs", _, _]
    )
}

fn answer(status: StatusCode, path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag: String =
        file.metadata.sha256_hash()[..16].iter().map(|b| format!("{b:02x}")).collect();
    let etag = format!("\"{etag}\"");
    // The bundler puts a hash of the content into the names under assets/.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    // A compressed answer's tag comes back as weak.
    let unchanged =
        known.is_some_and(|k| k.split(',').any(|t| t.trim().trim_start_matches("W/") == etag));
    let mut response = if unchanged && status == StatusCode::OK {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mime = file.metadata.mimetype().to_owned();
        let mime = if mime.starts_with("text/") || mime.ends_with("javascript") {
            format!("{mime}; charset=utf-8")
        } else {
            mime
        };
        (status, [(header::CONTENT_TYPE, mime)], Body::from(file.data)).into_response()
    };
    for (name, value) in [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, cache)] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_unknown_paths() {
        let pages = ["", "runs/a/20261123T120431.207Z", "runs/a/t/", "index.html", "glossary"];
        for page in pages.into_iter().chain([
            "campaigns",
            "campaigns/new",
            "calibration",
            "compare",
            "login",
        ]) {
            assert!(is_page(page), "{page:?}");
        }
        for other in
            ["favicon.ico", "runs/a", "runs/a/b/c", "campaigns/a/b", "assets/x.js", "etc/passwd"]
        {
            assert!(!is_page(other), "{other:?}");
        }
    }
}
