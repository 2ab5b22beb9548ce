//! Histories and bundles from elsewhere, handed in to be checked.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::Asked;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use futures::StreamExt;
use perjury_campaign::{LONG_HISTORY_BYTES, judge_file, keep_first_screen};
use perjury_checker::Options;
use perjury_history::formats::{self, Format, detect};
use perjury_history::jsonl;
use perjury_store::{RunDir, Store};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use utoipa::IntoParams;

/// No larger body is taken, in bytes.
pub(crate) const UPLOAD_BYTES_MAX: usize = 256 << 20;
/// No larger history comes out of a bundle, in bytes.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;
/// Histories shrink about tenfold when they are packed; what shrinks more than this is made to fill disks.
const RATIO_MAX: u64 = 200;
/// A bundle has some tens of members.
const MEMBERS_MAX: usize = 10_000;

/// What the history is called.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadQuery {
    /// The run's name: letters, digits, dots, underscores and dashes.
    name: Option<String>,
}

/// A file that is gone when this is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may have been moved to its place.
        let _ = fs::remove_file(&self.0);
    }
}

/// Takes a history in any known format, or a bundle that holds one, and checks it. It becomes a run.
#[utoipa::path(post, path = "/histories", tag = "runs", params(UploadQuery), request_body(content = Vec<u8>, description = "the file, at most 256 MB", content_type = "application/octet-stream"),
    responses((status = 201, description = "id, verdict", body = Value), (status = 413, description = "too large, or a bundle that unpacks to too much"), (status = 422, description = "no history")))]
pub(crate) async fn upload(
    State(state): State<AppState>,
    Asked(query): Asked<UploadQuery>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = query.name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| "uploaded".into());
    perjury_store::RunId::new(&name, "t").map_err(|_| {
        ApiError::bad_request(
            format!("{name:?} cannot name a run"),
            "Give letters, digits, dots, underscores and dashes: ?name=my-history.",
        )
    })?;
    let scratch = receive(state.store.root(), body).await?;
    // One at a time: a large history takes a gigabyte while it is checked.
    let _turn = state.uploads.lock().await;
    let store = Arc::clone(&state.store);
    let checked = tokio::task::spawn_blocking(move || keep(&store, &name, &scratch)).await??;
    let (id, verdict) = checked;
    Ok((StatusCode::CREATED, Json(json!({"id": id, "verdict": verdict}))))
}

/// Writes the body to a file beside the runs.
async fn receive(root: &Path, body: Body) -> Result<Scratch, ApiError> {
    let folder = root.join(".uploads");
    let broken = |e: io::Error| ApiError::internal(format!("cannot keep the upload: {e}"));
    tokio::fs::create_dir_all(&folder).await.map_err(broken)?;
    let scratch = Scratch(folder.join(format!("{:032x}", rand::random::<u128>())));
    let mut file = tokio::fs::File::create_new(&scratch.0).await.map_err(broken)?;
    let (mut stream, mut bytes) = (body.into_data_stream(), 0usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| {
            ApiError::bad_request(format!("the upload broke off: {e}"), "Send it again.")
        })?;
        bytes += chunk.len();
        if bytes > UPLOAD_BYTES_MAX {
            return Err(ApiError::too_large("the upload is larger than 256 MB"));
        }
        file.write_all(&chunk).await.map_err(broken)?;
    }
    if bytes == 0 {
        return Err(ApiError::unprocessable("the upload is empty", "Send the file as the body."));
    }
    file.flush().await.map_err(broken)?;
    Ok(scratch)
}

