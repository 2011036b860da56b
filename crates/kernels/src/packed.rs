//! Packed weights that are kept as long as the weights they were made of.
//!
//! A network that answers goes through the same weights again and again, and for single images packing them takes as long as the
//! products. A network that learns has other weights in every step, and keeping anything would be waste. So weights are
//! packed for keeping when they are met the second time.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use burn::tensor::Bytes;

use crate::conv::{Conv, Packed, pack};
use crate::isa::Isa;
use crate::tensor::{FlexTensor, values};

static MET: LazyLock<Mutex<Met>> = LazyLock::new(Mutex::default);

/// So many meetings after the last look, weights that died are looked for.
const MEETINGS: usize = 64;

/// Weights that were met, by the address of their memory, which is no one else's while it is pointed to, be it weakly; and
/// memory that is written to is not shared, so that a writer leaves that address.
///
/// Those of a network that died are given back when another is met, and while one is at work; a program that convolves no more
/// keeps the last ones.
#[derive(Default)]
struct Met {
    known: HashMap<usize, Known>,
    /// Since weights that died were looked for.
    meetings: usize,
}

struct Known {
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

/// What is known of weights that are met.
enum Meeting {
    First,
    Again,
    Packed(Arc<Packed>),
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
    let meeting = met().meet(&weights, wanted);
    match meeting {
        Meeting::First => None,
        Meeting::Packed(packed) => Some(packed),
        // Others go on meanwhile. Where two pack the same weights at once, the first to be done is kept.
        Meeting::Again => {
            let packed = Arc::new(pack(isa, conv, values(weight))?);
            Some(met().keep(&weights, wanted, packed))
        }
    }
}

fn met() -> MutexGuard<'static, Met> {
    MET.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Met {
    fn meet(&mut self, weights: &Arc<Bytes>, wanted: Wanted) -> Meeting {
        self.meetings += 1;
        let address = Arc::as_ptr(weights) as usize;
        if self.meetings >= MEETINGS || !self.known.contains_key(&address) {
            self.known.retain(|_, known| known.weights.strong_count() > 0);
            self.meetings = 0;
        }
        match self.place(weights, wanted) {
            (false, _) => Meeting::First,
            (true, Some(packed)) => Meeting::Packed(Arc::clone(packed)),
            (true, None) => Meeting::Again,
        }
    }

    fn keep(&mut self, weights: &Arc<Bytes>, wanted: Wanted, packed: Arc<Packed>) -> Arc<Packed> {
        let (_, place) = self.place(weights, wanted);
        Arc::clone(place.get_or_insert(packed))
    }

    /// Where weights are kept in this order, and whether there was such a place before.
    fn place(&mut self, weights: &Arc<Bytes>, wanted: Wanted) -> (bool, &mut Option<Arc<Packed>>) {
        let new = || Known { weights: Arc::downgrade(weights), packed: Vec::new() };
        let orders = &mut self.known.entry(Arc::as_ptr(weights) as usize).or_insert_with(new).packed;
        let at = orders.iter().position(|(other, _)| *other == wanted);
        if at.is_none() {
            orders.push((wanted, None));
        }
        let at_or_last = at.unwrap_or(orders.len() - 1);
        (at.is_some(), &mut orders[at_or_last].1)
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
    #[test]
    fn weights_that_died_are_given_back_while_others_are_at_work() {
        let isa = Isa::best();
        let [dies, lives] = [1.0, 2.0].map(|value| in_order_of(vec![value; 6], &[3, 2, 1, 1]));
        let kept = [&dies, &lives].map(|weight| {
            packed(isa, &conv(), weight);
            Arc::downgrade(&packed(isa, &conv(), weight).expect("met before"))
        });
        drop(dies);
        (0..MEETINGS).for_each(|_| _ = packed(isa, &conv(), &lives));
        assert_eq!(kept.map(|packed| packed.strong_count()), [0, 1]);
    }
}
