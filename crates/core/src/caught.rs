//! Panics of others, as an error's words.

use std::panic::UnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs what may panic in another crate's code; the first line that is said then, by whatever thread, comes back in place
/// of a trace on standard error.
///
/// While it runs, a panic anywhere else in the process is silent too: call it where nothing else goes on.
///
/// # Errors
/// It panicked: the first line of the reason.
pub fn caught<T>(run: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    let said = Arc::new(Mutex::new(None));
    let hook = std::panic::take_hook();
    let first = Arc::clone(&said);
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or("it gave no reason").lines().next().unwrap_or_default();
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| text.to_string());
    }));
    let done = std::panic::catch_unwind(run);
    std::panic::set_hook(hook);
    done.map_err(|_| said.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_panic_comes_back() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("no {}\nmore", 7)), Err::<(), _>("no 7".to_string()));
    }
}
