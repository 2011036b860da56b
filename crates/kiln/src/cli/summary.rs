//! `kiln summary`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::Result;
use kiln_data::Roots;
use kiln_graph::{Cost, Field, Graph, Memory, Role, Row};
use serde_json::{Value, json};

use super::output::{Output, table, thousands, write};
use super::subject::Subject;

/// Say what a model is made of: layers, shapes, parameters, costs, what each layer sees of the image
///
/// MACs are multiply-accumulate operations of convolutions, linear layers and products of matrices, as in torchvision's
/// tables; FLOPs are the additions, multiplications, comparisons and elementary functions of everything; of others' counts
/// each has a line of its own. Example: kiln summary resnet50 --input 256
#[derive(clap::Args)]
pub struct Args {
    /// A name of `kiln models`, a Darknet .cfg, an experiment's .toml, or a run's folder
    model: String,
    /// The images: a side, or HEIGHTxWIDTH, or BATCHx3xHEIGHTxWIDTH
    #[arg(long, value_parser = size)]
    input: Option<Size>,
    /// Classes it tells apart
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    num_classes: Option<u32>,
    /// Words of a layer's path: what lies deeper is summed up in its module; 2 if left out, and all of them in JSON
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    depth: Option<u16>,
    /// Draw the architecture into a file as well
    #[arg(long, value_name = "FILE.svg")]
    draw: Option<PathBuf>,
}

/// The images that are asked about; a batch is of one if it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Images.
    pub batch: usize,
    /// Height and width.
    pub sides: [usize; 2],
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let mut chosen = Subject::of(&args.model, None, roots)?;
    let batch = args.input.map_or(1, |size| size.batch);
    chosen.sides = args.input.map_or(chosen.sides, |size| size.sides);
    chosen.classes = args.num_classes.map_or(chosen.classes, |classes| classes as usize);
    let graph = chosen.graph(batch)?;
    let depth = args.depth.map(usize::from);
    let rows = graph.rows(depth.unwrap_or(if output.json { usize::MAX } else { 2 }));
    let [height, width] = chosen.sides;
    let title =
        format!("{}: {} classes, images {batch}x3x{height}x{width}", chosen.entry.name, chosen.classes);
    let mut object = object(&chosen.entry.name, &graph, &rows);
    let mut lines = format!("{title}\n\n{}\n{}", layers(&rows), totals(&graph));
    if let Some(file) = &args.draw {
        write(file, graph.draw(&chosen.entry.name))?;
        lines += &format!("\ndrawn: {}\n", file.display());
        object["drawing"] = json!(file);
    }
    output.answer(&lines, object);
    Ok(ExitCode::SUCCESS)
}

/// A row a layer, 100 columns at most.
fn layers(rows: &[Row]) -> String {
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            let [size, stride] = field(row.field.as_ref());
            let sides: Vec<String> = row.output.iter().skip(1).map(usize::to_string).collect();
            [
                ending(&row.name, 30),
                ending(&row.kind, 19),
                sides.join("x"),
                if row.params == 0 { "-".into() } else { thousands(row.params as usize) },
                millions(row.cost),
                size,
                stride,
            ]
        })
        .collect();
    table(["layer", "kind", "output", "parameters", "M MACs", "field", "stride"], &cells)
}

fn millions(cost: Cost) -> String {
    let unknown = if cost.complete { "" } else { "+?" };
    match cost.macs {
        0 => format!("-{unknown}"),
        few @ ..100_000 => format!("{:.3}{unknown}", few as f64 / 1e6),
        macs => format!("{:.1}{unknown}", macs as f64 / 1e6),
    }
}

/// How many pixels a number sees along the longer side, and how far apart neighbours look.
fn field(field: Option<&Field>) -> [String; 2] {
    let Some(field) = field else { return ["?".into(), "?".into()] };
    let size = field.sides.iter().map(|side| side.size).fold(0.0, f64::max);
    let stride = field.sides[0].stride;
    let shown =
        |number: f64| if number.fract() == 0.0 { format!("{number}") } else { format!("{number:.2}") };
    let note = if field.aligned { "" } else { "*" };
    match (field.whole, field.axes) {
        (true, _) => ["all".into(), "-".into()],
        (_, None) => [format!("{}{note}", shown(size)), "-".into()],
        _ => [format!("{}{note}", shown(size)), shown(stride)],
    }
}

