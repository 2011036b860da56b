//! Buffers: a thread's own scratch, and outputs that several threads fill side by side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// One cache line, so that scratch begins on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    /// What [`Buffer`]s of this thread left behind.
    static LEFT: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that a thread keeps at most: as many as one kernel has at a time.
const KEPT: usize = 6;

/// Floats for a while, with whatever an earlier user left in them: no allocation per image, none per step. They begin on a
/// cache line.
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// The smallest that this thread has and that is large enough, or a new one.
    pub fn of(len: usize) -> Self {
        let needed = len.div_ceil(16);
        let lines = LEFT.with_borrow_mut(|left| {
            let fits = (0..left.len()).filter(|&i| left[i].len() >= needed).min_by_key(|&i| left[i].len());
            fits.map(|index| left.swap_remove(index))
        });
        Self { lines: lines.unwrap_or_else(|| vec![Line([0.0; 16]); needed]), len }
    }

    /// Floats that are all zero.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::of(len);
        buffer.fill(0.0);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 floats without padding, and there are lines for `len` floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast::<f32>(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<f32>(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // At a thread's end its list is gone already.
        let _ = LEFT.try_with(|left| {
            let mut left = left.borrow_mut();
            left.push(lines);
            if left.len() > KEPT {
                let smallest = (0..left.len()).min_by_key(|&i| left[i].len());
                smallest.map(|index| left.swap_remove(index));
            }
        });
    }
}

/// Lends `len` floats of this thread's, with whatever an earlier user left in them.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    work(&mut Buffer::of(len))
}

/// Tells glibc to keep what is freed for the next step, whatever its size. It is a setting of the whole process, so it is
/// the program's to choose: `kiln` calls it first of all.
///
/// A training step allocates and frees the same megabytes over and over. By default each goes back to the kernel and
/// comes again as fresh zeroed pages: writing 411 MB took 213 ms fresh and 41 ms reused. Other allocators keep their
/// memory anyway.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes its own lock, and these settings may be changed at any time. Where it refuses one, memory is
    // as slow as before.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0); // No block is a mapping of its own, which would end with it.
        libc::mallopt(libc::M_ARENA_MAX, 1); // The other arenas hold no block beyond 64 MB.
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// The system's allocator, but buffers of [`ALIGNED_FROM`] bytes and more begin on a cache line. It is a setting of the whole
/// process, so it is the program's to choose (`#[global_allocator]`): `kiln` does.
///
/// glibc's large blocks begin 16 bytes behind a line, so that every vector of 64 bytes lies on two. Depthwise convolutions,
/// which read as much as they compute, were 15 to 40 % slower for it.
#[derive(Debug, Clone, Copy)]
pub struct LineAligned;

/// Bytes from which [`LineAligned`] cares.
pub const ALIGNED_FROM: usize = 4096;

/// Bytes of a cache line.
const LINE: usize = 64;

impl LineAligned {
    /// What the system is asked for: a line more. (Asked for an alignment, glibc looks for a block larger than the one it gives,
    /// and so never gives a freed one of the same size again: a training step of a VGG took 1.8 GB in place of 1.1.)
    fn enlarged(layout: Layout) -> Option<Layout> {
        let cares = layout.size() >= ALIGNED_FROM && layout.align() <= LINE;
        cares.then(|| Layout::from_size_align(layout.size() + LINE, 16).ok()).flatten()
    }

    /// The first line's beginning within a block that is a line longer than asked for, and before it how far it is from the
    /// block's: at least 16 bytes, as blocks begin at multiples of these.
    ///
    /// # Safety
    /// The block is null, or has that many bytes and begins at a multiple of 16.
    unsafe fn aligned(block: *mut u8) -> *mut u8 {
        if block.is_null() {
            return block;
        }
        let skip = LINE - block.addr() % LINE;
        // SAFETY: `skip` is at least 16 and at most a line.
        unsafe {
            let start = block.add(skip);
            start.cast::<usize>().sub(1).write(skip);
            start
        }
    }
}

