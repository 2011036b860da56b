//! The memory of the machine and of processes.

use kiln_core::{Error, Result};
use sysinfo::{ProcessesToUpdate, System};

/// Bytes that a new process may take without driving others out: what the system has left, or what is left of the limits of the
/// control groups that this process is in.
///
/// # Errors
/// A system that does not say.
pub fn available_memory() -> Result<u64> {
    let mut system = System::new();
    system.refresh_memory();
    let limits = sysinfo::get_current_pid().ok().and_then(|id| {
        system.refresh_processes(ProcessesToUpdate::Some(&[id]), false);
        system.process(id)?.cgroup_limits()
    });
    let limits = [limits, system.cgroup_limits()].into_iter().flatten().map(|limits| limits.free_memory);
    match limits.chain([system.available_memory()]).min() {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => {
            Err(Error::input("the system does not say how much memory there is")
                .hint("give `--memory`, as 8GiB"))
        }
    }
}

/// Bytes of a process in memory: those now (`VmRSS`) or the most there were (`VmHWM`). `None` where the process is gone.
///
/// # Errors
/// A system that does not say.
pub fn resident(process: u32, line: &str) -> Result<Option<u64>> {
    if !cfg!(target_os = "linux") {
        return Err(Error::input("only Linux says how much memory a process has taken"));
    }
    Ok(std::fs::read_to_string(format!("/proc/{process}/status")).ok().and_then(|text| bytes(&text, line)))
}

fn bytes(status: &str, line: &str) -> Option<u64> {
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_status_is_read_in_bytes() {
        let text = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t     3 kB\n";
        assert_eq!(bytes(text, "VmHWM"), Some(2 << 20));
        assert_eq!(bytes(text, "VmRSS"), Some(3072));
        assert_eq!(bytes(text, "VmR"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_is_no_more_memory_than_the_machine_has() {
        let all = std::fs::read_to_string("/proc/meminfo").expect("a Linux");
        let all = bytes(&all, "MemTotal").expect("it has memory");
        let available = available_memory().expect("it says so");
        assert!(available > 1 << 20 && available <= all, "{available} of {all}");
        let ours = resident(std::process::id(), "VmRSS").expect("a Linux").expect("it lives");
        assert!(ours > 1 << 20 && ours < all, "{ours} of {all}");
    }
}
