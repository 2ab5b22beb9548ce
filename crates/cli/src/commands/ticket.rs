//! `perjury ticket`: the report of a run in a bug tracker.

use crate::commands::evidence::{What, mended};
use crate::exit::{self, usage};
use anyhow::{Context, Result, bail};
use perjury_evidence::bundle;
use perjury_evidence::ticket::{Body, Request, Target, Ticket, Tracker};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use ureq::Agent;
use ureq::unversioned::multipart::{Form, Part};

/// A tracker that takes longer does not answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// No answer of a tracker about an issue is longer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Arguments of `perjury ticket`.
///
/// The token is taken from the environment alone: PERJURY_GITHUB_TOKEN, PERJURY_GITEA_TOKEN or PERJURY_JIRA_TOKEN, with
/// PERJURY_JIRA_USER for Jira's cloud.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// The kind of tracker: github, gitea (or Forgejo), jira.
    #[arg(long)]
    tracker: Tracker,
    /// The tracker's address; for GitHub that of its API.
    #[arg(long)]
    url: String,
    /// Where the issue goes: owner/repository, or the key of a Jira project.
    #[arg(long)]
    project: String,
    /// Print the requests, without the token, and send nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    let target = Target::new(args.tracker, &args.url, &args.project);
    let target = target.map_err(|e| usage(e.to_string()))?;
    let (source, wanted, key) = args.what.read()?;
    let made = bundle(source, &wanted, key.as_ref()).map_err(mended)?;
    let ticket = Ticket::new(args.tracker, &made);
    let create = target.create(&ticket);
    if args.dry_run {
        print!("{}", shown(&create, args.tracker));
        let example = perjury_evidence::ticket::Created { id: "ISSUE".into(), url: String::new() };
        if let Some(attach) = target.attach(&example, &made) {
            print!("\n{}", shown(&attach, args.tracker));
        }
        return Ok(ExitCode::from(exit::VALID));
    }
    let sender = Sender::new(args.tracker)?;
    let created = target.created(&sender.send(create)?)?;
    println!("{}", created.url);
    match target.attach(&created, &made) {
        Some(attach) => {
            sender.send(attach).with_context(|| {
                format!("the issue {} was created, and the evidence not attached", created.url)
            })?;
        }
        None if quiet => {}
        None => eprintln!(
            "{}'s API takes no attachments: write the bundle with perjury evidence and add {} by hand",
            args.tracker, made.file_name
        ),
    }
    Ok(ExitCode::from(exit::VALID))
}

/// A request as text, with a placeholder for the token.
fn shown(request: &Request, tracker: Tracker) -> String {
    let token = format!("${}", tracker.token_variable());
    let (name, value) = match tracker {
        // Basic authorization would hide the placeholder.
        Tracker::Jira => ("Authorization", format!("Bearer {token}")),
        _ => tracker.authorization(None, &token),
    };
    let mut lines = vec![format!("{} {}", request.method, request.url), format!("{name}: {value}")];
    lines.extend(request.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    match &request.body {
        Body::Json(value) => {
            lines.push("Content-Type: application/json".into());
            lines.push(String::new());
            lines.push(format!("{value:#}"));
        }
        Body::File { field, name, bytes } => {
            lines.push("Content-Type: multipart/form-data".into());
            lines.push(String::new());
            lines.push(format!("{field}=@{name} ({} bytes)", bytes.len()));
        }
    }
    lines.join("\n") + "\n"
}

/// Sends requests with the token.
struct Sender {
    agent: Agent,
    authorization: (&'static str, String),
}

impl Sender {
    fn new(tracker: Tracker) -> Result<Sender> {
        let variable = tracker.token_variable();
        let token = std::env::var(variable).ok().filter(|t| !t.trim().is_empty());
        let token = token.ok_or_else(|| {
            usage(format!(
                "set {variable} to a token that may create issues; it is taken from nowhere else"
            ))
        })?;
        let user = tracker.user_variable().and_then(|name| std::env::var(name).ok());
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIME_MAX))
            // A redirect could carry the token elsewhere.
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("perjury/", env!("CARGO_PKG_VERSION")));
        let user = user.as_deref().filter(|u| !u.is_empty());
        Ok(Sender {
            agent: config.build().into(),
            authorization: tracker.authorization(user, token.trim()),
        })
    }

    /// The tracker's answer; anything but success is an error that quotes it.
    fn send(&self, request: Request) -> Result<Value> {
        let (name, value) = &self.authorization;
        let mut call = self.agent.post(&request.url).header(*name, value);
        for (name, value) in &request.headers {
            call = call.header(*name, *value);
        }
        let answer = match request.body {
            Body::Json(body) => {
                call.header("Content-Type", "application/json").send(body.to_string().as_bytes())
            }
            Body::File { field, name, bytes } => {
                let part = Part::bytes(&bytes).file_name(&name).mime_str("application/zip")?;
                call.send(Form::new().part(field, part))
            }
        };
        let mut answer = answer.with_context(|| {
            format!("{} does not answer: check --url, and whether the tracker runs", request.url)
        })?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.with_context(|| format!("the answer of {} cannot be read", request.url))?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .with_context(|| format!("the answer of {} is not JSON", request.url));
        }
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let begin: String = text.chars().map(plain).take(300).collect();
        let hint = match status.as_u16() {
            301..=308 => "; redirects are not followed, so give the final address",
            401 | 403 => "; the token is not valid there or may not create issues",
            404 => "; check --url and --project, and whether the token may see the project",
            _ => "",
        };
        let answered = format!("{} answered {status}{hint}: {begin}", request.url);
        if status.is_client_error() || status.is_redirection() {
            return Err(usage(answered));
        }
        bail!(answered)
    }
}
