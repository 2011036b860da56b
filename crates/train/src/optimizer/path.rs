//! Where a parameter is.

/// The names of the fields on the way to a parameter. The variants of enums are left out: weight files do not name them
/// either, and whoever chose a network by its name has never heard of them.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub fn enter(&mut self, name: &str, container_type: &str) {
        if !is_enum(container_type) {
            self.0.push(name.to_string());
        }
    }

    pub fn exit(&mut self, container_type: &str) {
        if !is_enum(container_type) {
            self.0.pop();
        }
    }

    /// The parameter's own name.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// All names, with dots.
    pub fn joined(&self) -> String {
        self.0.join(".")
    }
}

fn is_enum(container_type: &str) -> bool {
    container_type.starts_with("Enum:")
}
