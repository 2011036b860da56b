//! What a run looks like on the terminal: a bar where there is one, plain lines where there is none.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kiln_core::Result;
use kiln_train::{EpochSummary, Event, Observer, Times};

/// Watches a run and shows how far it is, on standard error.
pub struct Progress {
    bar: ProgressBar,
    epochs: usize,
    steps: usize,
    epoch_began: Instant,
    /// Images and time since the run went on: what the speed and the time left are reckoned from.
    seen: usize,
    busy: Duration,
    last: Instant,
    steps_seen: usize,
}

impl Progress {
    /// A bar if standard error is a terminal; else a line an epoch.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            bar: bar(0, "{prefix} {bar:24} {pos}/{len}  {msg}"),
            epochs: 0,
            steps: 0,
            epoch_began: now,
            seen: 0,
            busy: Duration::ZERO,
            last: now,
            steps_seen: 0,
        }
    }

    /// Images a second over the whole run, evaluation left out.
    pub fn speed(&self) -> f64 {
        self.seen as f64 / self.busy.as_secs_f64().max(1e-9)
    }

    fn say(&self, line: &str) {
        match self.bar.is_hidden() {
            true => eprintln!("{line}"),
            false => self.bar.println(line),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl<N> Observer<N> for Progress {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        match event {
            Event::RunStarted { epochs, steps, resumed, .. } => {
                (self.epochs, self.steps) = (*epochs, *steps);
                if let Some(place) = resumed {
                    self.say(&format!("resumed after step {} of {steps}", place.global_step));
                }
            }
            Event::EpochStarted { epoch, steps, done } => {
                self.bar.reset();
                self.bar.set_length(*steps as u64);
                self.bar.set_position(*done as u64);
                self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
                self.bar.set_message("");
                (self.epoch_began, self.last) = (Instant::now(), Instant::now());
            }
            Event::Step { step, global_step, loss, rate, items, .. } => {
                self.busy += self.last.elapsed();
                self.last = Instant::now();
                self.seen += items;
                self.steps_seen += 1;
                let left = self.busy.mul_f64((self.steps - global_step) as f64 / self.steps_seen as f64);
                self.bar.set_position(*step as u64);
                self.bar.set_message(format!(
                    "loss {loss:.3}  rate {rate:.2e}  {} images/s  {} left",
                    per_second(self.speed()),
                    clock(left)
                ));
            }
            Event::EvaluationStep { step, steps, .. } => {
                self.bar.set_message(format!("testing {}%", 100 * step / steps));
            }
            Event::Evaluated { summary, best, times, .. } => {
                let line = line(summary, self.epochs, *best, self.epoch_began.elapsed(), self.speed());
                self.say(&format!("{line}  {}", split(times)));
            }
            Event::Damaged { why, instead } => {
                self.say(&format!("note: {why}; going on from {}", instead.display()));
            }
            Event::Learned { .. } | Event::Checkpointing { .. } | Event::Checkpointed { .. } => {}
            Event::Interrupted { .. } | Event::Finished { .. } => self.bar.finish_and_clear(),
        }
        Ok(())
    }
}

/// A bar on standard error, hidden where that is no terminal.
pub fn bar(length: u64, template: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr_with_hz(8),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), target).with_style(style.progress_chars("━╸─"))
}

fn line(summary: &EpochSummary, epochs: usize, best: bool, took: Duration, speed: f64) -> String {
    let figures = summary.figures.iter().map(|(name, value)| format!("  {name} {:.2} %", value * 100.0));
    let average = summary.average.iter().flat_map(|average| &average.figures);
    let average = average.map(|(name, value)| format!("  average's {name} {:.2} %", value * 100.0));
    let figures = figures.chain(average);
    format!(
        "epoch {:>2}/{epochs}  train loss {:.4}  test loss {:.4}{}  {}  {} images/s{}",
        summary.epoch,
        summary.train_loss,
        summary.test_loss,
        figures.collect::<String>(),
        clock(took),
        per_second(speed),
        if best { "  best" } else { "" }
    )
}

/// Where the time of the steps went, in percent; what took none is left out.
fn split(times: &Times) -> String {
    let percent = times.parts().map(|(name, part)| (name, format!("{:.1}", 100.0 * times.share(part))));
    let parts = percent.iter().filter(|(_, percent)| percent != "0.0");
    let parts: Vec<String> = parts.map(|(name, percent)| format!("{name} {percent}")).collect();
    if parts.is_empty() { String::new() } else { parts.join(", ") + " %" }
}

/// Two figures of a speed, however slow.
fn per_second(speed: f64) -> String {
    let digits = usize::from(speed < 10.0) + usize::from(speed < 1.0);
    format!("{speed:.digits$}")
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_speeds_have_two_figures_too() {
        assert_eq!([437.6, 12.3, 2.34, 0.456].map(per_second), ["438", "12", "2.3", "0.46"]);
    }

    #[test]
    fn the_split_of_the_time_is_brief_and_whole() {
        let [data, forward, backward] = [1, 400, 599].map(Duration::from_millis);
        let times = Times { data, forward, backward, ..Times::default() };
        assert_eq!(split(&times), "data 0.1, forward 40.0, backward 59.9 %");
    }

    #[test]
    fn times_are_told_in_minutes_or_hours() {
        assert_eq!(clock(Duration::from_secs(61)), "1:01");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 5 * 60 + 9)), "3:05:09");
    }
}
