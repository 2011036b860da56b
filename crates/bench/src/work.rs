//! One row of a table: the same work on every side.

use std::path::Path;
use std::time::Instant;

use kiln_core::{Error, Result};
use serde_json::{Value, json};

use crate::layer::{Layer, Running};
use crate::network::{Evaluation, Training, Workload};
use crate::pace::{Pace, Side, in_turns};
use crate::peer::{LAYOUTS, Peer, Waiting};
use crate::table::{Row, Torch};

/// What is measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// A step of training.
    Train(Workload),
    /// A forward pass in evaluation mode.
    Evaluate(Workload),
    /// A part of a convolution.
    Layer(Layer),
}

impl Work {
    /// The name of its row.
    pub fn name(&self) -> String {
        match self {
            Self::Train(work) | Self::Evaluate(work) => work.name(),
            Self::Layer(layer) => layer.name(),
        }
    }

    /// What the other side is told, but for the layout.
    ///
    /// # Errors
    /// A model that the registry does not know.
    pub fn request(&self) -> Result<Value> {
        let network = |work: &Workload, mode: &str| {
            let Workload { model, batch, side } = work;
            let classes = work.num_classes()?;
            Ok(
                json!({"do": "network", "model": model, "classes": classes, "batch": batch, "side": side, "mode": mode}),
            )
        };
        match self {
            Self::Train(work) => network(work, "train"),
            Self::Evaluate(work) => network(work, "eval"),
            Self::Layer(layer) => Ok(json!({
                "do": "layer", "kind": layer.part.to_string(), "x": layer.input(), "weight": layer.weight(),
                "stride": layer.conv.stride, "padding": layer.conv.padding.map(|(before, _)| before),
                "dilation": layer.conv.dilation, "groups": layer.conv.groups,
            })),
        }
    }

    /// Our side, ready for its first step.
    ///
    /// # Errors
    /// A model that the registry does not know.
    pub fn ours(&self) -> Result<Ours> {
        Ok(match self {
            Self::Train(work) => Ours::Train(Training::new(*work)?),
            Self::Evaluate(work) => Ours::Evaluate(Evaluation::new(*work)?),
            Self::Layer(layer) => Ours::Layer(Running::new(layer)),
        })
    }
}

/// Our side at work.
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Ours {
    /// On a network that learns.
    Train(Training),
    /// On a network that answers.
    Evaluate(Evaluation),
    /// On a part of a convolution.
    Layer(Running),
}

impl Ours {
    /// Does it once.
    pub fn step(&mut self) {
        match self {
            Self::Train(work) => work.step(),
            Self::Evaluate(work) => work.step(),
            Self::Layer(work) => work.step(),
        }
    }

    fn is_finite(&self) -> bool {
        match self {
            Self::Train(work) => work.is_finite(),
            Self::Evaluate(work) => work.is_finite(),
            Self::Layer(work) => work.is_finite(),
        }
    }

    fn parameters(&self) -> Option<usize> {
        match self {
            Self::Train(work) => Some(work.parameters()),
            Self::Evaluate(work) => Some(work.parameters()),
            Self::Layer(_) => None,
        }
    }
}

/// PyTorch in one of the ways in which it may be fastest.
struct Variant {
    peer: Peer,
    layout: &'static str,
    waiting: Waiting,
}

/// The processes of the other side.
pub struct Peers {
    torch: Vec<Variant>,
    onnxruntime: Option<Peer>,
}

impl Peers {
    /// Starts them; ONNX Runtime only where Python has it.
    ///
    /// # Errors
    /// A program that is not there, is no Python, or has no PyTorch.
    pub fn start(python: &Path, threads: usize, with_onnxruntime: bool) -> Result<Self> {
        let mut torch = Vec::new();
        for layout in LAYOUTS {
            for waiting in [Waiting::Spinning, Waiting::Asleep] {
                torch.push(Variant { peer: Peer::start(python, threads, waiting)?, layout, waiting });
            }
        }
        let wanted = with_onnxruntime && torch.iter().any(|variant| variant.peer.has_onnxruntime);
        let onnxruntime = wanted.then(|| Peer::start(python, threads, Waiting::Spinning)).transpose()?;
        Ok(Self { torch, onnxruntime })
    }

