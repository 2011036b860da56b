//! Reads random and damaged weight files until the time is up: no panic, no hang, no more memory than the file's size allows.
//!
//! ```text
//! cargo run --release -p kiln-zoo --example fuzz -- safetensors|zip|legacy --seconds 600 [--seed N] [--first CASE]
//! ```
//!
//! A case is a function of seed and number. What fails is written to `fuzz-READER-SEED-CASE.bin` in the temporary folder;
//! a process that dies without a word is called again with `--first`.

mod check;
mod files;
mod random;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use check::check;
use files::Reader;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The case that is being read.
static CASE: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let reader = match arguments.first().map(String::as_str) {
        Some("safetensors") => Reader::Safetensors,
        Some("zip") => Reader::Zip,
        Some("legacy") => Reader::Legacy,
        _ => {
            eprintln!("error: which reader? safetensors, zip or legacy");
            return ExitCode::from(2);
        }
    };
    let (seconds, seed, first) = (option("--seconds", 60), option("--seed", 0), option("--first", 0));
    std::thread::spawn(watch);
    // A panic is caught and told below.
    std::panic::set_hook(Box::new(|_| {}));

    let (mut sound, mut messages) = (0u64, BTreeMap::<String, u64>::new());
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut case = first;
    while start.elapsed() < Duration::from_secs(seconds) {
        CASE.store(case, Ordering::Relaxed);
        let bytes = files::file(reader, seed, case);
        let kept = bytes.clone();
        let fault = match catch_unwind(AssertUnwindSafe(|| check(bytes, &MEMORY))) {
            Ok(Ok(None)) => {
                sound += 1;
                None
            }
            Ok(Ok(Some(message))) => {
                let kind: String = message.chars().filter(|letter| !letter.is_ascii_digit()).collect();
                if messages.len() < 10_000 {
                    *messages.entry(kind).or_default() += 1;
                }
                None
            }
            Ok(Err(fault)) => Some(fault),
            Err(_) => Some("panic".to_string()),
        };
        if let Some(fault) = fault {
            let file = std::env::temp_dir().join(format!("fuzz-{reader:?}-{seed}-{case}.bin"));
            let saved = std::fs::write(&file, kept);
            println!("case {case} of seed {seed}: {fault}; {} ({saved:?})", file.display());
            return ExitCode::FAILURE;
        }
        case += 1;
        if told.elapsed() > Duration::from_secs(10) {
            println!("{case} cases, {sound} sound, {} kinds of errors", messages.len());
            told = Instant::now();
        }
    }
    let cases = case - first;
    println!(
        "{reader:?}, seed {seed}: {cases} cases in {seconds} s, {sound} sound, {} kinds of errors, no fault",
        messages.len()
    );
    ExitCode::SUCCESS
}

/// Ends the process when one case takes many seconds.
fn watch() {
    loop {
        let case = CASE.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(10));
        if CASE.load(Ordering::Relaxed) == case {
            println!("case {case}: hangs");
            std::process::exit(1);
        }
    }
}