/// Makes a run of what was handed in. What cannot be read leaves none.
fn keep(store: &Store, name: &str, scratch: &Scratch) -> Result<(String, &'static str), ApiError> {
    let broken = |e: io::Error| ApiError::internal(format!("cannot read the upload: {e}"));
    let mut first = [0; 4096];
    let read = File::open(&scratch.0).and_then(|mut f| f.read(&mut first)).map_err(broken)?;
    let unpacked = if first.starts_with(b"PK\x03\x04") { Some(unpack(&scratch.0)?) } else { None };
    let source = unpacked.as_ref().map_or(scratch.0.as_path(), |s| s.0.as_path());
    let history = formats::read_any(
        BufReader::with_capacity(1 << 20, File::open(source).map_err(broken)?),
        "the upload",
        None,
    );
    let history = history.map_err(|e| {
        ApiError::unprocessable(e.to_string(), "Hand in a history that `perjury check` reads.")
    })?;
    let run = store.create_run(name, Utc::now())?;
    let native = unpacked.is_some() || detect(&first[..read], "the upload") == Some(Format::Jsonl);
    let judged = write(&run, source, native, &history).map_err(|e| e.to_string()).and_then(|()| {
        drop(history);
        let (history, report) =
            judge_file(&run.history_path(), &Options::default()).map_err(|e| e.to_string())?;
        keep_first_screen(&run, &history, &report, LONG_HISTORY_BYTES);
        run.write_report(&report).map_err(|e| e.to_string())?;
        run.mark_complete(Utc::now()).map_err(|e| e.to_string())?;
        Ok(report.verdict.as_str())
    });
    match judged {
        Ok(verdict) => Ok((run.id().to_string(), verdict)),
        Err(why) => {
            // Half a run is worse than none: the sender is told and still has the file.
            run.mark_interrupted(Utc::now(), &why)?;
            store.remove_run(run.id())?;
            Err(ApiError::unprocessable(why, "Hand in a history that `perjury check` reads."))
        }
    }
}

/// Native histories are kept as they are, to the byte; others are written in the native form.
fn write(
    run: &RunDir,
    source: &Path,
    native: bool,
    history: &perjury_history::History,
) -> io::Result<()> {
    if native {
        fs::copy(source, run.history_path())?;
        return Ok(());
    }
    let mut file = BufWriter::new(File::create_new(run.history_path())?);
    jsonl::write(history, &mut file)?;
    file.flush()
}

/// The full history of a bundle. Only its content is taken: no name in the archive becomes a path here.
fn unpack(archive: &Path) -> Result<Scratch, ApiError> {
    let bad = |why: String| {
        ApiError::unprocessable(
            why,
            "Hand in a bundle that `perjury evidence` made, or the history itself.",
        )
    };
    let file = File::open(archive).map_err(|e| ApiError::internal(e.to_string()))?;
    let mut zip = zip::ZipArchive::new(BufReader::new(file))
        .map_err(|e| bad(format!("the archive is not readable: {e}")))?;
    if zip.len() > MEMBERS_MAX {
        return Err(ApiError::too_large("the archive has more than 10,000 members"));
    }
    let is_history = |name: &str| name.rsplit('/').next() == Some("history.jsonl");
    let name = zip.file_names().filter(|n| is_history(n)).min_by_key(|n| (n.len(), n.to_string()));
    let Some(name) = name.map(str::to_owned) else {
        return Err(bad("the archive holds no history.jsonl".into()));
    };
    let member = zip.by_name(&name).map_err(|e| bad(format!("{name:?} is not readable: {e}")))?;
    let packed = member.compressed_size().max(1);
    // The sizes that an archive states may be lies, so what really comes out is counted.
    let most = UNPACKED_BYTES_MAX.min(packed.saturating_mul(RATIO_MAX).max(1 << 20));
    let scratch = Scratch(archive.with_extension("history"));
    let broken = |e: io::Error| bad(format!("{name:?} is not readable: {e}"));
    let mut out = File::create_new(&scratch.0).map_err(|e| ApiError::internal(e.to_string()))?;
    let written = io::copy(&mut member.take(most + 1), &mut out).map_err(broken)?;
    if written > most {
        return Err(ApiError::too_large(
            "the bundle's history unpacks to far more than a history does",
        ));
    }
    Ok(scratch)
}