    /// PyTorch's version.
    pub fn version(&self) -> &str {
        self.torch.first().map_or("", |variant| &variant.peer.torch)
    }
}

/// Measures one row: our side and every variant of the other in turns.
///
/// # Errors
/// Sides that do not do the same: another number of parameters, or a result that is no number.
pub fn measure(work: &Work, pace: Pace, peers: Option<&mut Peers>) -> Result<Row> {
    let name = work.name();
    let mut ours = work.ours()?;
    let (mut torch, mut onnxruntime) = (Vec::new(), None);
    if let Some(peers) = peers {
        torch = prepared(&mut peers.torch, work, ours.parameters())?;
        onnxruntime = peers.onnxruntime.as_mut().and_then(|peer| handed_over(work, peer));
    }
    let mut sides: Vec<Side> = vec![Box::new(|times| {
        let start = Instant::now();
        // On a thread of the pool, as `kiln` does it; but the other side's processes come from a thread outside, because they
        // inherit the processors that their parent may use.
        rayon::scope(|_| (0..times).for_each(|_| ours.step()));
        Ok(start.elapsed().as_secs_f64() * 1e3 / times as f64)
    })];
    let theirs = torch.iter_mut().map(|variant| &mut variant.peer).chain(onnxruntime.as_deref_mut());
    sides.extend(theirs.map(|peer| -> Side { Box::new(|times| peer.step(times)) }));
    let times = in_turns(pace, &mut sides)?;
    drop(sides);

    let mut finite = ours.is_finite();
    for peer in torch.iter_mut().map(|variant| &mut variant.peer).chain(onnxruntime.as_deref_mut()) {
        finite &= peer.is_finite()?;
    }
    if !finite {
        return Err(Error::failure("the last result is not finite").place(name));
    }
    let (ours, theirs) = (times[0], &times[1..]);
    let onnxruntime = onnxruntime.and(theirs.get(torch.len()).copied());
    let variants = torch.iter().zip(theirs);
    let variants = variants.map(|(variant, time)| Torch {
        time: *time,
        layout: variant.layout,
        waiting: variant.waiting,
    });
    let giga = match work {
        Work::Layer(layer) => Some(layer.giga()),
        _ => None,
    };
    Ok(Row { name, ours, torch: variants.min_by(|a, b| a.time.total_cmp(&b.time)), onnxruntime, giga })
}

/// PyTorch's variants, ready for their first step.
fn prepared<'a>(
    variants: &'a mut [Variant],
    work: &Work,
    parameters: Option<usize>,
) -> Result<Vec<&'a mut Variant>> {
    let request = work.request()?;
    let ready = variants.iter_mut().map(|variant| {
        let count = variant.peer.prepare(&request, variant.layout)?;
        match count == parameters {
            true => Ok(variant),
            false => {
                let counts = format!("{parameters:?} parameters here, {count:?} there");
                Err(Error::failure(counts).place(work.name()))
            }
        }
    });
    ready.collect()
}

/// ONNX Runtime, ready for a forward pass; `None` if it does not take the network.
fn handed_over<'a>(work: &Work, peer: &'a mut Peer) -> Option<&'a mut Peer> {
    let mut request = work.request().ok()?;
    request["mode"] = "onnxruntime".into();
    match peer.prepare(&request, LAYOUTS[0]) {
        Ok(_) => Some(peer),
        Err(why) => {
            let why = why.message().split(". ").next().unwrap_or_default();
            eprintln!("note: {}: not in ONNX Runtime: {why}", work.name());
            None
        }
    }
}
