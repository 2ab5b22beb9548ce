//! The one-file report: a page with its data inside.

use crate::error::EvidenceError;
use rust_embed::RustEmbed;
use serde_json::Value;

#[derive(RustEmbed)]
#[folder = "../../web/dist-report"]
struct Pages;

const PAGE: &str = "report.html";
/// What stands before and after the data.
const BEGIN: &str = "<script type=\"application/json\" id=\"perjury-data\">";
const END: &str = "</script>";

/// A page cut at its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub(crate) before: &'a str,
    pub(crate) data: &'a str,
    pub(crate) after: &'a str,
}

/// Cuts a page at its data; `None` when it has no place for any.
pub(crate) fn cut(page: &str) -> Option<Cut<'_>> {
    let begin = page.find(BEGIN)? + BEGIN.len();
    let end = begin + page[begin..].find(END)?;
    Some(Cut { before: &page[..begin], data: &page[begin..end], after: &page[end..] })
}

/// Whether this looks like a one-file report at all, whatever happened to it since.
pub(crate) fn looks_like_one(page: &str) -> bool {
    page.contains("perjury-data") || page.contains(crate::data::SCHEMA)
}

/// The page that is built into this program, without data.
///
/// # Errors
/// [`EvidenceError::PageBroken`] when there is none, or none with a place for data.
pub(crate) fn template() -> Result<String, EvidenceError> {
    let page = Pages::get(PAGE).ok_or(EvidenceError::PageBroken)?;
    let page = String::from_utf8(page.data.into_owned()).map_err(|_| EvidenceError::PageBroken)?;
    cut(&page).ok_or(EvidenceError::PageBroken)?;
    Ok(page)
}

/// Whether the report page is built into this program. Without it bundles hold a page that says how to build it.
pub fn page_is_built() -> bool {
    template().is_ok_and(|page| !page.contains("content=\"not-built\""))
}

/// JSON as it stands inside a page: on one line, and nothing in it can end the element.
pub(crate) fn inside(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_cannot_end_its_element() {
        let text = inside(&json!({"line": "</script><script>alert(1)"}));
        assert!(!text.contains('<'));
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap()["line"],
            "</script><script>alert(1)"
        );
    }

    #[test]
    fn the_embedded_page_has_a_place_for_data() {
        let page = template().unwrap();
        let parts = cut(&page).unwrap();
        assert_eq!(parts.data, "null");
        assert_eq!(page, [parts.before, parts.data, parts.after].concat());
    }
}
