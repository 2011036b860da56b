//! Whether optimizers and schedules fit an experiment: its own, and those of its race.

use burn::module::Module;
use kiln_core::{Error, Result};
use kiln_train::{OptimizerConfig, ScheduleConfig};

use super::Racer;

/// How long a run is, in steps.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Steps an epoch.
    pub batches: usize,
    /// Steps in all.
    pub steps: usize,
}

impl Pace {
    /// Makes sure that an optimizer and a schedule make sense for a network that is trained so long.
    ///
    /// # Errors
    /// The key, within the experiment, that does not.
    pub fn check<M: Module>(
        self,
        optimizer: &OptimizerConfig,
        schedule: &ScheduleConfig,
        lr: f64,
        network: &M,
    ) -> Result<()> {
        optimizer.init()?;
        optimizer.check(network)?;
        schedule.check(optimizer)?;
        schedule.resolve(lr, self.batches, self.steps).map(|_| ())
    }

    /// The same for all racers; `schedule` is of those that have none of their own.
    ///
    /// # Errors
    /// The racer that makes no sense, and its key; two of one name.
    pub fn check_race<M: Module>(self, race: &[Racer], schedule: &ScheduleConfig, network: &M) -> Result<()> {
        for (index, racer) in race.iter().enumerate() {
            let Racer { name, lr, optimizer, .. } = racer;
            if folder_of(name).is_empty() {
                return Err(Error::input(format!("`{name}` is no name: it has neither letters nor digits")));
            }
            if race[..index].iter().any(|other| folder_of(&other.name) == folder_of(name)) {
                return Err(Error::input(format!("there are two of the name `{name}`")));
            }
            let schedule = racer.schedule.as_ref().unwrap_or(schedule);
            self.check(optimizer, schedule, *lr, network).map_err(|error| {
                let key = error.place_named().unwrap_or("lr").replace("learning_rate", "lr");
                let message = format!("`{name}`: {key}: {}", error.message());
                error
                    .hint_given()
                    .map_or(Error::input(message.clone()), |hint| Error::input(message).hint(hint))
            })?;
        }
        Ok(())
    }
}

/// What a racer's folder is called: its name with letters and digits alone.
pub fn folder_of(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}