fn totals(graph: &Graph) -> String {
    let (cost, memory) = (graph.cost(), graph.memory());
    let count = |role| thousands(graph.parameters(role) as usize);
    let (trainable, frozen) = (graph.parameters(Role::Trainable), graph.parameters(Role::Frozen));
    let giga = |number: u64| format!("{:.3}", number as f64 / 1e9);
    let mebi = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut lines = vec![
        format!(
            "parameters  {} (trainable {}, frozen {}); buffers {}",
            thousands((trainable + frozen) as usize),
            count(Role::Trainable),
            count(Role::Frozen),
            count(Role::Buffer)
        ),
        format!("MACs        {} G, of convolutions, linear layers and products of matrices", giga(cost.macs)),
        format!(
            "FLOPs       {} G, of everything; {:.1} a byte read or written",
            giga(cost.flops),
            intensity(cost, memory)
        ),
        format!(
            "elsewhere   torchvision {}, fvcore {}, thop {}, ptflops {} G; Darknet {} BFLOPs",
            giga(cost.macs),
            giga(cost.fvcore),
            giga(cost.thop),
            giga(cost.ptflops),
            giga(cost.darknet)
        ),
        format!(
            "memory      weights {}, activations {}; peak {} to answer, {} to learn",
            mebi(memory.weights),
            mebi(memory.activations),
            mebi(memory.inference),
            mebi(memory.training)
        ),
    ];
    if !cost.complete {
        lines.push("incomplete: an operation is not known, and what it costs is not counted".to_string());
    }
    if graph.fields().iter().flatten().any(|field| !field.aligned) {
        lines.push(
            "* branches that look at different places are joined: the field is the largest's".to_string(),
        );
    }
    lines.join("\n") + "\n"
}

/// Floating-point operations a byte that is read or written.
fn intensity(cost: Cost, memory: Memory) -> f64 {
    cost.flops as f64 / memory.traffic as f64
}

fn object(model: &str, graph: &Graph, rows: &[Row]) -> Value {
    let (cost, memory) = (graph.cost(), graph.memory());
    let layers = rows.iter().map(|row| {
        let field = row.field.as_ref();
        let grid = field.filter(|field| field.axes.is_some() && !field.whole);
        json!({
            "name": row.name, "kind": row.kind, "output": row.output, "params": row.params, "macs": row.cost.macs,
            "flops": row.cost.flops, "complete": row.cost.complete,
            "receptive_field": field.map(|field| field.sides[0].size.max(field.sides[1].size)),
            "stride": grid.map(|field| field.sides[0].stride),
            "padding": grid.map(|field| field.sides[0].padding()),
            "center": grid.map(|field| field.sides[0].center),
            "aligned": field.map(|field| field.aligned),
            "whole": field.map(|field| field.whole),
        })
    });
    json!({
        "model": model, "input": graph.images, "params": graph.parameters(Role::Trainable) + graph.parameters(Role::Frozen),
        "trainable": graph.parameters(Role::Trainable), "frozen": graph.parameters(Role::Frozen),
        "buffers": graph.parameters(Role::Buffer), "macs": cost.macs, "flops": cost.flops, "complete": cost.complete,
        "elsewhere": {
            "torchvision_macs": cost.macs, "fvcore_flops": cost.fvcore, "thop_macs": cost.thop, "ptflops_macs": cost.ptflops,
            "darknet_flops": cost.darknet,
        },
        "memory": {
            "weights": memory.weights, "activations": memory.activations, "inference": memory.inference,
            "training": memory.training, "traffic": memory.traffic,
        },
        "intensity": intensity(cost, memory),
        "layers": layers.collect::<Vec<_>>(),
    })
}

/// A text's end, if all of it is too long.
fn ending(text: &str, most: usize) -> String {
    let count = text.chars().count();
    match count > most {
        true => std::iter::once('…').chain(text.chars().skip(count + 1 - most)).collect(),
        false => text.to_string(),
    }
}

/// `224`, `224x320` or `8x3x224x224`.
pub fn size(text: &str) -> Result<Size, String> {
    let sides: Result<Vec<usize>, _> = text.split('x').map(|side| side.trim().parse()).collect();
    let size = match sides.as_deref() {
        Ok([side]) => Size { batch: 1, sides: [*side; 2] },
        Ok([height, width]) => Size { batch: 1, sides: [*height, *width] },
        Ok([batch, 3, height, width]) => Size { batch: *batch, sides: [*height, *width] },
        _ => return Err("224, 224x320 or 8x3x224x224 is wanted".to_string()),
    };
    match [size.batch, size.sides[0], size.sides[1]].iter().all(|side| (1..=16384).contains(side)) {
        true => Ok(size),
        false => Err("sides are from 1 to 16384".to_string()),
    }
}
