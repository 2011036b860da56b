//! The README's table of models, which is what `kiln models --markdown` prints.

const BEGIN: &str = "<!-- kiln models --markdown: written by `cargo xtask tidy --write` -->";
const END: &str = "<!-- end of the table -->";

/// The README with `table` between its two marks; `None` if the marks are not there.
pub fn put(readme: &str, table: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim()))
}

/// The line, counted from 1, in which two texts first differ.
pub fn first_difference(one: &str, other: &str) -> usize {
    1 + one.lines().zip(other.lines()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_put_between_the_marks_and_nothing_else_changes() {
        let readme = format!("# A\n\n{BEGIN}\nold\n{END}\nmore\n");
        let new = put(&readme, "| a |\n|---|\n").expect("the marks are there");
        assert_eq!(new, format!("# A\n\n{BEGIN}\n| a |\n|---|\n{END}\nmore\n"));
        assert_eq!(put(&new, "| a |\n|---|").as_deref(), Some(new.as_str()));
        assert_eq!(first_difference(&readme, &new), 4);
        assert_eq!(put("no marks", "| a |"), None);
    }
}
