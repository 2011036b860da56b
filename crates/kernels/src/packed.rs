//! Packed weights that are kept as long as the weights they were made of.
//!
//! A network that answers goes through the same weights again and again, and for single images packing them takes as long as the
//! products. A network that learns has other weights in every step, and keeping anything would be waste. So weights are
//! packed for keeping when they are met the second time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::tensor::Bytes;

use crate::conv::{Conv, Packed, pack};
use crate::isa::Isa;
use crate::tensor::{FlexTensor, values};

/// Weights that were met. What tells them is the address of their memory, which is no one else's while it is pointed to,
/// be it weakly; and memory that is written to is not shared, so that a writer leaves that address.
static MET: Mutex<Option<HashMap<usize, Met>>> = Mutex::new(None);

struct Met {
    weights: Weak<Bytes>,
    /// As the convolution they were met in wants them; nothing after the first time.
    packed: Vec<(Wanted, Option<Arc<Packed>>)>,
}

/// What the order of packed weights depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    isa: Isa,
    shape: [usize; 4],
    at_points: bool,
}

/// The packed weights, if they were met before; `weight` is in order.
pub fn packed(isa: Isa, conv: &Conv, weight: &FlexTensor) -> Option<Arc<Packed>> {
    if conv.groups > 1 {
        return None;
    }
    let [input, output] = conv.channels;
    let shape = [output, input, conv.kernel[0], conv.kernel[1]];
    let wanted = Wanted { isa, shape, at_points: conv.is_at_points() };
    let weights = weight.data_arc();
    let mut met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    let met = met.get_or_insert_default();
    let address = Arc::as_ptr(&weights) as usize;
    if !met.contains_key(&address) {
        met.retain(|_, met| met.weights.strong_count() > 0);
    }
    let new = || Met { weights: Arc::downgrade(&weights), packed: Vec::new() };
    let known = &mut met.entry(address).or_insert_with(new).packed;
    match known.iter_mut().find(|(other, _)| *other == wanted) {
        None => {
            known.push((wanted, None));
            None
        }
        Some((_, kept)) => {
            if kept.is_none() {
                *kept = pack(isa, conv, values(weight)).map(Arc::new);
            }
            kept.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{in_order_of, overwrite};

    fn conv() -> Conv {
        Conv {
            batch: 1,
            channels: [2, 3],
            size: [4; 2],
            kernel: [1; 2],
            stride: [1; 2],
            padding: [(0, 0); 2],
            dilation: [1; 2],
            groups: 1,
        }
    }

    #[test]
    fn weights_are_kept_from_the_second_time_until_they_change() {
        let isa = Isa::best();
        let weight = in_order_of(vec![1.0; 6], &[3, 2, 1, 1]);
        assert!(packed(isa, &conv(), &weight).is_none());
        let kept = packed(isa, &conv(), &weight).expect("met before");
        assert!(Arc::ptr_eq(&kept, &packed(isa, &conv(), &weight).expect("met before")));
        // Another order is another thing.
        assert!(
            packed(Isa::Portable, &Conv { kernel: [2, 1], channels: [1, 3], ..conv() }, &weight).is_none()
        );
        // Whoever writes, writes elsewhere or leaves the address.
        let weight = overwrite(weight, |values| values[0] = 2.0);
        assert!(packed(isa, &conv(), &weight).is_none());
        let other = overwrite(weight.clone(), |values| values[0] = 3.0);
        assert!(packed(isa, &conv(), &other).is_none());
        assert!(packed(isa, &conv(), &weight).is_some());
    }
}
