//! Larger maps from smaller ones.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_data::{Dataset, Shapes, ShapesConfig};
use kiln_nn::*;

use super::values::{flat, rows, tensor};
use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "upsampling",
    title: "Upsampling and unpooling",
    summary: "A map twice as large, without weights: nearest, bilinear with edges or centres kept, unpooled, by pixel shuffle.",
    explain,
};

const SIDE: usize = 32;

type Way = (&'static str, fn(Tensor<4>) -> Tensor<4>);

fn doubled(x: Tensor<4>, corners: Corners) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    bilinear(x, [2 * height, 2 * width], corners)
}

const WAYS: [Way; 3] = [
    ("nearest", |x| nearest(x, 2)),
    ("bilinear, edges stay", |x| doubled(x, Corners::Edges)),
    ("bilinear, centres stay", |x| doubled(x, Corners::Centres)),
];

fn grid(name: &str, values: &[Vec<f64>], largest: f64, decimals: usize) -> (String, Drawing) {
    let cell = 160.0 / values.len() as f64;
    let mut drawing = Drawing::new(format!("A map, {name}"), [162.0, 162.0]).at_most(220.0);
    let decimals = (values.len() <= 4).then_some(decimals);
    drawing.grid_of([1.0, 1.0], cell, values, decimals, largest);
    (name.into(), drawing)
}

fn root_mean_square(a: Tensor<4>, b: Tensor<4>) -> f64 {
    (a - b).square().mean().sqrt().into_scalar()
}

