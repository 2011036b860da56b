//! How backward passes hand gradients on.
//!
//! Where a tensor has several readers Burn adds their gradients, and its addition gives rows of channels back as planes:
//! slowly, and every kernel behind it would have to turn them again. So who comes second here takes what the first
//! left, adds it with [`Sum`], and leaves the sum.
//!
//! Burn's container cannot be asked whether it has a gradient. [`WAITING`] knows: it holds the nodes that have one from us.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};

use burn::backend::Backend;
use burn::backend::autodiff::NodeId;
use burn::backend::tensor::FloatTensor;

/// A sum of two tensors of one shape that keeps rows of channels as they are.
pub trait Sum: Backend {
    /// `a + b`.
    fn sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Nodes that are remembered at most. A node whose reader is Burn's is never taken from the list; one that falls off it costs
/// a slower addition, no more.
const REMEMBERED: usize = 1 << 14;

#[derive(Default)]
struct Waiting {
    nodes: HashSet<u64>,
    oldest: VecDeque<u64>,
}

thread_local! {
    /// A backward pass runs on the thread that asked for it.
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// Notes that a node has a gradient; whether it had one before.
pub fn note(node: NodeId) -> bool {
    WAITING.with_borrow_mut(|waiting| {
        let new = waiting.nodes.insert(node.value);
        if new {
            waiting.oldest.push_back(node.value);
            if waiting.oldest.len() > REMEMBERED {
                let oldest = waiting.oldest.pop_front();
                oldest.map(|oldest| waiting.nodes.remove(&oldest));
            }
        }
        !new
    })
}

/// Takes the gradient of a node, as `Gradients::consume` does.
macro_rules! take {
    ($backend:ty, $grads:expr, $node:expr) => {
        $grads.consume::<$backend>(&$node)
    };
}

/// Leaves `gradient` for a parent, if it wants one; in sum with what another reader left.
macro_rules! leave {
    ($backend:ty, $grads:expr, $parent:expr, $gradient:expr) => {
        if let Some(node) = $parent {
            let gradient = $gradient;
            // A leaf's gradient stays in the container, and a second backward pass may meet the same leaf: Burn adds there.
            let gradient = match !node.parents.is_empty() && $crate::gradient::note(node.id) {
                true => <$backend as $crate::gradient::Sum>::sum(gradient, $grads.consume::<$backend>(&node)),
                false => gradient,
            };
            $grads.register::<$backend>(node.id, gradient);
        }
    };
}

/// Takes what another reader left for a node that is a parent too, for the sum to be left again.
macro_rules! waiting {
    ($backend:ty, $grads:expr, $node:expr) => {
        // At a leaf Burn adds: see `leave`.
        match !$node.parents.is_empty() && $crate::gradient::note($node.id) {
            true => Some($grads.consume::<$backend>($node)),
            false => None,
        }
    };
}

pub(crate) use {leave, take, waiting};
