//! Networks of Darknet cfgs, beside those of the registry, which are written without a cfg and agree with Darknet's own answers.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};
use kiln_core::{Network, learnable_parameters};
use kiln_zoo::{Detector, Entry, Kind, StateDict, find, find_or_read, load, load_backbone, save};

/// A cfg of layers, a word and its numbers each: `conv FILTERS SIZE STRIDE ACTIVATION`, `out FILTERS`, `max SIZE STRIDE`,
/// `route LAYERS`, `half LAYER` (the second of two groups), `add LAYER`, `up`, `reorg`, `region`, `yolo MASK STRETCH`.
fn cfg(side: usize, anchors: &str, classes: usize, layers: &str) -> String {
    let num = anchors.split(',').count() / 2;
    let head = format!("anchors={anchors}\nclasses={classes}\nnum={num}");
    let mut text = format!("[net]\nheight={side}\nwidth={side}\nchannels=3\nmomentum=0.9\n");
    for layer in
        layers.lines().flat_map(|line| line.split('|')).map(str::trim).filter(|layer| !layer.is_empty())
    {
        let words: Vec<&str> = layer.split(' ').collect();
        text += &match words[..] {
            ["conv", filters, size, stride, activation] => format!(
                "[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation={activation}"
            ),
            ["out", filters] => {
                format!("[convolutional]\nsize=1\nstride=1\npad=1\nfilters={filters}\nactivation=linear")
            }
            ["max", size, stride] => format!("[maxpool]\nsize={size}\nstride={stride}"),
            ["route", layers] => format!("[route]\nlayers={layers}"),
            ["half", layer] => format!("[route]\nlayers={layer}\ngroups=2\ngroup_id=1"),
            ["add", layer] => format!("[shortcut]\nfrom={layer}\nactivation=linear"),
            ["up"] => "[upsample]\nstride=2".to_string(),
            ["reorg"] => "[reorg]\nstride=2".to_string(),
            ["region"] => format!("[region]\n{head}\ncoords=4\nsoftmax=1\njitter=.2\nrescore=1"),
            ["yolo", mask, stretch] => {
                format!("[yolo]\nmask={mask}\n{head}\nscale_x_y={stretch}\nignore_thresh=.7")
            }
            _ => panic!("{layer}"),
        };
        text.push('\n');
    }
    text
}

const TINY: &str = "
    conv 16 3 1 leaky | max 2 2 | conv 32 3 1 leaky | max 2 2 | conv 64 3 1 leaky | max 2 2 | conv 128 3 1 leaky | max 2 2
    conv 256 3 1 leaky | max 2 2 | conv 512 3 1 leaky | max 2 1 | conv 1024 3 1 leaky";

const V2_TINY: &str = "conv 512 3 1 leaky | out 425 | region";

const V2_VOC: &str = "
    conv 32 3 1 leaky | max 2 2 | conv 64 3 1 leaky | max 2 2 | conv 128 3 1 leaky | conv 64 1 1 leaky | conv 128 3 1 leaky
    max 2 2 | conv 256 3 1 leaky | conv 128 1 1 leaky | conv 256 3 1 leaky | max 2 2
    conv 512 3 1 leaky | conv 256 1 1 leaky | conv 512 3 1 leaky | conv 256 1 1 leaky | conv 512 3 1 leaky | max 2 2
    conv 1024 3 1 leaky | conv 512 1 1 leaky | conv 1024 3 1 leaky | conv 512 1 1 leaky | conv 1024 3 1 leaky
    conv 1024 3 1 leaky | conv 1024 3 1 leaky | route -9 | conv 64 1 1 leaky | reorg | route -1,-4
    conv 1024 3 1 leaky | out 125 | region";

const V3_TINY: &str = "
    conv 256 1 1 leaky | conv 512 3 1 leaky | out 255 | yolo 3,4,5 1
    route -4 | conv 128 1 1 leaky | up | route -1,8 | conv 256 3 1 leaky | out 255 | yolo 0,1,2 1";

const V4_TINY: &str = "
    conv 32 3 2 leaky
    conv 64 3 2 leaky | conv 64 3 1 leaky | half -1 | conv 32 3 1 leaky | conv 32 3 1 leaky | route -1,-2 | conv 64 1 1 leaky
    route -6,-1 | max 2 2
    conv 128 3 1 leaky | half -1 | conv 64 3 1 leaky | conv 64 3 1 leaky | route -1,-2 | conv 128 1 1 leaky
    route -6,-1 | max 2 2
    conv 256 3 1 leaky | half -1 | conv 128 3 1 leaky | conv 128 3 1 leaky | route -1,-2 | conv 256 1 1 leaky
    route -6,-1 | max 2 2
    conv 512 3 1 leaky | conv 256 1 1 leaky | conv 512 3 1 leaky | out 255 | yolo 3,4,5 1.05
    route -4 | conv 128 1 1 leaky | up | route -1,23 | conv 256 3 1 leaky | out 255 | yolo 1,2,3 1.05";

