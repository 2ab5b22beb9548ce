//! `cargo xtask bench --soak`: whether a run's memory grows with its length.

use crate::process::{Ended, cargo, command, run as step, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often memory is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How many minutes come before those that are measured, so that windows of fixed size are full: the longest, the running
/// verdict's 65,536 values, takes five to six minutes at this rate, and has been filled anew twice by then. What grows after
/// that is in the slope.
const WARM_UP: u32 = 15;
/// How many averages the slope is fitted to. Samples of one second depend on each other; averages of a tenth of the time do so
/// less, but not quite never: memory swings slowly with how many clients end and begin. The interval is rather too narrow than
/// too wide, so that a line which is flat is sometimes called none.
const BLOCKS: usize = 10;
/// Student's t at 97.5 % with eight degrees of freedom.
const T_8: f64 = 2.306;

/// Runs a cluster at a steady rate, for so many minutes after a warm-up, and prints the slope of the resident set of `perjury`
/// itself, with its 95 % interval.
pub(crate) fn run(minutes: u32) -> Result<()> {
    step(&mut command(&cargo(), &["build", "--release", "--quiet", "--package", "perjury"]))?;
    let store = tempfile::tempdir()?;
    let all = WARM_UP + minutes;
    let time = format!("{all}m");
    let mut perjury = Command::new(target("release").join("perjury"));
    let args = ["run", "--time-limit", &time, "--rate", "400", "--nemesis-interval", "10s"];
    perjury.args(args).arg("--seed").arg("1").arg("--store").arg(store.path());
    perjury.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = Ended(perjury.spawn().context("perjury does not start")?);
    let length = Duration::from_secs(u64::from(all) * 60);
    let began = Instant::now();
    let mut samples: Vec<(f64, f64)> = Vec::new();
    let mut told = Instant::now();
    while began.elapsed() < length {
        sleep(EVERY);
        if let Some(status) = run.0.try_wait()? {
            bail!("perjury ended after {} s with {status}", began.elapsed().as_secs());
        }
        let Some(kib) = resident(run.0.id()) else { continue };
        samples.push((began.elapsed().as_secs_f64() / 60.0, kib / 1024.0));
        if told.elapsed() >= Duration::from_secs(30) {
            told = Instant::now();
            eprintln!("{:>5} s  {:.1} MiB", began.elapsed().as_secs(), kib / 1024.0);
        }
    }
    // Its final reads follow; then it ends its cluster itself.
    let patience = Instant::now() + Duration::from_secs(180);
    while run.0.try_wait()?.is_none() && Instant::now() < patience {
        sleep(EVERY);
    }
    let blocks = averages(&samples, f64::from(WARM_UP));
    let (slope, half) = slope(&blocks).context("too few samples")?;
    let last = blocks.last().map_or(0.0, |b| b.1);
    println!("400 operations/s for {minutes} min after {WARM_UP} min of warm-up");
    println!("resident set at the end: {last:.1} MiB");
    println!("slope: {:.2} ± {:.2} MiB an hour (95 %)", slope * 60.0, half * 60.0);
    println!("{}", verdict(slope, half));
    Ok(())
}

/// What a slope means whose 95 % interval is so wide in each direction.
fn verdict(slope: f64, half: f64) -> &'static str {
    if slope.abs() <= half {
        "the slope is indistinguishable from zero"
    } else if slope > 0.0 {
        "the slope is not zero: memory grows"
    } else {
        "the slope is not zero: memory falls"
    }
}

/// The resident set of a process in KiB.
fn resident(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The averages of equal parts of what comes after `from`.
fn averages(samples: &[(f64, f64)], from: f64) -> Vec<(f64, f64)> {
    let warm: Vec<_> = samples.iter().filter(|s| s.0 >= from).copied().collect();
    let size = (warm.len() / BLOCKS).max(1);
    let blocks = warm.chunks_exact(size).take(BLOCKS);
    blocks.map(|block| (mean(block.iter().map(|s| s.0)), mean(block.iter().map(|s| s.1)))).collect()
}

fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = of.fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    sum / n
}

/// Ordinary least squares: the slope and half of its 95 % interval.
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    if points.len() < BLOCKS {
        return None;
    }
    let (x, y) = (mean(points.iter().map(|p| p.0)), mean(points.iter().map(|p| p.1)));
    let xx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let xy: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let slope = xy / xx;
    let left: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).powi(2)).sum();
    #[expect(clippy::cast_precision_loss, reason = "ten points")]
    let error = (left / (points.len() as f64 - 2.0) / xx).sqrt();
    Some((slope, T_8 * error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        let noisy = |growth: f64| -> Vec<(f64, f64)> {
            (0..10)
                .map(f64::from)
                .map(|t| (t, 50.0 + growth * t + if t % 2.0 == 0.0 { 0.3 } else { -0.3 }))
                .collect()
        };
        let (flat, half) = slope(&noisy(0.0)).unwrap();
        assert!(flat.abs() < half, "{flat} ± {half}");
        assert!(verdict(flat, half).ends_with("indistinguishable from zero"));
        let (grown, half) = slope(&noisy(1.0)).unwrap();
        assert!(grown > half && (grown - 1.0).abs() < half, "{grown} ± {half}");
        assert!(verdict(grown, half).ends_with("memory grows"));
        let (fallen, half) = slope(&noisy(-1.0)).unwrap();
        assert!(verdict(fallen, half).ends_with("memory falls"));
    }

    #[test]
    fn the_warm_up_is_left_out() {
        let samples: Vec<(f64, f64)> =
            (0..100).map(f64::from).map(|t| (t, if t < 40.0 { t } else { 40.0 })).collect();
        let blocks = averages(&samples, 40.0);
        assert_eq!((blocks.len(), blocks[0].1), (10, 40.0));
    }
}
