//! Makes the crate compile before the pages are built: rust-embed wants the folder to exist.

use std::path::Path;

const NOT_BUILT: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"perjury-pages\" content=\"not-built\">\n\
<title>Perjury</title>\n<p>The pages are not built: run <code>cargo xtask web</code>, then build the server again. \
The API answers under <a href=\"/api/v1/runs\">/api/v1/runs</a>.</p>\n";

fn main() {
    let dist = Path::new("../../web/dist");
    let index = dist.join("index.html");
    if !index.exists() {
        let written =
            std::fs::create_dir_all(dist).and_then(|()| std::fs::write(&index, NOT_BUILT));
        if let Err(e) = written {
            println!("cargo::warning=cannot write {}: {e}", index.display());
        }
    }
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
}
