//! Words and numbers as pages write them.

/// Text that is safe between tags and within quoted attributes. Control characters, which neither HTML nor XML
/// can hold, become the replacement character.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(letter),
            '\r' => {}
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// At most `length` letters of a name, the middle left out: both ends of `n02088364_beagle` tell it from its peers.
pub fn shorten(name: &str, length: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= length {
        return name.to_string();
    }
    let tail = (length - 1) / 3;
    let head = length - 1 - tail;
    let (start, end) = (&letters[..head], &letters[letters.len() - tail..]);
    format!("{}…{}", start.iter().collect::<String>().trim_end(), end.iter().collect::<String>())
}

/// A share between 0 and 1 in percent; a dash for what is no number.
pub fn percent(share: f64, decimals: usize) -> String {
    if share.is_finite() { format!("{:.decimals$}\u{a0}%", 100.0 * share) } else { "–".into() }
}

/// A number with its decimals; a dash for what is no number.
pub fn fixed(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".into() }
}

/// A count with its thousands set apart: `24,869`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// A number with as many digits as tell: `0.1`, `0.05`, `3.2e-5`.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".into(),
        0.0 => "0".into(),
        size if size < 1e-3 => trimmed_exponent(&format!("{value:.2e}")),
        size if size >= 1e5 => trimmed_exponent(&format!("{value:.2e}")),
        _ => trim_zeros(&format!("{value:.5}")).to_string(),
    }
}

fn trimmed_exponent(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", trim_zeros(digits)),
        None => text.to_string(),
    }
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}
