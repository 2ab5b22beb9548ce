//! Apache Kafka's jars, fetched by Maven coordinates into a cache folder and kept there.

use crate::doctor::find_program;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long Maven may take: some 50 MB over whatever line there is.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
/// The binding that carries Kafka's SLF4J 1.7 logs to a console.
const LOG4J_VERSION: &str = "2.25.5";
/// How many of Maven's last lines an error carries.
const TAIL_LINES: usize = 8;

/// Kafka's jars cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The version is not one.
    #[error("{0:?} is not a version of Apache Kafka: give one such as 4.4.0")]
    Version(String),
    /// A program is missing.
    #[error("{program} is not installed, and {purpose}: `apt-get install {package}`, or {instead}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What it is needed for.
        purpose: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// What may be done instead.
        instead: &'static str,
    },
    /// A folder or file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Maven failed.
    #[error("Maven did not fetch Apache Kafka {version}: {text}")]
    Maven {
        /// The version.
        version: String,
        /// Its last lines, or what became of it.
        text: String,
    },
}

/// Where things that are fetched once are kept: `$PERJURY_CACHE`, else `$XDG_CACHE_HOME/perjury`, else
/// `~/.cache/perjury`, else a folder in the temporary one.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("PERJURY_CACHE")
        .or_else(|| Some(var("XDG_CACHE_HOME")?.join("perjury")))
        .or_else(|| Some(var("HOME")?.join(".cache/perjury")))
        .unwrap_or_else(|| std::env::temp_dir().join("perjury-cache"))
}

/// The folder that holds the jars of a version, once they are there.
#[must_use]
pub fn libs_dir(cache: &Path, version: &str) -> PathBuf {
    cache.join("kafka").join(version)
}

/// Whether the jars of a version are there.
#[must_use]
pub fn installed(cache: &Path, version: &str) -> bool {
    libs_dir(cache, version).is_dir()
}

/// Java: `$JAVA_HOME/bin/java`, else the one in `PATH`.
///
/// # Errors
/// [`InstallError::Missing`].
pub fn java() -> Result<PathBuf, InstallError> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    home.filter(|java| java.is_file()).or_else(|| find_program(Path::new("java"))).ok_or(
        InstallError::Missing {
            program: "java",
            purpose: "Apache Kafka runs on it (17 or newer)",
            package: "openjdk-17-jre-headless",
            instead: "set JAVA_HOME",
        },
    )
}

/// Fetches the jars of a version unless they are there, telling `say` what happens, and gives their folder.
///
/// # Errors
/// [`InstallError`].
pub async fn install(
    version: &str,
    cache: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> Result<PathBuf, InstallError> {
    if !is_version(version) {
        return Err(InstallError::Version(version.to_owned()));
    }
    let libs = libs_dir(cache, version);
    if installed(cache, version) {
        return Ok(libs);
    }
    let maven = find_program(Path::new("mvn")).ok_or(InstallError::Missing {
        program: "mvn",
        purpose: "it fetches Apache Kafka's jars",
        package: "maven",
        instead: "put the jars into the folder kafka/VERSION of the cache by hand",
    })?;
    say(&format!(
        "fetching Apache Kafka {version} (some 45 jars, 45 MB) with Maven into {}, once",
        libs.display()
    ));
    // Fetched beside the final place and moved there whole, so that a broken fetch leaves nothing behind.
    let draft = cache.join("kafka").join(format!(".{version}.{}", std::process::id()));
    let outcome = fetch(&maven, version, &draft).await;
    let moved = match outcome {
        Ok(()) => std::fs::rename(draft.join("libs"), &libs)
            // Another run may have been faster; its jars are as good.
            .or_else(|error| if installed(cache, version) { Ok(()) } else { Err(error) })
            .map_err(|source| InstallError::Write { path: libs.clone(), source }),
        Err(error) => Err(error),
    };
    if let Err(error) = std::fs::remove_dir_all(&draft) {
        tracing::debug!(%error, draft = %draft.display(), "a draft folder is left over");
    }
    moved.map(|()| libs)
}

fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit())
        && version.contains('.')
        && version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

async fn fetch(maven: &Path, version: &str, draft: &Path) -> Result<(), InstallError> {
    let written = |path: &Path, source| InstallError::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(draft).map_err(|e| written(draft, e))?;
    let pom = draft.join("pom.xml");
    std::fs::write(&pom, project(version)).map_err(|e| written(&pom, e))?;
    let failed = |text: String| InstallError::Maven { version: version.to_owned(), text };
    let run = Command::new(maven)
        .args(["--quiet", "--batch-mode", "dependency:copy-dependencies"])
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", draft.join("libs").display()))
        .current_dir(draft)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(FETCH_LIMIT, run)
        .await
        .map_err(|_| failed(format!("it did not end within {} s", FETCH_LIMIT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let errors: Vec<_> = text.lines().filter(|line| line.contains("ERROR")).collect();
    let tail = errors.iter().take(TAIL_LINES).copied().collect::<Vec<_>>().join("\n");
    Err(failed(tail))
}

/// A project that has nothing but Kafka and a console for its logs as dependencies.
fn project(version: &str) -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "    <dependency>\n      <groupId>{group}</groupId>\n      <artifactId>{artifact}</artifactId>\n      \
             <version>{version}</version>\n    </dependency>\n"
        )
    };
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>perjury</groupId>\n  \
         <artifactId>kafka-libs</artifactId>\n  <version>1</version>\n  <packaging>pom</packaging>\n  \
         <dependencies>\n{}{}  </dependencies>\n</project>\n",
        dependency("org.apache.kafka", "kafka_2.13", version),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_reach_the_project_file() {
        assert!(is_version("4.4.0") && is_version("3.9.1-rc1"));
        assert!(!is_version("latest") && !is_version("4") && !is_version("4.0</version>"));
        assert!(project("4.4.0").contains("<version>4.4.0</version>"));
    }

    #[tokio::test]
    async fn what_is_there_is_not_fetched_again() {
        let cache = tempfile::tempdir().unwrap();
        let libs = libs_dir(cache.path(), "4.4.0");
        std::fs::create_dir_all(&libs).unwrap();
        let silent = |text: &str| panic!("{text}");
        assert_eq!(install("4.4.0", cache.path(), &silent).await.unwrap(), libs);
        let error = install("newest", cache.path(), &silent).await.unwrap_err();
        assert!(error.to_string().contains("4.4.0"), "{error}");
    }
}
