//! How much memory a training step takes: each side in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use kiln_core::{Error, Result};
use serde_json::{Value, json};

use crate::network::Training;
use crate::peer::{LAYOUTS, Peer, Waiting};
use crate::work::Work;

/// Where Linux says how much memory a process has.
const STATUS: &str = "/proc/self/status";

/// Steps: from the second on the optimizer has what it remembers.
const STEPS: usize = 3;

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// With the network and its images, before the first step.
    baseline: u64,
    /// The most there was during the steps.
    peak: u64,
}

impl Memory {
    fn read(object: &Value) -> Option<Self> {
        Some(Self { baseline: object["baseline"].as_u64()?, peak: object["peak"].as_u64()? })
    }

    /// What the steps added, in MiB.
    fn added(&self) -> f64 {
        mebibytes(self.peak.saturating_sub(self.baseline) as f64)
    }
}

/// Bytes in MiB.
pub fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// Takes a few steps and prints what this process, which has done nothing else, needed for them.
///
/// # Errors
/// A system that does not say.
pub fn peak(mut training: Training) -> Result<()> {
    // From here on the peak counts.
    std::fs::write("/proc/self/clear_refs", "5")
        .map_err(|why| Error::unwritable("/proc/self/clear_refs", &why).hint("it takes a Linux"))?;
    let baseline = status("VmRSS")?;
    (0..STEPS).for_each(|_| training.step());
    println!("{}", json!({"baseline": baseline, "peak": status("VmHWM")?}));
    Ok(())
}

/// Bytes of one line of the process's status.
///
/// # Errors
/// A system that does not say.
pub fn status(key: &str) -> Result<u64> {
    let text = std::fs::read_to_string(STATUS).map_err(|why| Error::unreadable(STATUS, &why))?;
    bytes(&text, key).ok_or_else(|| Error::input(format!("no `{key}` in it")).file(STATUS))
}

fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What stands above the rows' names.
pub const TITLE: &str = "MiB that training steps add";

/// The line above the rows; names take `width` characters.
pub fn header(width: usize) -> String {
    format!(
        "{TITLE:width$}  {:>8}  {:>8}  {:>6}  {:>11}  {:>13}  theirs in",
        "ours", "theirs", "ratio", "ours, whole", "theirs, whole"
    )
}

/// A row: what a step of one network takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    name: String,
    ours: Memory,
    /// PyTorch's in the layout that takes less, and which that is.
    peer: Option<(Memory, &'static str)>,
}

/// Measures one network on both sides.
///
/// # Errors
/// A process that fails.
pub fn measure(work: &Work, python: Option<&Path>, threads: usize) -> Result<Row> {
    let name = work.name();
    let failed = |why: String| Error::failure(why).place(name.clone());
    let program = std::env::current_exe().map_err(|why| failed(why.to_string()))?;
    let output = Command::new(program).args(["peak", &name]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|why| failed(why.to_string()))?;
    let said = serde_json::from_slice(&output.stdout).ok();
    let ours = said.as_ref().and_then(Memory::read);
    let ours = ours.ok_or_else(|| {
        failed(format!("the process that was to take the steps ended with {}", output.status))
    })?;

    let theirs = |layout: &'static str| -> Result<Option<(Memory, &'static str)>> {
        let Some(python) = python else { return Ok(None) };
        let mut peer = Peer::start(python, threads, Waiting::Spinning)?;
        peer.prepare(&work.request()?, layout)?;
        peer.ask(&json!({"do": "baseline"}))?;
        peer.step(STEPS)?;
        let said = peer.ask(&json!({"do": "memory"}))?;
        let memory = Memory::read(&said).ok_or_else(|| failed(format!("the peer answered {said}")))?;
        Ok(Some((memory, layout)))
    };
    let [first, second] = LAYOUTS.map(theirs);
    let peer = first?.into_iter().chain(second?).min_by_key(|(memory, _)| memory.peak);
    Ok(Row { name, ours, peer })
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.map(|(peer, _)| self.ours.added() / peer.added())
    }

    /// As one of a list of objects.
    pub fn object(&self) -> Value {
        let (peer, layout) = self.peer.unzip();
        json!({
            "name": self.name, "ours_mib": self.ours.added(), "peer_mib": peer.map(|peer| peer.added()),
            "ratio": self.ratio(), "peer_layout": layout, "ours_peak_mib": mebibytes(self.ours.peak as f64),
            "peer_peak_mib": peer.map(|peer| mebibytes(peer.peak as f64)),
        })
    }

    /// As a line of a table.
    pub fn line(&self, width: usize) -> String {
        let show = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_string(), |value| format!("{value:.digits$}"))
        };
        let (peer, layout) = self.peer.unzip();
        let line = format!(
            "{:width$}  {:8.0}  {:>8}  {:>6}  {:11.0}  {:>13}  {}",
            self.name,
            self.ours.added(),
            show(peer.map(|peer| peer.added()), 0),
            show(self.ratio(), 2),
            mebibytes(self.ours.peak as f64),
            show(peer.map(|peer| mebibytes(peer.peak as f64)), 0),
            layout.unwrap_or_default(),
        );
        line.trim_end().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_line_of_the_status_is_read_in_bytes() {
        let text = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t     3 kB\n";
        assert_eq!(bytes(text, "VmHWM"), Some(2 * MIB));
        assert_eq!(bytes(text, "VmRSS"), Some(3072));
        assert_eq!(bytes(text, "VmR"), None);
    }

    #[test]
    fn what_counts_is_what_the_steps_add() {
        let ours = Memory { baseline: 100 * MIB, peak: 400 * MIB };
        let peer = Memory { baseline: 300 * MIB, peak: 450 * MIB };
        let row = Row { name: "x".into(), ours, peer: Some((peer, "default")) };
        // 400 - 100 and 450 - 300.
        let object = row.object();
        assert_eq!((&object["ours_mib"], &object["peer_mib"]), (&json!(300.0), &json!(150.0)));
        assert_eq!((&object["ratio"], &object["peer_peak_mib"]), (&json!(2.0), &json!(450.0)));
    }
}
