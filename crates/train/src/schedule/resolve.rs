//! From a schedule as typed to one that knows its run.

use kiln_core::{Error, Result};

use crate::{OptimizerConfig, Rule};

use super::{Course, Part, Schedule, ScheduleConfig, Way};

/// How long a run is.
#[derive(Clone, Copy)]
struct Run {
    base: f64,
    steps_per_epoch: usize,
    steps: usize,
}

impl Run {
    fn length(self, epochs: f64) -> usize {
        (epochs * self.steps_per_epoch as f64).round() as usize
    }

    fn epochs(self) -> f64 {
        self.steps as f64 / self.steps_per_epoch as f64
    }

    /// Whether so many epochs fit in.
    fn has(self, epochs: f64) -> bool {
        epochs.is_finite() && epochs >= 0.0 && self.length(epochs) <= self.steps
    }

    fn final_rate(self, rate: f64) -> Result<f64> {
        match (0.0..=self.base).contains(&rate) {
            true => Ok(rate),
            false => Err(wrong(
                "final_rate",
                format!("{rate} is not between 0 and the learning rate, {}", self.base),
                "give the rate of the last step, as 0",
            )),
        }
    }
}

fn wrong(key: &str, message: impl Into<String>, hint: &str) -> Error {
    Error::input(message).place(format!("schedule.{key}")).hint(hint)
}

fn positive(key: &str, value: f64, what: &str, hint: &str) -> Result<f64> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(wrong(key, format!("{value} is no {what}"), hint)),
    }
}

const FACTOR: &str = "give a number above 0, as 0.1";

impl ScheduleConfig {
    /// The schedule of a run of `steps` steps, `steps_per_epoch` to the epoch, whose learning rate is `base`.
    ///
    /// # Errors
    /// A rate, a factor or a length that makes no sense, named by its key.
    pub fn resolve(&self, base: f64, steps_per_epoch: usize, steps: usize) -> Result<Schedule> {
        if !(base.is_finite() && base > 0.0) {
            let error = Error::input(format!("{base} is no rate")).place("learning_rate");
            return Err(error.hint("give a number above 0, as 0.1"));
        }
        self.resolved(Run { base, steps_per_epoch, steps })
    }

    /// Makes sure that the schedule fits an optimizer.
    ///
    /// # Errors
    /// A warm-up of the momentum where there is none, named by its key.
    pub fn check(&self, optimizer: &OptimizerConfig) -> Result<()> {
        match self.warmup.momentum.is_some() && !matches!(optimizer.rule, Rule::Sgd(_)) {
            true => {
                let message = format!("`{}` has no momentum to warm up", optimizer.name());
                Err(wrong("warmup.momentum", message, "leave it out, or take `sgd`"))
            }
            false => Ok(()),
        }
    }

    fn resolved(&self, run: Run) -> Result<Schedule> {
        let warmup = self.warmup;
        if !(0.0..=1.0).contains(&warmup.start) {
            let message = format!("{} is no share", warmup.start);
            return Err(wrong("warmup.start", message, "0 to 1, as 0.1"));
        }
        if !run.has(warmup.epochs) {
            let message = format!("{} do not fit in a run of {} epochs", warmup.epochs, run.epochs());
            return Err(wrong("warmup.epochs", message, "shorten the warm-up or lengthen the run"));
        }
        if warmup.bias_rate.is_some_and(|rate| !(rate.is_finite() && rate >= 0.0)) {
            return Err(wrong("warmup.bias_rate", "is no rate", "0 or more, as 0.1"));
        }
        if let Some(momentum) = warmup.momentum.filter(|momentum| !(0.0..1.0).contains(momentum)) {
            return Err(wrong(
                "warmup.momentum",
                format!("{momentum} is no momentum"),
                "0 to below 1, as 0.8",
            ));
        }
        let warmup_steps = run.length(warmup.epochs);
        let way = self.course.way(run, run.steps - warmup_steps)?;
        Ok(Schedule { base: run.base, warmup, warmup_steps, way })
    }
}

