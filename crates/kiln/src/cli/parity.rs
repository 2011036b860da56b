//! `kiln parity`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::Result;
use kiln_zoo::{Golden, Parity};
use serde_json::json;

use super::output::{Output, table, thousands};

/// Compare models with what reference implementations answer
///
/// A golden file says what a reference answers when its weights are numbers that anyone can recompute; exit code 1 if
/// any disagrees. Example: kiln parity torchvision-resnet18.json
#[derive(clap::Args)]
pub struct Args {
    /// Golden files
    #[arg(required = true)]
    goldens: Vec<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(args: Args, output: &Output) -> Result<ExitCode> {
    let device = kiln_core::device(&args.device)?;
    let (mut rows, mut objects, mut all_agree) = (Vec::new(), Vec::new(), true);
    for file in &args.goldens {
        let golden = Golden::read(file)?;
        // A model that is not there yet disagrees; the others are still compared.
        let parity = golden.check(&device);
        let (params, max_error, reason) = match &parity {
            Ok(Parity { params, max_error, disagreement }) => {
                (*params, Some(*max_error), disagreement.clone())
            }
            Err(error) => (0, None, Some(error.to_string())),
        };
        all_agree &= reason.is_none();
        let error = max_error.map_or("-".to_string(), |error| format!("{error:.1e}"));
        let verdict = reason.clone().unwrap_or_else(|| "agrees".to_string());
        rows.push([golden.model.clone(), thousands(params), error, verdict]);
        objects.push(json!({
            "file": file,
            "model": golden.model,
            "params": params,
            "max_error": max_error.filter(|error| error.is_finite()),
            "agrees": reason.is_none(),
            "reason": reason,
        }));
    }
    output.answer(&table(["model", "parameters", "largest error", ""], &rows), json!({"results": objects}));
    Ok(if all_agree { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
