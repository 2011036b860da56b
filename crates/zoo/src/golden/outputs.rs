//! What detectors and segmenters say, by the names that their references have for it.

use burn::prelude::*;
use burn::tensor::activation::sigmoid;
use kiln_core::{Level, Network};

use super::Named;
use crate::{Detector, Segmenter};

/// What a segmenter says, as torchvision names it.
pub fn labels(network: &Segmenter, images: Tensor<4>) -> Vec<Named> {
    let said = network.forward_train(images);
    let all = [said.main].into_iter().chain(said.auxiliary).zip(["out.out", "out.aux"]);
    all.map(|(x, name)| (name.to_string(), x.dims().to_vec(), x.into_data())).collect()
}

/// What a detector says, as its reference names it: YOLO v5's and v8's in PyTorch, the others' in Darknet.
pub fn outputs(network: &Detector, images: Tensor<4>, name: &str) -> Vec<Named> {
    let named = |name: String, shape: Vec<usize>, data: TensorData| (name, shape, data);
    let of4 = |name: String, x: Tensor<4>| named(name, x.dims().to_vec(), x.into_data());
    let of3 = |name: &str, x: Tensor<3>| named(name.to_string(), x.dims().to_vec(), x.into_data());
    let said = network.forward(images.clone());
    let centres = |boxes: Tensor<3>| {
        let [low, high] = [boxes.clone().narrow(2, 0, 2), boxes.narrow(2, 2, 2)];
        Tensor::cat(vec![(low.clone() + high.clone()) / 2.0, high - low], 2)
    };
    match network {
        Detector::YoloV5(_) => {
            let by_anchor = |level: &Level| level.by_anchor().permute([0, 1, 3, 4, 2]);
            let each = said.levels.iter().enumerate().map(|(index, level)| {
                let map = by_anchor(level);
                named(format!("out.1.{index}"), map.dims().to_vec(), map.into_data())
            });
            let rows = said.levels.iter().map(|level| {
                let map = by_anchor(level);
                let [batch, anchors, rows, columns, channels] = map.dims();
                sigmoid(map.reshape([batch, anchors * rows * columns, channels]).narrow(2, 4, channels - 4))
            });
            let all = Tensor::cat(vec![centres(said.boxes.clone()), Tensor::cat(rows.collect(), 1)], 2);
            [of3("out.0", all)].into_iter().chain(each).collect()
        }
        Detector::YoloV8(inner) => {
            let all = Tensor::cat(vec![centres(said.boxes), said.scores], 2).swap_dims(1, 2);
            let flat = |level: &Level, from: usize, count: usize| {
                let [batch, _, rows, columns] = level.map.dims();
                level.map.clone().narrow(1, from, count).reshape([batch, count, rows * columns])
            };
            let sides = 4 * kiln_yolo::BINS;
            let part = |from: usize, count: usize| {
                Tensor::cat(said.levels.iter().map(|level| flat(level, from, count)).collect(), 2)
            };
            let classes = said.levels[0].map.dims()[1] - sides;
            let features = inner.features(images).into_iter().enumerate();
            let features = features.map(|(index, x)| of4(format!("out.1.feats.{index}"), x));
            let fixed = [
                of3("out.0", all),
                of3("out.1.boxes", part(0, sides)),
                of3("out.1.scores", part(sides, classes)),
            ];
            fixed.into_iter().chain(features).collect()
        }
        Detector::YoloV1(inner) => {
            let raw = inner.raw(images);
            heads(name)
                .iter()
                .map(|index| named(index.to_string(), raw.dims().to_vec(), raw.to_data()))
                .collect()
        }
        _ => {
            let each = said.levels.iter().zip(heads(name)).scan(0, |first, (level, index)| {
                let count = level.anchors.len() * level.grid().iter().product::<usize>();
                let boxes = centres(said.boxes.clone().narrow(1, *first, count));
                *first += count;
                let raw = of4(index.to_string(), level.map.clone());
                Some([raw, of4((index + 1).to_string(), head(level, boxes))])
            });
            each.flatten().collect()
        }
    }
}

/// A level as Darknet's YOLO layer leaves it: x and y in cells from their own, width and height as they are, a logistic of all
/// else.
fn head(level: &Level, centres: Tensor<3>) -> Tensor<4> {
    let maps = level.by_anchor();
    let [batch, anchors, channels, rows, columns] = maps.dims();
    let [column, row] = level.cells();
    let place = |side: usize, cell: Tensor<4>| {
        let place = centres.clone().narrow(2, side, 1).reshape([batch, anchors, rows, columns]);
        (place / level.stride as f64 - cell).unsqueeze_dim::<5>(2)
    };
    let rest = sigmoid(maps.clone().narrow(2, 4, channels - 4));
    let all = vec![place(0, column), place(1, row), maps.narrow(2, 2, 2), rest];
    Tensor::cat(all, 2).reshape([batch, anchors * channels, rows, columns])
}

/// The indices in their cfg of the layers without a normalization.
pub const PLAIN: [(&str, &[usize]); 11] = [
    ("yolov1", &[28, 30]),
    ("yolov1-tiny", &[14]),
    ("yolov2", &[30]),
    ("yolov2-voc", &[30]),
    ("yolov2-tiny", &[14]),
    ("yolov2-tiny-voc", &[14]),
    ("yolov3", &[81, 93, 105]),
    ("yolov3-spp", &[88, 100, 112]),
    ("yolov3-tiny", &[15, 22]),
    ("yolov4", &[138, 149, 160]),
    ("yolov4-tiny", &[29, 36]),
];

/// The indices of the last layers in the order of our levels, the finest first.
fn heads(name: &str) -> Vec<usize> {
    let plain = PLAIN.iter().find(|(other, _)| *other == name).map_or(&[][..], |(_, plain)| plain);
    match name {
        "yolov1" => vec![30],
        // v4 goes down before it goes up again.
        "yolov4" => plain.to_vec(),
        _ => plain.iter().rev().copied().collect(),
    }
}