/// CSPDarknet-53: channels, residual blocks, and how wide the ways of a stage are.
fn v4() -> String {
    let mut layers = "conv 32 3 1 mish\n".to_string();
    for (channels, blocks, way) in [(64, 1, 64), (128, 2, 64), (256, 8, 128), (512, 8, 256), (1024, 4, 512)] {
        let inside = channels / 2;
        layers +=
            &format!("conv {channels} 3 2 mish | conv {way} 1 1 mish | route -2 | conv {way} 1 1 mish\n");
        layers += &format!("conv {inside} 1 1 mish | conv {way} 3 1 mish | add -3\n").repeat(blocks);
        let past = 3 * blocks + 4;
        layers += &format!("conv {way} 1 1 mish | route -1,-{past} | conv {channels} 1 1 mish\n");
    }
    let five = |width: usize| {
        let (narrow, wide) = (format!("conv {width} 1 1 leaky\n"), format!("conv {} 3 1 leaky\n", 2 * width));
        [&narrow, &wide, &narrow, &wide, &narrow].map(String::as_str).concat()
    };
    let head = |width: usize, rest: &str| format!("conv {width} 3 1 leaky | out 255 | yolo {rest}\n");
    let three = "conv 512 1 1 leaky | conv 1024 3 1 leaky | conv 512 1 1 leaky\n";
    let pools = "max 5 1 | route -2 | max 9 1 | route -4 | max 13 1 | route -1,-3,-5,-6\n";
    let up = |width: usize, skip: usize| {
        format!("conv {width} 1 1 leaky | up | route {skip} | conv {width} 1 1 leaky | route -1,-3\n")
    };
    let parts = [
        three.to_string(),
        pools.to_string(),
        three.to_string(),
        up(256, 85) + &five(256),
        up(128, 54) + &five(128),
        head(256, "0,1,2 1.2"),
        "route -4 | conv 256 3 2 leaky | route -1,-16\n".to_string() + &five(256),
        head(512, "3,4,5 1.1"),
        "route -4 | conv 512 3 2 leaky | route -1,-37\n".to_string() + &five(512),
        head(1024, "6,7,8 1.05"),
    ];
    layers + &parts.concat()
}

const PRIORS: &str = "0.57273,0.677385, 1.87446,2.06253, 3.33843,5.47434, 7.88282,3.52778, 9.77052,9.16828";
const VOC: &str = "1.3221,1.73145, 3.19275,4.00944, 5.05587,8.09892, 9.47112,4.84053, 11.2364,10.0071";
const SMALL: &str = "10,14,  23,27,  37,58,  81,82,  135,169,  344,319";
const LARGE: &str = "12,16, 19,36, 40,28, 36,75, 76,55, 72,146, 142,110, 192,243, 459,401";

fn entry_of(folder: &Path, text: &str) -> Entry {
    let file = folder.join("network.cfg");
    std::fs::write(&file, text).unwrap();
    find_or_read(file.to_str().unwrap()).unwrap()
}

/// Weights of a model as a Darknet file, its normalizations' numbers none of those they begin with.
fn weights(entry: &Entry, network: &Detector, folder: &Path) -> StateDict {
    let (plain, file) = (folder.join("w.safetensors"), folder.join("w.weights"));
    save(network, None, &plain).unwrap();
    let mut dict = StateDict::read(&plain).unwrap();
    let mut count = 0u32;
    for (name, (shape, values)) in &mut dict.tensors {
        for value in values.iter_mut().filter(|_| shape.len() == 1) {
            count += 1;
            // Between 0 and 1, as good as any.
            let u = (f64::from(count) * 0.618_034).fract() as f32;
            *value = match name.rsplit('.').next() {
                Some("running_var" | "weight") => 0.5 + u,
                _ => (u - 0.5) * 0.2,
            };
        }
    }
    dict.write_darknet(network, &file).unwrap();
    assert_eq!(entry.kind(), Kind::Detector);
    StateDict::read(&file).unwrap()
}

