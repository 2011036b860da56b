//! What every reader must keep to, whatever the file.

use std::io::Cursor;
use std::time::{Duration, Instant};

use kiln_zoo::{StateDict, WeightFile};
use peak_alloc::PeakAlloc;

/// Memory that a reader may take: for each byte of the file, and on top.
const PER_BYTE: usize = 16;
const AT_LEAST: usize = 4 << 20;

/// How long it may take.
const LONGEST: Duration = Duration::from_secs(1);

/// Reads a file, and looks at what that took. `None` if it was sound, the error's message if it was not.
///
/// # Errors
/// What the reader did not keep to.
pub fn check(bytes: Vec<u8>, memory: &PeakAlloc) -> Result<Option<String>, String> {
    let allowed = bytes.len() * PER_BYTE + AT_LEAST;
    memory.reset_peak_usage();
    let before = memory.current_usage();
    let start = Instant::now();
    let read = WeightFile::new(Cursor::new(bytes)).and_then(StateDict::of);
    let (time, taken) = (start.elapsed(), memory.peak_usage().saturating_sub(before));
    if taken > allowed {
        return Err(format!("takes {taken} bytes of memory, more than {allowed}"));
    }
    if time > LONGEST {
        return Err(format!("takes {time:?}"));
    }
    match read {
        Ok(dict) => {
            let whole =
                |(shape, values): &(Vec<usize>, Vec<f32>)| values.len() == shape.iter().product::<usize>();
            match dict.tensors.iter().find(|(_, tensor)| !whole(tensor)) {
                Some((name, (shape, values))) => {
                    Err(format!("`{name}` of {shape:?} has {} values", values.len()))
                }
                None => Ok(None),
            }
        }
        Err(error) => match error.to_string() {
            line if line.contains(char::is_control) || line.len() > 2000 => {
                Err(format!("an error of no line: {line}"))
            }
            line => Ok(Some(line)),
        },
    }
}
