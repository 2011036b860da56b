//! Running statistics computed anew, for weights that no batch was ever normalized by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::prelude::*;
use kiln_core::{Batches, Error, Network, Result};

use crate::step::{device_of, seed_of};
use crate::walk::{each, is_statistic, mapped};

/// Large beside any statistic, and a power of two, so that dividing by it loses nothing.
const PROBE: f32 = (1 << 20) as f32;

/// `network`, which is in evaluation mode, with the mean of every batch's statistics, over one pass over the training images, in
/// place of its running statistics (Izmailov et al. 2018, Section 3.1; as `torch.optim.swa_utils.update_bn`). `None` if `stop`
/// was set meanwhile.
///
/// A layer moves its running statistic r to (1 - m)·r + m·b by the batch's b. From r = 0 that is m·b; what the first batch
/// makes of `PROBE`, less that, is (1 - m)·`PROBE`: so m need not be known. A statistic that no batch moves, m = 0, is frozen
/// and stays.
///
/// # Errors
/// A batch that cannot be read.
pub(crate) fn recomputed<N: Network>(
    network: &N,
    train: &impl Batches,
    seed: u64,
    epoch: usize,
    stop: &AtomicBool,
) -> Result<Option<N>> {
    let mut sums = HashMap::<String, Vec<f64>>::new();
    let mut probed = HashMap::new();
    let mut batches = 0;
    let mut trains = network.clone().train();
    let device = device_of(&trains);
    for batch in train.epoch(epoch, 0) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let images = batch?.images;
        // Dropout draws from the device.
        let pass = |from: f32, trains: N| {
            let trains = with_statistics(trains, from);
            device.seed(seed_of(seed, batches));
            trains.forward_train(images.clone());
            (statistics(&trains), trains)
        };
        if batches == 0 {
            (probed, trains) = pass(PROBE, trains);
        }
        let moved;
        (moved, trains) = pass(0.0, trains);
        if batches == 0 {
            for (path, from_probe) in &mut probed {
                let from_zero = &moved[path];
                for (probe, zero) in from_probe.iter_mut().zip(from_zero) {
                    *probe = 1.0 - (*probe - zero) / f64::from(PROBE);
                }
            }
        }
        for (path, moved) in moved {
            let sum = sums.entry(path).or_insert_with(|| vec![0.0; moved.len()]);
            sum.iter_mut().zip(moved).for_each(|(sum, moved)| *sum += moved);
        }
        batches += 1;
    }
    if batches == 0 {
        return Err(Error::failure("there is no batch to compute running statistics of"));
    }
    let network = mapped(network.valid(), |path, value| {
        let (Some(sum), Some(momentum)) = (sums.get(path), probed.get(path)) else { return value };
        if momentum.iter().any(|momentum| *momentum < 1e-5) {
            return value;
        }
        let mean = sum.iter().zip(momentum).map(|(sum, momentum)| (sum / batches as f64 / momentum) as f32);
        Tensor::from_data(mean.collect::<Vec<_>>().as_slice(), &value.device())
    });
    Ok(Some(network))
}

/// All running statistics set to one number.
fn with_statistics<M: Module>(module: M, number: f32) -> M {
    // A queued update would come after.
    drop(module.valid());
    mapped(module, |path, value| match is_statistic(path) {
        true => value.full_like(number),
        false => value,
    })
}

fn statistics<M: Module>(module: &M) -> HashMap<String, Vec<f64>> {
    let mut found = HashMap::new();
    each(&module.valid(), |path, value| {
        if is_statistic(path) {
            found.insert(path.to_string(), value.into_data().iter::<f64>().collect());
        }
    });
    found
}
