//! A ticket in a real Gitea, where its program is given: the issue is there, its text is rendered, and the evidence that hangs
//! on it verifies.
//!
//! `GITEA` names the program. `GITEA_STATIC` names the folder with its `templates`, `options` and `public`, where they are not
//! built into it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{binary, ended, perjury, stderr, stdout};

/// A user with a repository called `broker`.
const USER: &str = "team";
/// How often it is asked whether it is up, every 100 ms. On a busy machine it takes its time.
const LOOKS_MAX: u32 = 1800;

/// A Gitea of its own on loopback, ended with the test.
struct Gitea {
    program: PathBuf,
    dir: tempfile::TempDir,
    url: String,
    server: Option<Child>,
}

impl Drop for Gitea {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself, and then there is nothing to end.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Gitea {
    /// None, with a word, where no program is given.
    fn started() -> Option<Gitea> {
        let Some(program) = std::env::var_os("GITEA").filter(|path| !path.is_empty()) else {
            eprintln!("skipped: GITEA is not set to the path of gitea");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let mut gitea = Gitea { program: program.into(), dir, url, server: None };
        std::fs::write(gitea.settings(), gitea.configuration(port)).unwrap();
        gitea.done(&["migrate"]);
        gitea.done(&[
            "admin",
            "user",
            "create",
            "--username",
            USER,
            "--random-password",
            "--admin",
            "--email",
            "team@example.org",
            "--must-change-password=false",
        ]);
        gitea.server = Some(gitea.command(&["web"]).stdout(Stdio::null()).spawn().unwrap());
        for _ in 0..LOOKS_MAX {
            if ureq::get(format!("{}/api/healthz", gitea.url)).call().is_ok() {
                return Some(gitea);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} does not come up", gitea.program.display());
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("app.ini")
    }

    fn configuration(&self, port: u16) -> String {
        let root = self.dir.path().display();
        let assets = std::env::var("GITEA_STATIC").unwrap_or_default();
        let assets = if assets.is_empty() {
            String::new()
        } else {
            format!("STATIC_ROOT_PATH = {assets}\n")
        };
        format!(
            "RUN_MODE = prod\nWORK_PATH = {root}\nI_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\n\
             [server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = {}/\nOFFLINE_MODE = true\nDISABLE_SSH = true\n\
             APP_DATA_PATH = {root}/data\n{assets}\
             [database]\nDB_TYPE = sqlite3\nPATH = {root}/gitea.db\n\
             [security]\nINSTALL_LOCK = true\nSECRET_KEY = only-for-this-test\n\
             [service]\nDISABLE_REGISTRATION = true\n[cron]\nENABLED = false\n[actions]\nENABLED = false\n\
             [indexer]\nISSUE_INDEXER_TYPE = db\n[log]\nMODE = console\nLEVEL = error\n",
            self.url
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // It keeps what it wants to keep below its own folder.
        command.args(args).arg("--config").arg(self.settings()).current_dir(self.dir.path());
        command.env("HOME", self.dir.path()).env("GITEA_WORK_DIR", self.dir.path());
        command.env("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true");
        command.stdin(Stdio::null());
        command
    }

    /// What the command prints; it must succeed.
    fn done(&self, args: &[&str]) -> String {
        let output = ended(&mut self.command(args));
        assert!(output.status.success(), "{args:?}: {}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    fn token(&self, name: &str, scopes: &str) -> String {
        let made = self.done(&[
            "admin",
            "user",
            "generate-access-token",
            "--username",
            USER,
            "--token-name",
            name,
            "--scopes",
            scopes,
            "--raw",
        ]);
        made.trim().lines().last().unwrap().to_owned()
    }

    /// Its answer to a request as JSON.
    fn api(&self, token: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/api/v1{path}", self.url);
        let header = ("Authorization", format!("token {token}"));
        let mut answer = match body {
            None => ureq::get(&url).header(header.0, header.1).call().unwrap(),
            Some(body) => {
                let call = ureq::post(&url).header(header.0, header.1);
                let call = call.header("Content-Type", "application/json");
                call.send(body.to_string().as_bytes()).unwrap()
            }
        };
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// A page or a file.
    fn fetched(&self, token: &str, url: &str) -> Vec<u8> {
        let call = ureq::get(url).header("Authorization", format!("token {token}"));
        call.call().unwrap().body_mut().read_to_vec().unwrap()
    }

    /// `perjury ticket` about a history that lost a write.
    fn ticket(&self, project: &str, token: &str) -> std::process::Output {
        let history = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../histories/lost-write/passed-over.jsonl");
        ended(
            binary()
                .args(["ticket", history.to_str().unwrap(), "--tracker", "gitea"])
                .args(["--url", &self.url, "--project", project])
                .env("PERJURY_GITEA_TOKEN", token),
        )
    }
}

#[test]
fn a_ticket_in_a_real_gitea_is_rendered_and_carries_evidence_that_verifies() {
    let Some(gitea) = Gitea::started() else { return };
    let all = gitea.token("all", "all");
    gitea.api(&all, "/user/repos", Some(json!({"name": "broker"})));
    let made = gitea.ticket("team/broker", &gitea.token("issues", "write:issue"));
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let page = stdout(&made).trim().to_owned();
    assert_eq!(page, format!("{}/team/broker/issues/1", gitea.url));

    let issue = gitea.api(&all, "/repos/team/broker/issues/1", None);
    assert!(issue["title"].as_str().unwrap().starts_with("INVALID"), "{issue}");
    let [asset] = issue["assets"].as_array().unwrap().as_slice() else { panic!("{issue}") };
    let name = asset["name"].as_str().unwrap();
    assert!(issue["body"].as_str().unwrap().contains(&format!("Evidence: `{name}`")), "{issue}");
    let bundle = gitea.dir.path().join(name);
    let link = asset["browser_download_url"].as_str().unwrap();
    std::fs::write(&bundle, gitea.fetched(&all, link)).unwrap();
    let verified = perjury(&["verify", bundle.to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));

    let html = String::from_utf8(gitea.fetched(&all, &page)).unwrap();
    for part in ["<h2", "<strong>lost-write</strong>", "<code", "kcat -b"] {
        assert!(html.contains(part), "{part} is not in the page of the issue");
    }
    assert!(!html.contains("**lost-write**"), "the text was not taken for Markdown");
}

#[test]
fn what_a_real_gitea_refuses_is_said_with_what_to_do() {
    let Some(gitea) = Gitea::started() else { return };
    let all = gitea.token("all", "all");
    gitea.api(&all, "/user/repos", Some(json!({"name": "broker"})));
    for (project, token, expected) in [
        ("team/none", all.clone(), "check --url and --project"),
        ("team/broker", "0".repeat(40), "the token is not valid there"),
        ("team/broker", gitea.token("reader", "read:issue"), "may not create issues"),
    ] {
        let refused = gitea.ticket(project, &token);
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(254), "{said}");
        assert!(said.contains(expected) && !said.contains(&token), "{said}");
    }
    assert_eq!(gitea.api(&all, "/repos/team/broker/issues", None), json!([]));
}