impl Course {
    /// The course in steps, of which `steps` come after the warm-up.
    fn way(&self, run: Run, steps: usize) -> Result<Way> {
        Ok(match self {
            Self::Constant {} => Way::Constant,
            Self::Step { every_epochs, gamma } => {
                if !(every_epochs.is_finite() && run.length(*every_epochs) > 0) {
                    let message = format!("{every_epochs} epochs are not a step long");
                    return Err(wrong("every_epochs", message, "give a number above 0, as 30"));
                }
                let gamma = positive("gamma", *gamma, "factor", FACTOR)?;
                Way::Step { every: run.length(*every_epochs), gamma }
            }
            Self::Multistep { milestones, milestones_steps, gamma } => {
                let gamma = positive("gamma", *gamma, "factor", FACTOR)?;
                Way::Multistep { milestones: in_steps(run, milestones, milestones_steps)?, gamma }
            }
            Self::Exponential { gamma } => Way::Exponential {
                steps_per_epoch: run.steps_per_epoch,
                gamma: positive("gamma", *gamma, "factor", "give a number above 0, as 0.95")?,
            },
            Self::Linear { start, end, epochs } => {
                for (key, share) in [("start", start), ("end", end)] {
                    if !(0.0..=1.0).contains(share) {
                        return Err(wrong(key, format!("{share} is no share"), "0 to 1, as 0.1"));
                    }
                }
                if let Some(epochs) = epochs.filter(|epochs| !(run.has(*epochs) && run.length(*epochs) > 0)) {
                    let message = format!("{epochs} are not a part of a run of {} epochs", run.epochs());
                    return Err(wrong("epochs", message, "leave it out for a line to the end"));
                }
                let steps = epochs.map_or(steps, |epochs| run.length(epochs));
                Way::Linear { steps, start: *start, end: *end }
            }
            Self::Cosine { final_rate } => Way::Cosine { steps, last: run.final_rate(*final_rate)? },
            Self::Polynomial { power, final_rate } => {
                let hint = "give a number above 0; 1 is a straight line";
                let power = positive("power", *power, "power", hint)?;
                Way::Polynomial { steps, last: run.final_rate(*final_rate)?, power }
            }
            Self::WarmRestarts { first_epochs, factor, final_rate } => {
                if !(first_epochs.is_finite() && run.length(*first_epochs) > 0) {
                    let message = format!("{first_epochs} epochs are not a step long");
                    return Err(wrong("first_epochs", message, "give a number above 0, as 10"));
                }
                if *factor == 0 {
                    return Err(wrong("factor", "0 would leave no second cycle", "1 or more, as 2"));
                }
                let first = run.length(*first_epochs);
                Way::WarmRestarts { first, factor: *factor, last: run.final_rate(*final_rate)? }
            }
            Self::OneCycle(cycle) => {
                let most = if cycle.three_phase { 0.5 } else { 1.0 };
                if !(0.0..=most).contains(&cycle.pct_start) {
                    let message = format!("{} is no share that the rate can rise for", cycle.pct_start);
                    return Err(wrong("pct_start", message, &format!("0 to {most}, as 0.3")));
                }
                positive("div_factor", cycle.div_factor, "divisor", "give a number above 0, as 25")?;
                positive("final_div_factor", cycle.final_div_factor, "divisor", "above 0, as 1e4")?;
                Way::OneCycle { steps, cycle: cycle.clone() }
            }
            Self::Plateau(plateau) => {
                if !(plateau.factor > 0.0 && plateau.factor < 1.0) {
                    let message = format!("{} is no factor to fall by", plateau.factor);
                    return Err(wrong("factor", message, "between 0 and 1, as 0.1"));
                }
                if !(0.0..1.0).contains(&plateau.threshold) {
                    let message = format!("{} is no share of the best", plateau.threshold);
                    return Err(wrong("threshold", message, "0 to below 1, as 1e-4"));
                }
                run.final_rate(plateau.final_rate)?;
                Way::Plateau(plateau.clone())
            }
            Self::Sequence { parts } => Way::Sequence(in_sequence(run, parts)?),
        })
    }
}

/// Milestones in steps, by whichever list they are given in.
fn in_steps(run: Run, epochs: &[f64], steps: &[usize]) -> Result<Vec<usize>> {
    let hint = "as `milestones = [30, 60]`";
    if epochs.is_empty() == steps.is_empty() {
        let message = "one of `milestones` (in epochs) and `milestones_steps` is wanted";
        return Err(wrong("milestones", message, hint));
    }
    let epochs_rise = epochs.is_sorted_by(|a, b| a < b) && epochs.iter().all(|epochs| *epochs > 0.0);
    if !epochs_rise || !steps.is_sorted_by(|a, b| a < b) {
        return Err(wrong("milestones", "do not rise", hint));
    }
    Ok(epochs.iter().map(|epochs| run.length(*epochs)).chain(steps.iter().copied()).collect())
}

/// The parts of a sequence, each with the step it begins at.
fn in_sequence(run: Run, parts: &[Part]) -> Result<Vec<(usize, Schedule)>> {
    let (mut begin, mut ready) = (0, Vec::new());
    for (index, part) in parts.iter().enumerate() {
        let key = |key: &str| format!("parts.{index}.{key}");
        let left = run.steps - begin;
        let is_last = index + 1 == parts.len();
        let steps = match part.epochs {
            None if is_last => left,
            None => return Err(wrong(&key("epochs"), "is missing", "all parts but the last have a length")),
            Some(_) if is_last => {
                let hint = "leave `epochs` out of it";
                return Err(wrong(&key("epochs"), "the last part goes to the end of the run", hint));
            }
            Some(epochs) if epochs.is_finite() && epochs > 0.0 && run.length(epochs) < left => {
                run.length(epochs)
            }
            Some(epochs) => {
                let message = format!("{epochs} leave nothing of a run of {} epochs", run.epochs());
                return Err(wrong(&key("epochs"), message, "shorten the parts or lengthen the run"));
            }
        };
        let schedule = part.schedule.resolved(Run { steps, ..run }).map_err(|error| {
            let inner = error.place_named().unwrap_or_default().replacen("schedule", &key("schedule"), 1);
            error.place(format!("schedule.{inner}"))
        })?;
        ready.push((begin, schedule));
        begin += steps;
    }
    match ready.is_empty() {
        true => Err(wrong("parts", "a sequence of nothing", "give at least one part")),
        false => Ok(ready),
    }
}
