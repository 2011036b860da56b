//! Where the time of steps goes.

use std::ops::{AddAssign, Sub};
use std::time::{Duration, Instant};

/// What steps spent their time on.
///
/// A device that computes on its own while the program goes on, as a GPU does, is waited for where the loss is read: its
/// backward pass and its step then count in the forward pass after them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Waiting for batches.
    pub data: Duration,
    /// From images to the loss.
    pub forward: Duration,
    /// From the loss to gradients.
    pub backward: Duration,
    /// From gradients to other weights, averages of them included.
    pub step: Duration,
    /// Writing checkpoints in the middle of epochs.
    pub saving: Duration,
    /// The rest: the loop itself, and whoever watches it.
    pub other: Duration,
}

impl Times {
    /// All of them.
    pub fn total(&self) -> Duration {
        self.parts().iter().map(|(_, time)| *time).sum()
    }

    /// The share of a part in all, 0 of nothing.
    pub fn share(&self, part: Duration) -> f64 {
        part.as_secs_f64() / self.total().as_secs_f64().max(1e-9)
    }

    /// Each by its name.
    pub fn parts(&self) -> [(&'static str, Duration); 6] {
        let Self { data, forward, backward, step, saving, other } = *self;
        [
            ("data", data),
            ("forward", forward),
            ("backward", backward),
            ("step", step),
            ("saving", saving),
            ("other", other),
        ]
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.data += other.data;
        self.forward += other.forward;
        self.backward += other.backward;
        self.step += other.step;
        self.saving += other.saving;
        self.other += other.other;
    }
}

impl Sub for Times {
    type Output = Self;

    /// What was spent between `earlier` and this; nothing where there was more earlier.
    fn sub(self, earlier: Self) -> Self {
        Self {
            data: self.data.saturating_sub(earlier.data),
            forward: self.forward.saturating_sub(earlier.forward),
            backward: self.backward.saturating_sub(earlier.backward),
            step: self.step.saturating_sub(earlier.step),
            saving: self.saving.saturating_sub(earlier.saving),
            other: self.other.saturating_sub(earlier.other),
        }
    }
}

/// A part of [`Times`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Data,
    Forward,
    Backward,
    Step,
    Saving,
    Other,
}

/// Gives all time to the part that it was spent on: what passes is that of the next lap.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Instant,
    times: Times,
}

impl Clock {
    pub fn start() -> Self {
        Self { last: Instant::now(), times: Times::default() }
    }

    /// What passed since the last lap was spent on this.
    pub fn lap(&mut self, part: Part) {
        let now = Instant::now();
        let Times { data, forward, backward, step, saving, other } = &mut self.times;
        let time = match part {
            Part::Data => data,
            Part::Forward => forward,
            Part::Backward => backward,
            Part::Step => step,
            Part::Saving => saving,
            Part::Other => other,
        };
        *time += now - self.last;
        self.last = now;
    }

    pub fn times(&self) -> Times {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_time_belongs_to_a_part() {
        let began = Instant::now();
        let mut clock = Clock::start();
        for part in [Part::Data, Part::Forward, Part::Backward, Part::Step, Part::Saving, Part::Other] {
            std::thread::sleep(Duration::from_millis(2));
            clock.lap(part);
        }
        let times = clock.times();
        assert!(times.parts().iter().all(|(_, time)| *time >= Duration::from_millis(2)), "{times:?}");
        assert!(times.total() <= began.elapsed());
        assert!((times.parts().iter().map(|(_, time)| times.share(*time)).sum::<f64>() - 1.0).abs() < 1e-9);
        let mut twice = times;
        twice += times;
        assert_eq!(twice.total(), times.total() * 2);
        assert_eq!(twice - times, times);
    }
}
