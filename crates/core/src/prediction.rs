//! What a trained network says of one image, in words people use.

/// A class and how probable it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassProbability {
    /// The class.
    pub class: usize,
    /// Between 0 and 1.
    pub probability: f32,
}
