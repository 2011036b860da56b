//! A network that is built layer by layer, with the map that each gives.

use kiln_core::{Error, Result, nearest};

use super::section::{Section, WIDEST};
use super::{Cfg, Convolution, Head, Layer};
use crate::block::Activation;

/// Sections that are layers.
const LAYERS: [&str; 14] = [
    "convolutional",
    "conv",
    "maxpool",
    "max",
    "avgpool",
    "avg",
    "route",
    "shortcut",
    "upsample",
    "reorg",
    "region",
    "yolo",
    "dropout",
    "cost",
];

/// Keys of any layer that only training asks for.
const TRAINING: [&str; 4] = ["stopbackward", "onlyforward", "dontload", "dontloadscales"];

/// Channels, rows and columns of a map.
type Shape = [usize; 3];

/// The layers so far.
pub struct Built {
    image: Shape,
    layers: Vec<Layer>,
    /// What each layer gives; a head gives nothing.
    maps: Vec<Option<Shape>>,
    num_classes: Option<usize>,
}

impl Built {
    /// No layers yet.
    ///
    /// # Errors
    /// A `[net]` without a size, or of images that are not red, green and blue.
    pub fn new(net: &Section) -> Result<Self> {
        net.has_no_other("channels", "3")?;
        let image = [3, net.side("height")?, net.side("width")?];
        Ok(Self { image, layers: Vec::new(), maps: Vec::new(), num_classes: None })
    }

    /// The network.
    ///
    /// # Errors
    /// It has no head.
    pub fn finished(self) -> Result<Cfg> {
        let [_, height, width] = self.image;
        let Some(num_classes) = self.num_classes else {
            return Err(Error::input("neither a [region] nor a [yolo], so no detector"));
        };
        Ok(Cfg { size: [height, width], num_classes, layers: self.layers })
    }

    /// Adds a layer.
    ///
    /// # Errors
    /// A layer that is not known, or that does not fit those before it.
    pub fn add(&mut self, section: &Section) -> Result<()> {
        let (layer, map) = match section.name {
            "convolutional" | "conv" => self.convolution(section)?,
            "maxpool" | "max" => self.max_pool(section)?,
            "avgpool" | "avg" => {
                only(section, &[])?;
                let [channels, ..] = self.input(section)?;
                (Layer::AveragePool, Some([channels, 1, 1]))
            }
            "route" => self.route(section)?,
            "shortcut" => self.shortcut(section)?,
            "upsample" => {
                only(section, &["stride"])?;
                let ([channels, rows, columns], stride) =
                    (self.input(section)?, section.count_or("stride", 2)?);
                (Layer::Upsample { stride }, Some([channels, rows * stride, columns * stride]))
            }
            "reorg" => self.reorg(section)?,
            "region" | "yolo" => (Layer::Head(self.head(section)?), None),
            "dropout" | "cost" => (Layer::Same, Some(self.input(section)?)),
            name => {
                let error = section.error("", "no layer that is known here");
                let near = nearest(name, LAYERS);
                return Err(error.hint(match near {
                    Some(near) => format!("did you mean `[{near}]`?"),
                    None => format!("layers are {}", LAYERS.join(", ")),
                }));
            }
        };
        if let Some(wide) = map.and_then(|map| map.into_iter().find(|side| *side > WIDEST)) {
            return Err(
                section.error("", format!("gives a map with {wide} of something, more than {WIDEST}"))
            );
        }
        self.layers.push(layer);
        self.maps.push(map);
        Ok(())
    }

    /// What the layer before gives.
    fn input(&self, section: &Section) -> Result<Shape> {
        match self.maps.last() {
            None => Ok(self.image),
            Some(Some(map)) => Ok(*map),
            Some(None) => {
                let error = section.error("", "takes the map of the layer before, a head, which gives none");
                Err(error.hint("put a `[route]` between them"))
            }
        }
    }

    /// The index of a layer that a key names: counted from the first, or if negative back from this one.
    fn earlier(&self, section: &Section, key: &str, named: i64) -> Result<(usize, Shape)> {
        let here = self.layers.len();
        let from = if named < 0 { here as i64 } else { 0 };
        let index = from.checked_add(named).and_then(|index| usize::try_from(index).ok());
        let Some(index) = index.filter(|index| *index < here) else {
            let message = format!("`{key}` names layer {named}, and there are {here} before this one");
            return Err(section.error(key, message));
        };
        match (self.maps[index], self.layers.get(index + 1)) {
            (Some(_), Some(Layer::Head(_))) | (None, _) => {
                let message = format!("`{key}` names layer {named}, which makes boxes and nothing else");
                Err(section.error(key, message))
            }
            (Some(map), _) => Ok((index, map)),
        }
    }

