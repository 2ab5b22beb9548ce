//! Reports as requests to bug trackers: what is sent, as data. Sending is the caller's.
//!
//! | tracker | issue | attachment |
//! |---|---|---|
//! | GitHub | `POST {url}/repos/{owner}/{repo}/issues` | its API has none: the text names the bundle and its SHA-256 |
//! | Gitea | `POST {url}/api/v1/repos/{owner}/{repo}/issues` | `POST …/issues/{number}/assets`, multipart field `attachment` |
//! | Jira | `POST {url}/rest/api/2/issue` | `POST …/issue/{key}/attachments`, multipart field `file` |
//!
//! Sources: GitHub REST API 2022-11-28, "Create an issue"; Gitea's OpenAPI description, `issueCreateIssue` and
//! `issueCreateIssueAttachment`; Jira REST API v2, "Create issue" and "Add attachment".

use crate::bundle::Bundle;
use crate::hash::sha256;
use perjury_checker::render::{self, Origin};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// Trackers cut or refuse longer titles.
const TITLE_CHARS_MAX: usize = 200;
/// Jira's and GitHub's bound of an issue's text lies above this.
const BODY_CHARS_MAX: usize = 30_000;

/// A kind of bug tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker {
    /// GitHub and GitHub Enterprise.
    Github,
    /// Gitea, and Forgejo, which kept its API.
    Gitea,
    /// Jira, server and cloud.
    Jira,
}

impl Tracker {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Tracker::Github => "github",
            Tracker::Gitea => "gitea",
            Tracker::Jira => "jira",
        }
    }

    /// The environment variable that holds the token.
    pub fn token_variable(self) -> &'static str {
        match self {
            Tracker::Github => "PERJURY_GITHUB_TOKEN",
            Tracker::Gitea => "PERJURY_GITEA_TOKEN",
            Tracker::Jira => "PERJURY_JIRA_TOKEN",
        }
    }

    /// The environment variable that holds the user to whom the token belongs, where the tracker may want one: Jira's cloud
    /// does, Jira's server takes a personal access token alone.
    pub fn user_variable(self) -> Option<&'static str> {
        (self == Tracker::Jira).then_some("PERJURY_JIRA_USER")
    }

    /// The header that carries the token.
    pub fn authorization(self, user: Option<&str>, token: &str) -> (&'static str, String) {
        use base64::Engine;
        let value = match (self, user) {
            (Tracker::Gitea, _) => format!("token {token}"),
            (Tracker::Jira, Some(user)) => {
                let pair = format!("{user}:{token}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            _ => format!("Bearer {token}"),
        };
        ("Authorization", value)
    }
}

impl fmt::Display for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tracker {
    type Err = String;

    fn from_str(text: &str) -> Result<Tracker, String> {
        match text {
            "github" => Ok(Tracker::Github),
            "gitea" => Ok(Tracker::Gitea),
            "jira" => Ok(Tracker::Jira),
            other => Err(format!("a tracker is github, gitea or jira, not {other:?}")),
        }
    }
}

/// Why no request can be made, or an answer not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The address cannot be used.
    #[error("{url:?} cannot be used as address of a tracker: {why}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong and what to do.
        why: &'static str,
    },
    /// The project's name has another form.
    #[error("{project:?} is no project of {tracker}: give {form}")]
    BadProject {
        /// What was given.
        project: String,
        /// The tracker.
        tracker: Tracker,
        /// The form that it wants.
        form: &'static str,
    },
    /// The tracker answered something else than a new issue.
    #[error("the answer of {tracker} names no new issue: {answer}")]
    BadAnswer {
        /// The tracker.
        tracker: Tracker,
        /// The beginning of the answer.
        answer: String,
    },
}

/// Where a ticket goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    tracker: Tracker,
    url: String,
    project: String,
}

/// What is sent besides the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// JSON.
    Json(Value),
    /// A file as multipart form.
    File {
        /// The form's field.
        field: &'static str,
        /// The file's name.
        name: String,
        /// Its content.
        bytes: Vec<u8>,
    },
}

