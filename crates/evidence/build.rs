//! Makes the crate compile before the pages are built: rust-embed wants the folder to exist. The page that is written then
//! says how to build the right one, and carries the data all the same.

use std::path::Path;

const NOT_BUILT: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"perjury-pages\" content=\"not-built\">\n\
<title>Perjury</title>\n<p>The report page is not built into the program that made this file: run <code>cargo xtask \
web</code>, then build it again. The data is here all the same, and <code>perjury verify</code> checks it.</p>\n\
<script type=\"application/json\" id=\"perjury-data\">null</script>\n";

fn main() {
    let dist = Path::new("../../web/dist-report");
    let page = dist.join("report.html");
    if !page.exists() {
        let written = std::fs::create_dir_all(dist).and_then(|()| std::fs::write(&page, NOT_BUILT));
        if let Err(e) = written {
            println!("cargo::warning=cannot write {}: {e}", page.display());
        }
    }
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
}