    fn convolution(&self, section: &Section) -> Result<(Layer, Option<Shape>)> {
        only(
            section,
            &[
                "batch_normalize",
                "filters",
                "size",
                "stride",
                "pad",
                "padding",
                "groups",
                "dilation",
                "activation",
            ],
        )?;
        section.has_no_other("dilation", "1")?;
        let [channels, rows, columns] = self.input(section)?;
        let (filters, size) = (section.side("filters")?, section.count("size")?);
        let (stride, groups) = (section.count_or("stride", 1)?, section.side_or("groups", 1)?);
        let padding = if section.flag("pad")? { size / 2 } else { section.size_or("padding", 0)? };
        if !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            let message = format!("{channels} channels to {filters} cannot be {groups} groups");
            return Err(section.error("groups", message));
        }
        let convolution = Convolution {
            channels: [channels, filters],
            size,
            stride,
            padding,
            groups,
            normalized: section.flag("batch_normalize")?,
            activation: activation(section, section.text("activation")?)?,
        };
        let sides = [rows, columns].map(|side| Some((side + 2 * padding).checked_sub(size)? / stride + 1));
        let [Some(rows), Some(columns)] = sides else {
            let message = format!("a filter of {size}x{size} does not fit into a map of {rows}x{columns}");
            return Err(section.error("size", message));
        };
        Ok((Layer::Convolution(convolution), Some([filters, rows, columns])))
    }

    fn max_pool(&self, section: &Section) -> Result<(Layer, Option<Shape>)> {
        only(section, &["size", "stride", "padding"])?;
        let [channels, rows, columns] = self.input(section)?;
        let stride = section.count_or("stride", 1)?;
        let size = section.count_or("size", stride)?;
        let padding = section.size_or("padding", size - 1)?;
        if padding >= size {
            return Err(section.error("padding", format!("must be smaller than the window, {size}")));
        }
        let sides = [rows, columns].map(|side| Some((side + padding).checked_sub(size)? / stride + 1));
        let [Some(rows), Some(columns)] = sides else {
            let message = format!("a window of {size}x{size} does not fit into a map of {rows}x{columns}");
            return Err(section.error("size", message));
        };
        Ok((Layer::MaxPool { size, stride, padding }, Some([channels, rows, columns])))
    }

    fn route(&self, section: &Section) -> Result<(Layer, Option<Shape>)> {
        only(section, &["layers", "groups", "group_id"])?;
        let (groups, group) = (section.side_or("groups", 1)?, section.size_or("group_id", 0)?);
        if group >= groups {
            return Err(section.error("group_id", format!("group {group} of {groups}, counted from 0")));
        }
        let (mut layers, mut joined) = (Vec::new(), None::<Shape>);
        for named in section.listed("layers")? {
            let (layer, [channels, rows, columns]) = self.earlier(section, "layers", named)?;
            if !channels.is_multiple_of(groups) {
                return Err(section.error("groups", format!("{channels} channels cannot be {groups} groups")));
            }
            let before = match joined {
                Some(joined) if joined[1..] != [rows, columns] => {
                    let [_, other_rows, other_columns] = joined;
                    let message = format!(
                        "joins maps of {other_rows}x{other_columns} and {rows}x{columns}, that of layer {layer}"
                    );
                    return Err(section.error("layers", message));
                }
                Some([channels, ..]) => channels,
                None => 0,
            };
            joined = Some([before + channels / groups, rows, columns]);
            layers.push(layer);
        }
        Ok((Layer::Route { layers, groups, group }, joined))
    }

    fn shortcut(&self, section: &Section) -> Result<(Layer, Option<Shape>)> {
        only(section, &["from", "activation"])?;
        let map = self.input(section)?;
        let [named] = section.listed("from")?[..] else {
            return Err(section.error("from", "names several layers, where one is known here"));
        };
        let (layer, other) = self.earlier(section, "from", named)?;
        if map != other {
            let shape = |[channels, rows, columns]: Shape| format!("{channels}x{rows}x{columns}");
            let message = format!("adds maps of {} and {}, that of layer {layer}", shape(map), shape(other));
            return Err(section.error("from", message));
        }
        let activation = match section.text("activation") {
            Ok(name) => activation(section, name)?,
            Err(_) => Activation::Linear,
        };
        Ok((Layer::Shortcut { layer, activation }, Some(map)))
    }

    fn reorg(&self, section: &Section) -> Result<(Layer, Option<Shape>)> {
        only(section, &["stride", "reverse"])?;
        section.has_no_other("reverse", "0")?;
        let ([channels, rows, columns], stride) = (self.input(section)?, section.count_or("stride", 1)?);
        let fits = [rows, columns].iter().all(|side| side.is_multiple_of(stride));
        if !fits || !channels.is_multiple_of(stride * stride) {
            let message =
                format!("a map of {channels}x{rows}x{columns} has no whole windows of {stride}x{stride}");
            return Err(section.error("stride", message));
        }
        Ok((Layer::Reorg { stride }, Some([channels * stride * stride, rows / stride, columns / stride])))
    }

    fn head(&mut self, section: &Section) -> Result<Head> {
        let region = section.name == "region";
        // What changes the boxes and is not known here.
        section.has_no_other("new_coords", "0")?;
        section.has_no_other("coords", "4")?;
        section.has_no_other("background", "0")?;
        section.has_no_other("tree", "")?;
        let [channels, rows, columns] = self.input(section)?;
        if !matches!(self.layers.last(), Some(Layer::Convolution(_))) {
            return Err(section.error("", "stands behind no [convolutional], whose map it reads"));
        }
        let [_, height, width] = self.image;
        let stride = height / rows;
        if [rows * stride, columns * stride] != [height, width] {
            let message =
                format!("{rows}x{columns} cells are no squares of whole pixels of {height}x{width}");
            return Err(section.error("", message).hint("`height` and `width` of [net] are multiples of 32"));
        }
        let sides = section.listed::<f32>("anchors")?;
        let (anchors, odd) = sides.as_chunks::<2>();
        let num = section.count_or("num", anchors.len())?;
        if !odd.is_empty() || anchors.len() != num {
            let message = format!("{} numbers in `anchors`, where {num} have {}", sides.len(), 2 * num);
            return Err(section.error("anchors", message));
        }
        let masked = section.list::<usize>("mask")?.unwrap_or((0..num).collect());
        // Of a region in cells.
        let unit = if region { stride as f32 } else { 1.0 };
        let masked = masked.iter().map(|index| Some(anchors.get(*index)?.map(|side| side * unit)));
        let anchors = masked.collect::<Option<Vec<_>>>();
        let anchors =
            anchors.ok_or_else(|| section.error("mask", format!("there are {num} anchors, from 0 on")))?;
        let num_classes = section.side("classes")?;
        let expected = anchors.len() * (5 + num_classes);
        if channels != expected {
            let message = format!(
                "the layer before has {channels} filters, where {} anchors of 5 + {num_classes} numbers have {expected}",
                anchors.len()
            );
            return Err(section.error("", message));
        }
        if self.num_classes.is_some_and(|other| other != num_classes) {
            return Err(section.error("classes", "not as many as of the heads before"));
        }
        self.num_classes = Some(num_classes);
        let softmax = region && section.flag("softmax")?;
        let stretch = if region { 1.0 } else { section.decimal_or("scale_x_y", 1.0)? };
        Ok(Head { anchors, stride, softmax, stretch })
    }
}

/// The keys that a layer has, and those of training.
fn only(section: &Section, keys: &[&str]) -> Result<()> {
    section.has_only(&[keys, &TRAINING].concat())
}

fn activation(section: &Section, name: &str) -> Result<Activation> {
    const NAMES: [(&str, Activation); 6] = [
        ("linear", Activation::Linear),
        ("leaky", Activation::Leaky),
        ("relu", Activation::Relu),
        ("mish", Activation::Mish),
        ("logistic", Activation::Logistic),
        ("swish", Activation::Silu),
    ];
    let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation);
    found.ok_or_else(|| {
        let names = NAMES.map(|(name, _)| name).join(", ");
        section.error("activation", "an activation that is not known here").hint(format!("known are {names}"))
    })
}
