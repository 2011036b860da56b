//! `kiln weights …`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::prelude::*;
use kiln_core::{Error, Result};
use kiln_zoo::{Entry, Misfit, StateDict, WeightFile};
use serde_json::json;

use super::output::{Output, table, thousands};

/// Look into weight files, and write them as safetensors
#[derive(clap::Subcommand)]
pub enum Verb {
    /// List what is in a weight file: every tensor, and what is said beside them
    ///
    /// With `--model` also all that does not fit that model; exit code 1 if anything does not.
    /// Example: kiln weights inspect resnet18.pth --model resnet18
    Inspect {
        /// safetensors, or PyTorch's .pt, .pth, .th
        file: PathBuf,
        /// A name of `kiln models`
        #[arg(long)]
        model: Option<String>,
    },
    /// Write a weight file's floats as safetensors
    ///
    /// With `--model` the tensors get the model's names, must fit it, and how it wants its images is written with them.
    /// Example: kiln weights convert resnet18.pth resnet18.safetensors --model resnet18
    Convert {
        /// safetensors, or PyTorch's .pt, .pth, .th
        file: PathBuf,
        /// The file to write, which ends in .safetensors
        out: PathBuf,
        /// A name of `kiln models`
        #[arg(long)]
        model: Option<String>,
    },
}

pub fn run(verb: Verb, output: &Output) -> Result<ExitCode> {
    let entry = |model: Option<String>| model.map(|model| kiln_zoo::find_or_read(&model)).transpose();
    match verb {
        Verb::Inspect { file, model } => inspect(&file, entry(model)?.as_ref(), output),
        Verb::Convert { file, out, model } => convert(&file, &out, entry(model)?.as_ref(), output),
    }
}

fn inspect(file: &Path, entry: Option<&Entry>, output: &Output) -> Result<ExitCode> {
    let opened = WeightFile::open(file)?;
    let rows: Vec<[String; 4]> = (opened.tensors().iter())
        .map(|tensor| {
            let shape = format!("{:?}", tensor.shape);
            [tensor.name.clone(), shape, tensor.dtype.to_string(), thousands(tensor.count())]
        })
        .collect();
    let objects: Vec<_> = (opened.tensors().iter())
        .map(|tensor| json!({"name": tensor.name, "shape": tensor.shape, "dtype": tensor.dtype.to_string()}))
        .collect();
    let numbers: usize = opened.tensors().iter().map(|tensor| tensor.count()).sum();
    let mut lines = table(["tensor", "shape", "type", "numbers"], &rows);
    lines += &format!("\n{}: {} tensors, {} numbers\n", opened.format(), rows.len(), thousands(numbers));
    for (key, text) in opened.metadata() {
        lines += &format!("{key}: {text}\n");
    }
    let mut object = json!({
        "file": file,
        "format": opened.format().to_string(),
        "tensors": objects,
        "numbers": numbers,
        "metadata": opened.metadata(),
    });

    let mut code = ExitCode::SUCCESS;
    if let Some(entry) = entry {
        let dict = StateDict::of(opened).map_err(|error| error.file(file))?;
        let (_, classes, misfit) = compare(entry, dict, file)?;
        if misfit.is_empty() {
            lines += &format!("\nfits {} with {classes} classes\n", entry.name);
        } else {
            lines += &format!("\ndoes not fit {} with {classes} classes:\n", entry.name);
            misfit.lines().for_each(|line| lines += &format!("{line}\n"));
            code = ExitCode::from(1);
        }
        let missing = misfit.missing.iter().map(|(name, near)| json!({"name": name, "nearest": near}));
        let shapes = misfit.wrong_shape.iter();
        let shapes =
            shapes.map(|(name, found, wanted)| json!({"name": name, "found": found, "expected": wanted}));
        object["model"] = json!({
            "name": entry.name,
            "classes": classes,
            "fits": misfit.is_empty(),
            "missing": missing.collect::<Vec<_>>(),
            "unused": misfit.unused,
            "wrong_shape": shapes.collect::<Vec<_>>(),
        });
    }
    output.answer(&lines, object);
    Ok(code)
}

fn convert(file: &Path, out: &Path, entry: Option<&Entry>, output: &Output) -> Result<ExitCode> {
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Error::input("is not the name of a safetensors file")
            .file(out)
            .hint("end it in `.safetensors`"));
    }
    let mut dict = StateDict::read(file)?;
    if let Some(entry) = entry {
        let (laid_out, _, misfit) = compare(entry, dict, file)?;
        dict = laid_out;
        if !misfit.is_empty() {
            return Err(misfit.refused(entry, file));
        }
        dict.preprocessing = Some(entry.preprocessing(&dict, file));
        dict = dict.renamed(entry);
    }
    dict.write(out)?;
    let (tensors, numbers) =
        (dict.tensors.len(), dict.tensors.values().map(|(_, values)| values.len()).sum());
    output.answer(
        &format!("{}: {tensors} tensors, {} numbers", out.display(), thousands(numbers)),
        json!({"file": out, "tensors": tensors, "numbers": numbers, "model": entry.map(|entry| &entry.name)}),
    );
    Ok(ExitCode::SUCCESS)
}

/// Weights by the names of a model for as many classes as they tell apart, that number, and how they do not fit.
fn compare(entry: &Entry, dict: StateDict, file: &Path) -> Result<(StateDict, usize, Misfit)> {
    let classes = dict.classes(entry).unwrap_or(entry.num_classes());
    let network = entry.model(classes, &Device::flex());
    let dict = dict.laid_out(&network, file)?;
    let misfit = kiln_zoo::plan(&network, entry, &dict);
    Ok((dict, classes, misfit))
}