/// One request, without the token.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Always `POST`.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// Headers beside those of the body and of the token.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: Body,
}

/// An issue that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its number or key.
    pub id: String,
    /// Its address for people.
    pub url: String,
}

/// The text of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// One line.
    pub title: String,
    /// The text in the tracker's markup.
    pub body: String,
}

impl Ticket {
    /// The ticket of a bundle, which is named with its SHA-256: whoever gets it knows that it is the right one.
    pub fn new(tracker: Tracker, bundle: &Bundle) -> Ticket {
        let report = &bundle.report;
        let origin = Origin { bundle: Some(bundle.file_name.clone()), ..bundle.origin.clone() };
        let hash = sha256(&[&bundle.bytes]);
        let text = match tracker {
            Tracker::Jira => render::jira(report, &origin),
            Tracker::Github | Tracker::Gitea => render::markdown_from(report, &origin),
        };
        let note = match tracker {
            Tracker::Jira => {
                format!("Evidence: {} (SHA-256 {hash})", bundle.file_name.replace('_', "\\_"))
            }
            _ => format!("Evidence: `{}` (SHA-256 `{hash}`)", bundle.file_name),
        };
        let body: String = text.chars().take(BODY_CHARS_MAX).collect();
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let title: String = report.headline.chars().map(plain).take(TITLE_CHARS_MAX).collect();
        Ticket { title, body: format!("{body}\n{note}\n") }
    }
}

impl Target {
    /// A project of a tracker. `url` is the tracker's address: for GitHub that of its API. An address without TLS is taken
    /// for this machine alone, since the token would travel in clear text.
    ///
    /// # Errors
    /// [`TicketError::BadUrl`] or [`TicketError::BadProject`].
    pub fn new(tracker: Tracker, url: &str, project: &str) -> Result<Target, TicketError> {
        let bad_url = |why| Err(TicketError::BadUrl { url: url.to_owned(), why });
        let trimmed = url.trim().trim_end_matches('/');
        let plain = trimmed.strip_prefix("http://");
        let Some(rest) = trimmed.strip_prefix("https://").or(plain) else {
            return bad_url("it begins with neither https:// nor http://");
        };
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.is_empty() || authority.contains('@') {
            return bad_url("give https://host, without user or password");
        }
        if rest.contains(['?', '#']) || rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return bad_url("give the address alone, without query, fragment or blanks");
        }
        if plain.is_some() && !is_loopback(authority) {
            return bad_url("the token would travel in clear text: use https://");
        }
        let target = Target { tracker, url: trimmed.to_owned(), project: project.to_owned() };
        target.checked()
    }

    fn checked(self) -> Result<Target, TicketError> {
        let word = |part: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !part.is_empty()
                && part.len() <= 100
                && !part.starts_with('.')
                && part.bytes().all(plain)
        };
        let (right, form) = match self.tracker {
            Tracker::Jira => (word(&self.project), "its key, such as KAFKA"),
            Tracker::Github | Tracker::Gitea => {
                let parts: Vec<&str> = self.project.split('/').collect();
                (parts.len() == 2 && parts.into_iter().all(word), "owner/repository")
            }
        };
        if right {
            return Ok(self);
        }
        Err(TicketError::BadProject { project: self.project, tracker: self.tracker, form })
    }

    /// The tracker.
    pub fn tracker(&self) -> Tracker {
        self.tracker
    }

    /// The request that creates the issue.
    pub fn create(&self, ticket: &Ticket) -> Request {
        let Target { url, project, .. } = self;
        let issue = json!({"title": ticket.title, "body": ticket.body});
        let (url, headers, body) = match self.tracker {
            Tracker::Github => (
                format!("{url}/repos/{project}/issues"),
                vec![
                    ("Accept", "application/vnd.github+json"),
                    ("X-GitHub-Api-Version", "2022-11-28"),
                ],
                issue,
            ),
            Tracker::Gitea => (
                format!("{url}/api/v1/repos/{project}/issues"),
                vec![("Accept", "application/json")],
                issue,
            ),
            Tracker::Jira => (
                format!("{url}/rest/api/2/issue"),
                vec![("Accept", "application/json")],
                json!({"fields": {
                    "project": {"key": project},
                    "issuetype": {"name": "Bug"},
                    "summary": ticket.title,
                    "description": ticket.body,
                }}),
            ),
        };
        Request { method: "POST", url, headers, body: Body::Json(body) }
    }

    /// The issue that the tracker's answer names.
    ///
    /// # Errors
    /// [`TicketError::BadAnswer`].
    pub fn created(&self, answer: &Value) -> Result<Created, TicketError> {
        let found = match self.tracker {
            Tracker::Github | Tracker::Gitea => answer["number"].as_u64().and_then(|number| {
                let url = answer["html_url"].as_str()?.to_owned();
                Some(Created { id: number.to_string(), url })
            }),
            Tracker::Jira => answer["key"].as_str().map(|key| Created {
                id: key.to_owned(),
                url: format!("{}/browse/{key}", self.url),
            }),
        };
        let plain =
            |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        found.filter(|created| plain(&created.id)).ok_or_else(|| TicketError::BadAnswer {
            tracker: self.tracker,
            answer: answer.to_string().chars().take(200).collect(),
        })
    }

    /// The request that attaches the bundle; `None` where the tracker's API has no attachments.
    pub fn attach(&self, created: &Created, bundle: &Bundle) -> Option<Request> {
        let Target { url, project, .. } = self;
        let id = &created.id;
        let (url, headers, field) = match self.tracker {
            Tracker::Github => return None,
            Tracker::Gitea => (
                format!("{url}/api/v1/repos/{project}/issues/{id}/assets"),
                vec![("Accept", "application/json")],
                "attachment",
            ),
            // Without this header Jira takes the request for a forged one.
            Tracker::Jira => (
                format!("{url}/rest/api/2/issue/{id}/attachments"),
                vec![("Accept", "application/json"), ("X-Atlassian-Token", "no-check")],
                "file",
            ),
        };
        let body =
            Body::File { field, name: bundle.file_name.clone(), bytes: bundle.bytes.clone() };
        Some(Request { method: "POST", url, headers, body })
    }
}

