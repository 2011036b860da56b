//! What a run ran on.

/// Versions, machine and device as (name, value), for the log and the report.
pub fn environment(device: &str) -> Vec<(String, String)> {
    // Of the pool that computes: a thread that is kept on one processor, as the pool's are, is told of that one alone.
    let threads = rayon::current_num_threads();
    let mut rows = vec![
        ("Kiln", env!("CARGO_PKG_VERSION").to_string()),
        ("Burn", "0.22.1".to_string()),
        ("Device", device.to_string()),
        ("Threads", threads.to_string()),
        ("System", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("Started", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S %:z").to_string()),
    ];
    if let Some(processor) = processor() {
        rows.insert(3, ("Processor", processor));
    }
    rows.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// The processor's name, where Linux tells it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}
