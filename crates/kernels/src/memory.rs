//! Buffers: a thread's own scratch, and outputs that several threads fill side by side.

use std::cell::RefCell;
use std::mem::MaybeUninit;

/// One cache line, so that scratch begins on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    /// Grows to the largest need of its thread and stays: no allocation per image, none per step.
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` floats of this thread's scratch, with whatever an earlier user left in them.
///
/// # Panics
/// If the work itself asks for scratch.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with(|scratch| {
        let mut lines = scratch.borrow_mut();
        let needed = len.div_ceil(16);
        if lines.len() < needed {
            lines.resize(needed, Line([0.0; 16]));
        }
        // SAFETY: a `Line` is 16 floats without padding, and the slice ends within `lines`.
        work(unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), len) })
    })
}

/// Tells glibc to keep what is freed for the next step. It is a setting of the whole process, so it is the program's to
/// choose: `kiln` calls it first of all.
///
/// A training step allocates and frees the same megabytes over and over. By default each goes back to the kernel and
/// comes again as fresh zeroed pages: the kernel had 18 % of a ResNet-20's samples. Other allocators keep their memory anyway.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes its own lock, and these settings may be changed at any time. Where it refuses one, memory is
    // as slow as before.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20); // the most it accepts
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// A vector that threads fill side by side, each its own part.
pub struct Output {
    values: Vec<f32>,
}

impl Output {
    /// Room for `len` floats that are not yet written.
    pub fn unwritten(len: usize) -> Self {
        Self { values: Vec::with_capacity(len) }
    }

    /// Where the floats go.
    pub fn shared(&mut self) -> SharedMut {
        SharedMut { start: self.values.as_mut_ptr(), len: self.values.capacity() }
    }

    /// # Safety
    /// The first `len` floats must have been written.
    pub unsafe fn written(mut self, len: usize) -> Vec<f32> {
        assert!(len <= self.values.capacity());
        // SAFETY: the caller's promise.
        unsafe { self.values.set_len(len) };
        self.values
    }
}

/// A mutable slice that is shared by threads which promise to keep to disjoint parts of it.
#[derive(Clone, Copy)]
pub struct SharedMut {
    start: *mut f32,
    len: usize,
}

// SAFETY: all access is through `part` and `at`, whose callers promise disjoint parts.
unsafe impl Send for SharedMut {}
// SAFETY: as above.
unsafe impl Sync for SharedMut {}

impl SharedMut {
    /// Shares a slice; the borrow must outlive every use.
    pub fn of(values: &mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len() }
    }

    /// A part that is not yet written, to be written.
    ///
    /// # Safety
    /// The memory must be alive, and no other reference may reach the same part meanwhile.
    ///
    /// # Panics
    /// If the part is not within the slice.
    pub unsafe fn blank<'a>(self, start: usize, len: usize) -> &'a mut [MaybeUninit<f32>] {
        assert!(start + len <= self.len);
        // SAFETY: within the slice by the assertion; alive and unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start).cast(), len) }
    }

    /// # Safety
    /// The memory must be alive and written, and no other reference may reach the same part meanwhile.
    ///
    /// # Panics
    /// If the part is not within the slice.
    pub unsafe fn part<'a>(self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start + len <= self.len);
        // SAFETY: within the slice by the assertion; alive, written and unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A pointer to the float at `index`, with `len` floats behind it.
    ///
    /// # Panics
    /// If they are not within the slice.
    pub fn at(self, index: usize, len: usize) -> *mut f32 {
        assert!(index + len <= self.len);
        self.start.wrapping_add(index)
    }
}
