//! A network tried on the test images.

use std::sync::atomic::{AtomicBool, Ordering};

use kiln_core::{Batches, Network, Result, Score, Task};

use crate::{Event, Observer, Tried};

/// Tries a network, which is in evaluation mode, on the test images after an epoch, counted from 1; `None` if it was asked to
/// stop.
///
/// # Errors
/// A batch that cannot be read; what an observer fails with.
pub(crate) fn evaluate<N, T>(
    network: &N,
    task: &T,
    test: &impl Batches,
    epoch: usize,
    observers: &mut [&mut dyn Observer<N>],
    stop: &AtomicBool,
) -> Result<Option<Tried>>
where
    N: Network<Output = T::Output>,
    T: Task,
{
    let (mut score, mut loss_sum, mut items) = (task.score(), 0.0, 0);
    let mut batches = test.epoch(0, 0).enumerate();
    while !stop.load(Ordering::Relaxed) {
        let Some((index, batch)) = batches.next() else {
            let figures = score.figures().into_iter().map(|(name, value)| (name.to_string(), value));
            return Ok(Some(Tried { loss: loss_sum / items as f64, figures: figures.collect() }));
        };
        let batch = batch?;
        let output = network.forward(batch.images.clone());
        let [in_batch, ..] = batch.images.dims();
        let loss = task.loss(output.clone(), &batch).total().into_scalar::<f32>();
        loss_sum += f64::from(loss) * in_batch as f64;
        items += in_batch;
        score.update(output, &batch);
        observers.notify(&Event::EvaluationStep { epoch, step: index + 1, steps: test.steps() })?;
    }
    Ok(None)
}