/// Whether the host of `host[:port]` is this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_encrypted_or_not_at_all() {
        let of = |url: &str| Target::new(Tracker::Gitea, url, "team/broker");
        for good in [
            "https://bugs.example/",
            "http://127.0.0.1:3000",
            "http://[::1]:80",
            "http://localhost",
        ] {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in [
            "bugs.example",
            "http://bugs.example",
            "http://127.0.0.1.example",
            "https://user:password@bugs.example",
            "https://bugs.example/?x=1",
            "https:///",
            "ftp://bugs.example",
        ] {
            assert!(matches!(of(bad), Err(TicketError::BadUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn projects_cannot_lead_elsewhere() {
        for (tracker, good) in [(Tracker::Github, "team/broker.v2"), (Tracker::Jira, "KAFKA")] {
            assert!(Target::new(tracker, "https://x", good).is_ok(), "{good}");
        }
        for bad in ["team", "team/../admin", "a/b/c", "/b", "a/", "a b/c", "a/b?x"] {
            assert!(Target::new(Tracker::Github, "https://x", bad).is_err(), "{bad}");
        }
        assert!(Target::new(Tracker::Jira, "https://x", "a/b").is_err());
    }

    #[test]
    fn answers_that_name_no_issue_are_refused() {
        let target = Target::new(Tracker::Gitea, "https://x", "a/b").unwrap();
        let good = json!({"number": 7, "html_url": "https://x/a/b/issues/7"});
        assert_eq!(target.created(&good).unwrap().id, "7");
        for bad in [json!({}), json!([1]), json!({"number": "7"}), json!({"number": 7})] {
            assert!(target.created(&bad).is_err(), "{bad}");
        }
        let jira = Target::new(Tracker::Jira, "https://x/jira", "K").unwrap();
        assert_eq!(jira.created(&json!({"key": "K-1"})).unwrap().url, "https://x/jira/browse/K-1");
        assert!(jira.created(&json!({"key": "../K"})).is_err());
    }
}