// SAFETY: every block comes from and goes back to the system's allocator with the layout that `enlarged` makes of the
// caller's; what is handed out lies within it, as long as asked for and aligned to a line, which is more than asked for.
unsafe impl GlobalAlloc for LineAligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above; so below.
        unsafe {
            match Self::enlarged(layout) {
                Some(enlarged) => Self::aligned(System.alloc(enlarged)),
                None => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above.
        unsafe {
            match Self::enlarged(layout) {
                Some(enlarged) => Self::aligned(System.alloc_zeroed(enlarged)),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: see above; `aligned` left the distance before the block.
        unsafe {
            match Self::enlarged(layout) {
                Some(enlarged) => {
                    let skip = block.cast::<usize>().sub(1).read();
                    System.dealloc(block.sub(skip), enlarged);
                }
                None => System.dealloc(block, layout),
            }
        }
    }

    // `realloc` is the trait's own: a new block, a copy, the old one freed.
}

/// A vector that threads fill side by side, each its own part.
pub struct Output<T = f32> {
    values: Vec<T>,
}

impl Output {
    /// Room for `len` floats that are not yet written.
    pub fn unwritten(len: usize) -> Self {
        Self { values: Vec::with_capacity(len) }
    }
}

impl Output<u8> {
    /// Room for `len` bytes that are not yet written.
    pub fn unwritten_bytes(len: usize) -> Self {
        Self { values: Vec::with_capacity(len) }
    }
}

impl<T> Output<T> {
    /// Where the values go.
    pub fn shared(&mut self) -> SharedMut<T> {
        SharedMut { start: self.values.as_mut_ptr(), len: self.values.capacity() }
    }

    /// # Safety
    /// The first `len` values must have been written.
    pub unsafe fn written(mut self, len: usize) -> Vec<T> {
        assert!(len <= self.values.capacity());
        // SAFETY: the caller's promise.
        unsafe { self.values.set_len(len) };
        self.values
    }
}

/// A mutable slice that is shared by threads which promise to keep to disjoint parts of it.
pub struct SharedMut<T = f32> {
    start: *mut T,
    len: usize,
}

// SAFETY: all access is through `part` and `at`, whose callers promise disjoint parts.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> Clone for SharedMut<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedMut<T> {}

impl<T> SharedMut<T> {
    /// Shares a slice; the borrow must outlive every use.
    pub fn of(values: &mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len() }
    }

    /// A part that is not yet written, to be written.
    ///
    /// # Safety
    /// The memory must be alive, and no other reference may reach the same part meanwhile.
    ///
    /// # Panics
    /// If the part is not within the slice.
    pub unsafe fn blank<'a>(self, start: usize, len: usize) -> &'a mut [MaybeUninit<T>] {
        assert!(start + len <= self.len);
        // SAFETY: within the slice by the assertion; alive and unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start).cast(), len) }
    }

    /// # Safety
    /// The memory must be alive and written, and no other reference may reach the same part meanwhile.
    ///
    /// # Panics
    /// If the part is not within the slice.
    pub unsafe fn part<'a>(self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start + len <= self.len);
        // SAFETY: within the slice by the assertion; alive, written and unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A pointer to the float at `index`, with `len` floats behind it.
    ///
    /// # Panics
    /// If they are not within the slice.
    pub fn at(self, index: usize, len: usize) -> *mut T {
        assert!(index + len <= self.len);
        self.start.wrapping_add(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_blocks_begin_on_a_line_and_are_as_long_as_asked_for() {
        for size in [1, ALIGNED_FROM - 1, ALIGNED_FROM, ALIGNED_FROM + 17, 1 << 20] {
            for align in [1, 16, 64, 4096] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the blocks are written within their size and go back with their layout.
                unsafe {
                    let blocks = [LineAligned.alloc(layout), LineAligned.alloc_zeroed(layout)];
                    assert!((0..size).all(|at| *blocks[1].add(at) == 0));
                    for block in blocks {
                        let line = if size >= ALIGNED_FROM { 64 } else { 1 };
                        assert!(!block.is_null() && block.addr() % align.max(line) == 0, "{layout:?}");
                        block.write_bytes(0xA5, size);
                    }
                    let grown = LineAligned.realloc(blocks[0], layout, size + 5000);
                    assert!((0..size).all(|at| *grown.add(at) == 0xA5));
                    LineAligned
                        .dealloc(grown, Layout::from_size_align(size + 5000, align).expect("a layout"));
                    LineAligned.dealloc(blocks[1], layout);
                }
            }
        }
    }
}
