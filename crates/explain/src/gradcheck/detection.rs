//! Losses of detectors: of a head's maps, and of the boxes that are decoded of them.
//!
//! The two are apart, so that one can stand still: what boxes are to be learned, which of the predictions learn them, how surely, and the
//! overlap that a confidence is to be are computed of the boxes, and are constants for the gradients. So is CIoU's weight, which is nothing
//! where a box has the aspect of its object.

use burn::module::Param;
use burn::prelude::*;
use kiln_core::{Batch, BoundingBox, Level, Object, Overlap, Predictions, Task, Truth};
use kiln_tasks::{DetectionLoss, ObjectDetection, Selection, overlap_of_rows};

use super::{Check, Group, check, check_held, input};

/// The side of the images.
const SIDE: usize = 64;
const NUM_CLASSES: usize = 2;
/// The two objects of the first image and the one of the second: centre, width, class. All are half as high again as wide.
const OBJECTS: [&[([f32; 2], f32, usize)]; 2] =
    [&[([18.3, 15.1], 19.7, 1), ([46.2, 49.4], 20.9, 0)], &[([14.6, 46.7], 18.1, 0)]];

fn edges([x, y]: [f32; 2], width: f32) -> BoundingBox {
    BoundingBox::from_cxcywh([x, y, width, 1.5 * width])
}

fn batch(device: &Device) -> Batch {
    let object = |(centre, width, class): &([f32; 2], f32, usize)| Object {
        class: *class,
        bounding_box: edges(*centre, *width),
        mask: None,
        keypoints: Vec::new(),
        crowd: false,
        difficult: false,
    };
    let truth = |objects: &[_]| Truth { objects: objects.iter().map(object).collect(), ..Truth::default() };
    Batch {
        images: Tensor::zeros([2, 3, SIDE, SIDE], device),
        truths: OBJECTS.iter().map(|objects| truth(objects)).collect(),
        indices: vec![0, 1],
    }
}

/// What a version's head gives: strides, and the anchors of each; the channels of an anchor.
struct Head {
    loss: DetectionLoss,
    levels: &'static [Stride],
    channels: usize,
    boxes_a_cell: usize,
}

