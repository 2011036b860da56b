//! Where brightness changes, how fast and which way.

use burn::prelude::*;
use kiln_nn::{Border, Difference, image_gradients};

use super::values::{rows, tensor};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "sobel",
    title: "The Sobel operator",
    summary: "Two kernels that find edges, one for changes along x and one along y, and how they compare with Scharr's and Prewitt's.",
    explain,
};

const SIDE: usize = 32;

/// A bright disc and a bar.
fn scene() -> Tensor<4> {
    let pixel = |at: usize| {
        let (row, column) = ((at / SIDE) as f64 + 0.5, (at % SIDE) as f64 + 0.5);
        let disc = (row - 12.0).hypot(column - 12.0) < 7.5;
        let bar = (22.0..27.0).contains(&row) && (6.0..28.0).contains(&column);
        f64::from(u8::from(disc || bar))
    };
    tensor((0..SIDE * SIDE).map(pixel).collect(), [SIDE, SIDE])
}

fn explain(_seed: u64) -> Page {
    let ramp = tensor([1.0, 2.0, 3.0].repeat(3), [3, 3]);
    let ramp = image_gradients(ramp, Difference::Sobel, Border::Valid);
    let one = |x: Tensor<4>| rows(x)[0][0];
    let mut table = Table::new(
        "The patch of the numbers 1 to 9, row by row: for Sobel, Gx = (3 + 2·6 + 9) − (1 + 2·4 + 7) and Gy = (7 + 2·8 + 9) − (1 + 2·2 + 3)",
        &["operator", "Gx", "Gy", "magnitude", "direction"],
    );
    let operators =
        [("Sobel", Difference::Sobel), ("Scharr", Difference::Scharr), ("Prewitt", Difference::Prewitt)];
    for (name, difference) in operators {
        let patch = tensor((1..=9).map(f64::from).collect(), [3, 3]);
        let found = image_gradients(patch, difference, Border::Valid);
        let degrees = one(found.direction()).to_degrees();
        let [x, y] = [found.x.clone(), found.y.clone()].map(|one_of| format!("{:.0}", one(one_of)));
        table.row(name, [x, y, format!("{:.6}", one(found.magnitude())), format!("{degrees:.2}°")]);
    }

    let image = scene();
    let sobel = image_gradients(image.clone(), Difference::Sobel, Border::Reflect);
    let mut drawing =
        Drawing::new("A disc and a bar, and what the operator finds in them", [420.0, 470.0]).at_most(640.0);
    let parts = [
        ("the image", image),
        ("Gx: vertical edges", sobel.x.clone()),
        ("Gy: horizontal edges", sobel.y.clone()),
        ("magnitude", sobel.magnitude()),
    ];
    for (at, (name, map)) in parts.into_iter().enumerate() {
        let corner = [8.0 + 210.0 * (at % 2) as f64, 30.0 + 232.0 * (at / 2) as f64];
        drawing.text([corner[0], corner[1] - 8.0], Anchor::Start, "name", name);
        let cell = 192.0 / SIDE as f64;
        let values = rows(map);
        let largest = values.iter().flatten().fold(1e-12, |most: f64, one| most.max(one.abs()));
        for (row, list) in values.iter().enumerate() {
            for (column, value) in list.iter().enumerate().filter(|(_, value)| value.abs() > 1e-9) {
                let place = [corner[0] + column as f64 * cell, corner[1] + row as f64 * cell, cell, cell];
                drawing.shade(place, if *value < 0.0 { 2 } else { 1 }, value.abs() / largest);
            }
        }
        drawing.frame([corner[0], corner[1], 192.0, 192.0], "cell");
    }
    let mut kernels = Drawing::new("The two kernels", [420.0, 150.0]).at_most(480.0);
    for (at, (name, kernel)) in ["Gx", "Gy"].into_iter().zip(Difference::Sobel.kernels()).enumerate() {
        let corner = [40.0 + 200.0 * at as f64, 30.0];
        kernels.text([corner[0], 20.0], Anchor::Start, "name strong", name);
        let grid: Vec<Vec<f64>> = kernel.chunks(3).map(<[f64]>::to_vec).collect();
        kernels.grid(corner, 36.0, &grid, Some(0));
    }

    // The experiment: an edge and a wave turned through all angles.
    let mut errors = Table::new(
        "Root mean square error of the direction, in degrees",
        &["operator", "an edge a pixel wide", "a wave of 8 pixels"],
    );
    let mut worst = Vec::new();
    for (name, difference) in operators {
        let mut squares = [0.0f64; 2];
        let angles = 90;
        for angle in 0..angles {
            let angle = f64::from(angle).to_radians() * 360.0 / f64::from(angles);
            let (sin, cos) = angle.sin_cos();
            // An edge through the middle, as wide as a pixel: brightness by the distance to it.
            let edge: Vec<f64> = (0..49)
                .map(|at| {
                    let (x, y) = ((at % 7) as f64 - 3.0, (at / 7) as f64 - 3.0);
                    (x * cos + y * sin + 0.5).clamp(0.0, 1.0)
                })
                .collect();
            let wave: Vec<f64> = (0..49)
                .map(|at| {
                    let (x, y) = ((at % 7) as f64 - 3.0, (at / 7) as f64 - 3.0);
                    ((x * cos + y * sin) * std::f64::consts::TAU / 8.0).sin()
                })
                .collect();
            for (which, image) in [edge, wave].into_iter().enumerate() {
                let image = tensor(image, [7, 7]);
                let middle = image.narrow(2, 2, 3).narrow(3, 2, 3);
                let found = one(image_gradients(middle, difference, Border::Valid).direction());
                let apart = (found - angle + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU)
                    - std::f64::consts::PI;
                squares[which] += apart.to_degrees().powi(2) / f64::from(angles);
            }
        }
        let [edge, wave] = squares.map(f64::sqrt);
        errors.row(name, [edge, wave].map(|error| format!("{error:.3}")));
        worst.push((name, [edge, wave]));
    }
    let best = |which: usize| {
        let least = worst.iter().min_by(|a, b| a.1[which].total_cmp(&b.1[which]));
        least.map(|(name, errors)| (*name, errors[which])).expect("three operators")
    };
    let (edge, wave) = (best(0), best(1));
    Page {
        idea: [
            "The difference between the pixels to the right and to the left of a place tells how fast brightness changes along x; a mean across it (with weights 1, 2, 1) makes it less noisy.",
            "The kernel Gx does both at once and answers to vertical edges; Gy, its transpose, differentiates along y and answers to horizontal ones.",
            "Together they are a vector that points to where it gets brighter, and its length tells how steeply.",
        ],
        formulas: vec![
            formula(r"G_x = \left( \begin{matrix} -1 & 0 & 1 \\ -2 & 0 & 2 \\ -1 & 0 & 1 \end{matrix} \right), \quad G_y = G_x^\top", "Gx = [−1 0 1; −2 0 2; −1 0 1],  Gy = Gxᵀ"),
            formula(r"|G| = \sqrt{G_x^2 + G_y^2}, \quad \theta = \operatorname{atan2}(G_y, G_x)", "|G| = √(Gx² + Gy²),  θ = atan2(Gy, Gx)"),
        ],
        figures: vec![
            Figure {
                name: "kernels".into(),
                caption: "The kernels as they are laid over the image, without being turned over.".into(),
                picture: Picture::Drawing(kernels),
            },
            Figure {
                name: "edges".into(),
                caption: "Blue is positive, orange negative; the border is mirrored (OpenCV's default), so that no edge appears around the image.".into(),
                picture: Picture::Drawing(drawing),
            },
        ],
        tables: vec![table],
        experiment: Experiment {
            question: "Which operator knows the direction best?".into(),
            method: "An edge through the middle, over which brightness rises from 0 to 1 within a pixel, and a sine wave of 8 pixels are turned to 90 angles, and the angle that is found is compared with the true one. The two were chosen because they disagree: no operator is best on every image.".into(),
            result: format!(
                "At the edge {} comes nearest, off by {:.3}° (the root of the mean square), on the wave {}, off by {:.3}°. A ramp that gets brighter by 1 a pixel along x gives Sobel's Gx a value of {:.0}, \
                 by which the numbers are divided where the slope itself is wanted.",
                edge.0,
                edge.1,
                wave.0,
                wave.1,
                one(ramp.x)
            ),
            figures: Vec::new(),
            tables: vec![errors],
        },
        code: vec!["crates/nn/src/image/mod.rs: image_gradients, Difference, Border"],
        tests: vec![
            "crates/nn/tests/edges.rs: a_patch_of_one_to_nine_has_the_worked_gradients",
            "crates/nn/tests/edges.rs: every_border_is_opencvs",
        ],
        sources: vec![
            [
                "Sobel 2014, An isotropic 3x3 image gradient operator (of 1968)",
                "https://www.researchgate.net/publication/239398674_An_Isotropic_3x3_Image_Gradient_Operator",
            ],
            [
                "Scharr 2000, Optimale Operatoren in der digitalen Bildverarbeitung (optimal operators in digital image processing)",
                "https://archiv.ub.uni-heidelberg.de/volltextserver/962/",
            ],
        ],
    }
}
