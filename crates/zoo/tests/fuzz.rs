//! A short run of the fuzzer in `examples/fuzz`, of which a long one takes minutes.

#[path = "../examples/fuzz/check.rs"]
mod check;
#[path = "../examples/fuzz/files.rs"]
mod files;
#[path = "../examples/fuzz/random.rs"]
mod random;

use check::check;
use files::Reader;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test, as the memory that is counted is the whole process's.
#[test]
fn no_damaged_file_panics_hangs_or_takes_memory_beyond_its_size() {
    for reader in [Reader::Safetensors, Reader::Zip, Reader::Legacy] {
        let mut sound = 0;
        for case in 0..20_000 {
            let read = check(files::file(reader, 1, case), &MEMORY);
            let message = read.unwrap_or_else(|fault| panic!("{reader:?}, case {case} of seed 1: {fault}"));
            sound += u32::from(message.is_none());
        }
        // Where nothing can be read, nothing deep is reached.
        assert!(sound > 1000, "{reader:?}: {sound} of 20,000 files can be read");
    }
}