/// A stride, and the anchors that predictions start from.
type Stride = (usize, &'static [[f32; 2]]);

const ANCHORED: [Stride; 2] = [(16, &[[12.0, 16.0], [18.0, 32.0]]), (32, &[[24.0, 26.0], [30.0, 45.0]])];
const WITHOUT_ANCHORS: [Stride; 1] = [(32, &[])];

impl Head {
    fn of(loss: DetectionLoss) -> Self {
        let (levels, channels, boxes_a_cell): (&[Stride], _, _) = match loss {
            DetectionLoss::YoloV1 => (&WITHOUT_ANCHORS, NUM_CLASSES + 2 * 5, 2),
            DetectionLoss::YoloV2 => (&ANCHORED[1..], 5 + NUM_CLASSES, 1),
            DetectionLoss::YoloV3 | DetectionLoss::YoloV4 | DetectionLoss::YoloV5 => {
                (&ANCHORED, 5 + NUM_CLASSES, 1)
            }
            // 16 distances for each side of a box.
            DetectionLoss::YoloV8 => (&WITHOUT_ANCHORS, 4 * 16 + NUM_CLASSES, 1),
        };
        Self { loss, levels, channels, boxes_a_cell }
    }

    fn shapes(&self) -> impl Iterator<Item = [usize; 4]> {
        let of_level = |(stride, anchors): &Stride| {
            [2, self.channels * anchors.len().max(1), SIDE / stride, SIDE / stride]
        };
        self.levels.iter().map(of_level)
    }

    /// A box a prediction, each near the middle of its cell, of the aspect that objects have; none is quite like another.
    fn boxes(&self) -> TensorData {
        let of_image = |image: usize| {
            self.levels.iter().flat_map(move |(stride, anchors)| {
                let cells = SIDE / stride;
                (0..anchors.len().max(self.boxes_a_cell) * cells * cells).flat_map(move |at| {
                    let middle =
                        |place: usize| (place as f32 + 0.5) * *stride as f32 + 0.37 * (at % 5) as f32;
                    let centre = [middle(at % cells), middle(at / cells % cells)];
                    edges(centre, 16.0 + 0.53 * ((at + 3 * image) % 7) as f32).xyxy()
                })
            })
        };
        let rows: Vec<f32> = (0..2).flat_map(of_image).collect();
        let count = rows.len() / 8;
        TensorData::new(rows, [2, count, 4])
    }

    /// The parts of the loss that are asked for, summed.
    fn cost(&self, maps: Vec<Tensor<4>>, boxes: Tensor<3>, parts: &[&str]) -> Tensor<1> {
        let [_, count, _] = boxes.dims();
        let batch = batch(&maps[0].device());
        let level = |((stride, anchors), map): (&Stride, Tensor<4>)| Level {
            map,
            stride: *stride,
            anchors: anchors.to_vec(),
        };
        let predictions = Predictions {
            levels: self.levels.iter().zip(maps).map(level).collect(),
            boxes,
            scores: Tensor::full([2, count, NUM_CLASSES], 0.5, &batch.images.device()),
        };
        let selection = Selection::default();
        let task = ObjectDetection { num_classes: NUM_CLASSES, loss: self.loss, selection };
        let losses = task.loss(predictions, &batch);
        let asked = losses.parts().iter().filter(|(name, _)| parts.contains(name));
        asked.map(|(_, part)| part.clone()).reduce(|sum, part| sum + part).expect("a part of the loss")
    }
}

/// By a head's maps; the boxes stand still.
fn of_maps(name: &str, loss: DetectionLoss, parts: &'static [&str]) -> Check {
    Check::new(Group::Loss, name, move |device| {
        let head = Head::of(loss);
        let maps: Vec<_> = head.shapes().map(|sides| input(sides, device)).collect();
        check(maps, device, |maps| {
            let like = (&maps[0].val().device(), maps[0].val().dtype());
            head.cost(maps.iter().map(Param::val).collect(), Tensor::from_data(head.boxes(), like), parts)
        })
    })
}

fn of_boxes(head: &Head, boxes: &Param<Tensor<3>>) -> Tensor<1> {
    let like = (&boxes.val().device(), boxes.val().dtype());
    head.cost(head.shapes().map(|sides| Tensor::zeros(sides, like)).collect(), boxes.val(), &["box"])
}

pub(super) fn detectors() -> Vec<Check> {
    let versions = [
        ("yolo-v1", DetectionLoss::YoloV1),
        ("yolo-v2", DetectionLoss::YoloV2),
        ("yolo-v3", DetectionLoss::YoloV3),
        ("yolo-v4", DetectionLoss::YoloV4),
        ("yolo-v5", DetectionLoss::YoloV5),
        ("yolo-v8", DetectionLoss::YoloV8),
    ];
    let mut all: Vec<Check> = versions
        .map(|(name, loss)| of_maps(name, loss, &["place", "object", "nothing", "classes", "sides"]))
        .into();
    all.push(of_maps("distribution-focal", DetectionLoss::YoloV8, &["sides"]));
    for (name, loss) in [("yolo-v4-boxes", DetectionLoss::YoloV4), ("yolo-v5-boxes", DetectionLoss::YoloV5)] {
        all.push(Check::new(Group::Loss, name, move |device| {
            let head = Head::of(loss);
            check(Param::from_data(head.boxes(), device), device, |boxes| of_boxes(&head, boxes))
        }));
    }
    all.push(Check::new(Group::Loss, "yolo-v8-boxes", |device| {
        let head = Head::of(DetectionLoss::YoloV8);
        // In each object lies the middle of one cell, and what that one counts is its overlap.
        let overlaps = |boxes: &Param<Tensor<3>>| {
            let boxes = boxes.val().reshape([-1, 4]);
            let cells = Tensor::<1, Int>::from_data([0, 3, 6], &boxes.device());
            let objects = OBJECTS.concat().into_iter().map(|(centre, width, _)| edges(centre, width).xyxy());
            let objects = TensorData::new(objects.flatten().collect::<Vec<f32>>(), [3, 4]);
            let objects = Tensor::from_data(objects, (&boxes.device(), boxes.dtype()));
            overlap_of_rows(Overlap::Ciou, boxes.select(0, cells), objects)
        };
        let held = |moved: &_, still: &_| {
            let counts = overlaps(still);
            ((overlaps(moved).neg() + 1.0) * counts.clone()).sum() / counts.sum() * 7.5
        };
        check_held(Param::from_data(head.boxes(), device), device, |boxes| of_boxes(&head, boxes), held)
    }));
    all
}