fn explain(seed: u64) -> Page {
    let mut row = Table::new(
        "The row 1, 2, 3, 4 twice as long. Edges stay: align_corners = false; centres stay: align_corners = true",
        &["way", "1", "2", "3", "4", "5", "6", "7", "8"],
    );
    // Rows of all alike, of which one well inside is shown.
    let line = tensor([1.0, 2.0, 3.0, 4.0].repeat(4), [4, 4]);
    for (name, way) in WAYS {
        row.row(name, rows(way(line.clone()))[3].iter().map(|one| format!("{one:.4}")));
    }

    let small =
        tensor(vec![1.0, 6.0, 2.0, 3.0, 5.0, 4.0, 8.0, 1.0, 2.0, 0.0, 7.0, 9.0, 3.0, 4.0, 5.0, 6.0], [4, 4]);
    let pool = max_pool(2, 2).init();
    let (pooled, places) = pool.forward_with_places(small.clone());
    let unpooled = max_unpool(pooled.clone(), places, [4, 4]);
    let mut pictures = vec![
        grid("before the pool", &rows(small), 9.0, 0),
        grid("pooled: the maxima", &rows(pooled.clone()), 9.0, 0),
        grid("unpooled: where they were", &rows(unpooled), 9.0, 0),
    ];
    for (name, way) in WAYS {
        let decimals = if name.starts_with("nearest") { 0 } else { 2 };
        pictures.push(grid(name, &rows(way(pooled.clone())), 9.0, decimals));
    }
    let channels: Vec<f64> = (0..16).map(|at| f64::from(at / 4 + 1)).collect();
    let channels =
        Tensor::<4>::from_data(TensorData::new(channels, [1, 4, 2, 2]), (&Device::flex(), DType::F64));
    pictures.push(grid("pixel shuffle: channels 1 to 4", &rows(pixel_shuffle(channels, 2)), 4.0, 0));

    // The experiment: images halved and doubled again.
    const IMAGES: usize = 100;
    let shapes = Shapes::new(ShapesConfig::new("explained", IMAGES, seed).with_size(SIDE))
        .expect("a size that `shapes` has");
    let image = |index: usize| {
        let image = shapes.get(index).expect("`shapes` reads no file").image;
        tensor(
            image
                .pixels()
                .map(|pixel| pixel.0.iter().map(|one| f64::from(*one)).sum::<f64>() / 765.0)
                .collect(),
            [SIDE, SIDE],
        )
    };
    let mean = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    let mut errors = vec![[0.0; 2]; WAYS.len() + 1];
    let (mut brighter, mut of_channels) = (0.0, 0.0);
    for index in 0..IMAGES {
        let x = image(index);
        let (largest, places) = pool.forward_with_places(x.clone());
        let small = [mean.forward(x.clone()), largest.clone()];
        for (error, (_, way)) in errors.iter_mut().zip(WAYS) {
            for (sum, small) in error.iter_mut().zip(&small) {
                *sum += root_mean_square(way(small.clone()), x.clone()) / IMAGES as f64;
            }
        }
        brighter += flat(largest.clone().mean() - x.clone().mean())[0] / IMAGES as f64;
        let shuffled = pixel_shuffle(pixel_unshuffle(x.clone(), 2), 2);
        of_channels += root_mean_square(shuffled, x.clone()) / IMAGES as f64;
        errors[WAYS.len()][1] +=
            root_mean_square(max_unpool(largest, places, [SIDE, SIDE]), x) / IMAGES as f64;
    }
    let mut table = Table::new(
        "Root mean square error after halving and doubling, of brightness from 0 to 1",
        &["way back", "from means", "from maxima"],
    );
    for ((name, _), error) in WAYS.iter().zip(&errors) {
        table.row(*name, error.map(|one| format!("{one:.4}")));
    }
    table.row("unpooling", ["–".to_string(), format!("{:.4}", errors[WAYS.len()][1])]);
    let best = WAYS.iter().zip(&errors).min_by(|a, b| a.1[0].total_cmp(&b.1[0])).expect("three ways");
    Page {
        idea: [
            "A network that labels pixels makes its maps small to see far, and then has to make them large again.",
            "Repeating and interpolating are fixed rules, and a pixel shuffle lays channels side by side as pixels; a transposed convolution, which has a page of its own, learns its rule.",
            "Unpooling puts each value back where the max pool found it and leaves the rest zero, for convolutions to fill in, so that places are kept.",
        ],
        formulas: vec![
            formula(r"\text{edges: } x_i = \frac{(i + 0.5)\, n}{N} - 0.5, \quad \text{centres: } x_i = \frac{i (n - 1)}{N - 1}", "of n pixels N: the i-th is at (i + 0.5) n / N − 0.5 (edges stay) or i (n − 1) / (N − 1) (centres of the corner pixels stay)"),
            formula(r"\text{pixel shuffle: } y_{c,\, f i + a,\, f j + b} = x_{c f^2 + a f + b,\, i,\, j}", "pixel shuffle by f: y[c, f i + a, f j + b] = x[c f² + a f + b, i, j]"),
        ],
        figures: vec![Figure {
            name: "ways".into(),
            caption: "A map of 4 by 4, what a max pool of 2 by 2 makes of it, and the ways back from that; at the end four channels of 2 by 2 (all ones, all twos, …) as one map.".into(),
            picture: Picture::Small(pictures),
        }],
        tables: vec![row],
        experiment: Experiment {
            question: "How much comes back?".into(),
            method: format!("{IMAGES} grey images of “shapes”, of {SIDE} by {SIDE} pixels, are halved, by means and by maxima of 2 by 2 pixels, and doubled again."),
            result: format!(
                "From means “{}” comes nearest (off by {:.4}). Maxima are brighter than the images (by {brighter:.3}), so that what is interpolated between them is too bright; unpooling, which leaves three of four pixels black, is off by {:.4}: it keeps places, not brightness, and is made for the convolutions behind it. \
                 A pixel shuffle of four channels, each with one pixel of every square, is off by {of_channels}: it moves numbers and loses none.",
                best.0.0,
                best.1[0],
                errors[WAYS.len()][1]
            ),
            figures: Vec::new(),
            tables: vec![table],
        },
        code: vec!["crates/nn/src/resize: nearest, bilinear, Corners, pixel_shuffle", "crates/nn/src/pool/unpool.rs: max_unpool"],
        tests: vec![
            "crates/nn/tests/resizing.rs: bilinear_resizing_is_pytorchs",
            "crates/nn/tests/resizing.rs: unpooling_puts_values_where_the_maxima_were",
            "crates/nn/tests/resizing.rs: channels_become_squares_of_pixels_and_back",
        ],
        sources: vec![
            ["Zeiler and Fergus 2014, Visualizing and understanding convolutional networks", "https://arxiv.org/abs/1311.2901"],
            ["Badrinarayanan et al. 2017, SegNet: a deep convolutional encoder-decoder architecture for image segmentation", "https://arxiv.org/abs/1511.00561"],
            ["Shi et al. 2016, Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network", "https://arxiv.org/abs/1609.05158"],
        ],
    }
}