#[test]
fn a_cfg_is_the_network_of_the_registry_that_it_describes() {
    let device = Device::flex();
    device.seed(1);
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        ("yolov2-tiny", 416, cfg(416, PRIORS, 80, &format!("{TINY}\n{V2_TINY}"))),
        ("yolov2-voc", 416, cfg(416, VOC, 20, V2_VOC)),
        ("yolov3-tiny", 416, cfg(416, SMALL, 80, &format!("{TINY}\n{V3_TINY}"))),
        ("yolov4-tiny", 416, cfg(416, SMALL, 80, V4_TINY)),
        ("yolov4", 608, cfg(608, LARGE, 80, &v4())),
    ];
    for (name, side, text) in rows {
        let (built_in, read) = (find(name).unwrap(), entry_of(folder.path(), &text));
        assert_eq!((read.params, read.num_classes()), (built_in.params, built_in.num_classes()), "{name}");
        assert_eq!(read.input(), [1, 3, side, side], "{name}");
        let expected = built_in.detector(read.num_classes(), &device).unwrap();
        let file = folder.path().join("w.weights");
        let dict = weights(built_in, &expected, folder.path());
        let expected = load(expected, built_in, dict.clone(), &file).unwrap();
        let ours = read.detector(read.num_classes(), &device).unwrap();
        assert_eq!(learnable_parameters(&ours), built_in.params, "{name}");
        let ours = load(ours, &read, dict, &file).unwrap();

        let images = Tensor::random([1, 3, 96, 64], Distribution::Default, &device);
        let (ours, expected) = (ours.forward(images.clone()), expected.forward(images));
        assert_eq!(ours.levels.len(), expected.levels.len(), "{name}");
        let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-5);
        for (ours, expected) in ours.levels.iter().zip(&expected.levels) {
            assert_eq!((ours.stride, &ours.anchors), (expected.stride, &expected.anchors), "{name}");
            ours.map.to_data().assert_approx_eq(&expected.map.to_data(), tolerance);
        }
        ours.boxes.into_data().assert_approx_eq(&expected.boxes.into_data(), tolerance);
        ours.scores.into_data().assert_approx_eq(&expected.scores.into_data(), tolerance);
    }
}

#[test]
fn of_another_number_of_classes_the_heads_are_fresh() {
    let (device, folder) = (Device::flex(), tempfile::tempdir().unwrap());
    let entry = entry_of(folder.path(), &cfg(416, SMALL, 80, &format!("{TINY}\n{V3_TINY}")));
    let file = folder.path().join("w.safetensors");
    save(&entry.detector(80, &device).unwrap(), None, &file).unwrap();
    let dict = StateDict::read(&file).unwrap();
    assert_eq!(dict.classes(&entry), Some(80));
    let seven = entry.detector(7, &device).unwrap();
    let said = seven.forward(Tensor::zeros([1, 3, 64, 64], &device));
    // 3 (2² + 4²) predictions.
    assert_eq!(said.scores.dims(), [1, 60, 7]);
    let (_, fresh) = load_backbone(seven, &entry, dict, &file).unwrap();
    let outputs =
        ["layers.15.conv.bias", "layers.15.conv.weight", "layers.22.conv.bias", "layers.22.conv.weight"];
    assert_eq!(fresh, outputs);
}

#[test]
fn a_published_cfg_and_its_weights_fit_each_other_to_the_last_number() {
    let mut places = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(folder) =
        places.find_map(|place| Some(place.join("shared/data/weights/yolo-lite")).filter(|at| at.is_dir()))
    else {
        println!("skipped: shared/data/weights/yolo-lite is not there");
        return;
    };
    let (cfg, file) = (folder.join("coco-trial6.cfg"), folder.join("trial6_653550.weights"));
    let entry = find_or_read(cfg.to_str().unwrap()).unwrap();
    // Seven convolutions with biases: (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128 + 128 * 128 + 128 * 256) * 9 + 256 * 425, and
    // 16 + 32 + 64 + 128 + 128 + 256 + 425.
    assert_eq!((entry.params, entry.num_classes(), entry.input()), (649_417, 80, [1, 3, 224, 224]));
    let dict = StateDict::read(&file).unwrap();
    let network = load(entry.detector(80, &Device::flex()).unwrap(), &entry, dict, &file).unwrap();
    let said = network.forward(Tensor::zeros([1, 3, 224, 224], &Device::flex()));
    // Five in each of 7 * 7 cells of 32 pixels.
    assert_eq!((said.scores.dims(), said.levels[0].stride), ([1, 245, 80], 32));
}

#[test]
fn what_is_no_model_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    std::fs::write(path("bad.cfg"), "[net]\nwidth=416\nheight=4I6\n").unwrap();
    std::fs::write(path("weights.cfg"), [0u8, 0xFF, 1]).unwrap();
    let rows = [
        (path("none.cfg"), "none.cfg: no such file"),
        (path("bad.cfg"), "bad.cfg: line 3: [net]: `height=4I6`, where a number from 1 to 16384 is expected"),
        (path("weights.cfg"), "weights.cfg: no Darknet cfg: no text"),
        ("yolov3-tny".to_string(), "unknown model `yolov3-tny`; did you mean `yolov3-tiny`?"),
    ];
    for (model, expected) in rows {
        let line = find_or_read(&model).unwrap_err().to_string();
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
    assert_eq!(find_or_read("yolov3-tiny").unwrap().params, 8_852_366);
}
