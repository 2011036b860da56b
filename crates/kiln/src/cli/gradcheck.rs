//! `kiln gradcheck`.

use std::process::ExitCode;

use kiln_core::{Error, Result, nearest};
use kiln_explain::gradcheck::{Check, Found, all};
use serde_json::{Value, json};

use super::output::{Output, table};

/// Compare the gradients of every layer, loss and kernel with differences of 64-bit numbers
///
/// Example: kiln gradcheck conv-depthwise batch-norm
#[derive(clap::Args)]
pub struct Args {
    /// What is checked, by its name or its kind (activation, layer, norm, pool, dropout, loss); left out, everything
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where the 32-bit gradients are computed; the differences are always the CPU's
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(args: Args, output: &Output) -> Result<ExitCode> {
    let device = kiln_core::device(&args.device)?;
    let checks = chosen(&args.names)?;
    let found: Vec<(Check, Found)> = checks
        .into_iter()
        .map(|check| {
            let found = check.run(&device);
            (check, found)
        })
        .collect();

    let says = |passes: bool| if passes { "" } else { "wrong" };
    let rows: Vec<[String; 6]> = found
        .iter()
        .map(|(check, found)| {
            [
                check.name.clone(),
                check.group.name().into(),
                found.compared.to_string(),
                format!("{:.1e}", found.precise),
                format!("{:.1e}", found.running),
                says(check.passes(found)).into(),
            ]
        })
        .collect();
    let failed = found.iter().filter(|(check, found)| !check.passes(found)).count();
    let worst = |of: fn(&Found) -> f64| found.iter().map(|(_, found)| of(found)).fold(0.0, f64::max);
    let lines = format!(
        "{}{} checked on {}, {failed} wrong; largest relative error {:.1e} in 64 bits, {:.1e} in 32 bits",
        table(["what", "kind", "derivatives", "64 bits", "32 bits", ""], &rows),
        found.len(),
        args.device,
        worst(|found| found.precise),
        worst(|found| found.running),
    );
    let checks: Vec<Value> = found
        .iter()
        .map(|(check, found)| {
            json!({
                "name": check.name, "kind": check.group.name(), "derivatives": found.compared, "error_64": found.precise,
                "error_32": found.running, "bounds": check.bounds, "passes": check.passes(found),
            })
        })
        .collect();
    output.answer(&lines, json!({"device": args.device, "wrong": failed, "checks": checks}));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Those that are asked for, in the order of the list.
fn chosen(names: &[String]) -> Result<Vec<Check>> {
    let all = all();
    for name in names {
        if !all.iter().any(|check| check.name == *name || check.group.name() == name) {
            let error = Error::input(format!("there is no check `{name}`"));
            let known = all.iter().flat_map(|check| [check.name.as_str(), check.group.name()]);
            return Err(error.hint(match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`kiln gradcheck` lists them all".to_string(),
            }));
        }
    }
    let asked = |check: &Check| {
        names.is_empty() || names.iter().any(|name| check.name == *name || check.group.name() == name)
    };
    Ok(all.into_iter().filter(asked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_chosen_by_name_and_kind() {
        let names = |list: &[&str]| -> Vec<String> {
            let list: Vec<String> = list.iter().map(|name| name.to_string()).collect();
            chosen(&list).expect("known names").into_iter().map(|check| check.name).collect()
        };
        assert_eq!(names(&["linear", "conv"]), ["conv", "linear"]);
        assert!(
            names(&["norm"]).contains(&"switch-norm".to_string())
                && !names(&["norm"]).contains(&"conv".into())
        );
        assert!(names(&[]).len() > 110);
        let error = chosen(&["conv-depthwize".to_string()]).err().expect("an unknown name");
        assert_eq!(error.to_string(), "there is no check `conv-depthwize`; did you mean `conv-depthwise`?");
    }
}
