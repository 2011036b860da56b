//! Where the pool's threads run.

/// Starts rayon's pool with every thread on a processor of its own, if it has one for each. It is a setting of the
/// whole process, so it is the program's to choose: `kiln` calls it before all work.
///
/// Threads of a pool sleep between kernels, and Linux may wake two of them on one processor and leave the other idle until it
/// looks again, milliseconds later: on a virtual machine of two processors convolutions of 1 ms took 2.
pub fn pin_threads() {
    let processors = allowed();
    let pin = move |index: usize| {
        if rayon::current_num_threads() == processors.len() {
            run_on(processors[index]);
        }
    };
    // A pool that there is already stays as it is.
    let _ = rayon::ThreadPoolBuilder::new().start_handler(pin).build_global();
}

/// The processors that this process may use.
#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    // SAFETY: a set of processors is bits, for which zero is a value; the call writes no more than its size.
    let (set, failed) = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let failed = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        (set, failed)
    };
    let count = if failed == 0 { libc::CPU_SETSIZE as usize } else { 0 };
    // SAFETY: the index is below the set's size.
    (0..count).filter(|&index| unsafe { libc::CPU_ISSET(index, &set) }).collect()
}

/// Keeps the calling thread on a processor.
#[cfg(target_os = "linux")]
fn run_on(processor: usize) {
    // SAFETY: as above; the index came from such a set. Where the system refuses, the thread runs where it did.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn run_on(_: usize) {}
