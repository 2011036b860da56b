//! What layers give, for those who watch.

use std::cell::RefCell;
use std::marker::PhantomData;

use burn::module::ParamId;
use burn::prelude::*;

type See = Box<dyn FnMut(ParamId, Tensor<1>)>;

thread_local! {
    static SEE: RefCell<Option<See>> = const { RefCell::new(None) };
}

/// Shows what layers give that run on this thread, until it is dropped. While there is none, a layer looks whether there is one, and
/// that is all.
#[derive(Debug)]
pub struct Tap {
    /// It closes where it was opened.
    here: PhantomData<*const ()>,
}

impl Tap {
    /// `see` is shown the output of every layer that has parameters, flat and without autodiff, by the id of the layer's first
    /// parameter; of layers that are one step, as a normalization and the ReLU behind it, what they give together.
    ///
    /// # Panics
    /// If a tap is open on this thread; layers do, if `see` runs a layer.
    pub fn open(see: impl FnMut(ParamId, Tensor<1>) + 'static) -> Self {
        assert!(SEE.replace(Some(Box::new(see))).is_none(), "a second tap on a thread");
        Self { here: PhantomData }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        SEE.set(None);
    }
}

/// `x`, shown as the output of the layer whose first parameter this is.
pub(crate) fn shown<const D: usize>(first: ParamId, x: Tensor<D>) -> Tensor<D> {
    SEE.with_borrow_mut(|see| {
        if let Some(see) = see {
            see(first, x.clone().without_autodiff().reshape([-1]));
        }
    });
    x
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use burn::tensor::Distribution;

    use super::*;
    use crate::{
        BatchNormConfig, Conv2dConfig, LinearConfig, conv_norm, conv_norm_add_relu, conv_norm_relu,
        conv_relu, norm_relu_conv,
    };

    type Seen = Rc<RefCell<Vec<(ParamId, Vec<f32>)>>>;

    fn tap() -> (Seen, Tap) {
        let seen = Seen::default();
        let to = Rc::clone(&seen);
        let flat = |x: Tensor<1>| x.into_data().iter::<f32>().collect();
        (seen, Tap::open(move |id, x| to.borrow_mut().push((id, flat(x)))))
    }

    fn flat<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn every_step_shows_what_it_gives() {
        let plain = Device::flex();
        for device in [plain.clone(), plain.autodiff()] {
            let conv = Conv2dConfig::new([2, 3], [1, 1]).with_bias(false).init(&device);
            let (norm, linear) =
                (BatchNormConfig::new(3).init(&device), LinearConfig::new(5, 2).init(&device));
            let before = BatchNormConfig::new(2).init(&device);
            let x = || Tensor::<4>::random([2, 2, 4, 5], Distribution::Normal(0.0, 1.0), &device);
            let skip = Tensor::<4>::ones([2, 3, 4, 5], &device);
            let (conv_id, norm_id) = (conv.weight.id, norm.gamma.id);
            // What is shown last is what the step gives; in a network that learns, its layers one after the other.
            type Row<'a> = (&'a dyn Fn() -> Vec<f32>, ParamId, usize);
            let rows: [Row; 7] = [
                (&|| flat(conv.forward(x())), conv_id, 1),
                (&|| flat(conv_relu(&conv, x())), conv_id, 1),
                (&|| flat(norm.forward_relu(skip.clone())), norm_id, 1),
                (&|| flat(conv_norm(&conv, &norm, x())), norm_id, 2),
                (&|| flat(conv_norm_relu(&conv, &norm, x())), norm_id, 2),
                (&|| flat(conv_norm_add_relu(&conv, &norm, x(), skip.clone())), norm_id, 2),
                (&|| flat(linear.forward(x())), linear.weight.id, 1),
            ];
            for (number, (run, id, steps)) in rows.iter().enumerate() {
                let (seen, _tap) = tap();
                let given = run();
                let steps = if device.is_autodiff() { *steps } else { 1 };
                assert_eq!(seen.borrow().len(), steps, "row {number}");
                assert!(seen.borrow().last() == Some(&(*id, given)), "row {number}");
            }
            if device.is_autodiff() {
                let (seen, _tap) = tap();
                let given = flat(norm_relu_conv(&before, &conv, vec![x()]));
                assert!(*seen.borrow() == [(conv_id, given)]);
            }
        }
    }

    #[test]
    fn a_tap_that_is_dropped_shows_nothing() {
        let linear = LinearConfig::new(1, 1).init(&Device::flex());
        let run = || linear.forward(Tensor::<2>::ones([1, 1], &Device::flex()));
        let (first, tap_of_first) = tap();
        run();
        drop(tap_of_first);
        run();
        let (second, _tap) = tap();
        run();
        assert_eq!((first.borrow().len(), second.borrow().len()), (1, 1));
    }
}
