//! How much memory the program takes, and where it takes it from.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use support::{HEADER, binary, ended, stderr};

#[test]
fn all_of_the_program_allocates_where_free_pages_go_back_to_the_system() {
    // This variable's name is that of an allocator which stands for `malloc` itself, librdkafka's too; one for Rust alone would
    // listen to another name.
    let told = ended(binary().arg("--version").env("MALLOC_CONF", "stats_print:true"));
    let told = stderr(&told);
    for setting in ["opt.narenas: 2", "opt.dirty_decay_ms: 1000", "opt.muzzy_decay_ms: 0"] {
        assert!(
            told.lines().any(|line| line.trim_start().starts_with(setting)),
            "{setting}: {told}"
        );
    }
}

#[test]
fn a_line_of_a_gigabyte_is_refused_within_bounded_memory() {
    // 1.5 GB of address space is less than the line and some room for the program itself.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 1500000 && exec \"$0\" check -", env!("CARGO_BIN_EXE_perjury")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        let chunk = vec![b'a'; 1 << 20];
        let _ = stdin.write_all(format!("{HEADER}\"").as_bytes());
        // The reader gives up early; then the pipe is closed and writing ends.
        (0..1024).take_while(|_| stdin.write_all(&chunk).is_ok()).count()
    });
    let output = child.wait_with_output().unwrap();
    let written = writing.join().unwrap();
    assert_eq!(output.status.code(), Some(254), "{}", stderr(&output));
    assert!(stderr(&output).contains("line 2"), "{}", stderr(&output));
    assert!(written < 1024, "the reader took the whole line");
}
