//! The gradient noise scale.

mod tiny;

use burn::module::Param;
use burn::prelude::*;
use kiln_core::{Batch, Batches, Losses, Network, Result, Score, Task, Truth};
use kiln_train::{GradientNoise, Moments, NoiseProbe, OptimizerConfig};
use serde_json::json;
use tiny::{Halves, Tiny, TwoClasses, alone};

fn sgd() -> OptimizerConfig {
    serde_json::from_value(json!({"name": "sgd"})).expect("an optimizer")
}

/// A number for each image, w · x: its gradient is the image x.
#[derive(Module, Debug)]
struct Line {
    w: Param<Tensor<1>>,
}

impl Network for Line {
    type Output = Tensor<1>;

    fn forward(&self, images: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = images.dims();
        (images.reshape([batch, 3]) * self.w.val().unsqueeze::<2>()).sum_dim(1).squeeze_dim(1)
    }
}

/// The mean of the numbers is to decrease.
struct Down;

impl Task for Down {
    type Output = Tensor<1>;
    type Score = Nothing;

    fn loss(&self, output: Tensor<1>, _: &Batch) -> Losses {
        Losses::new("mean", output.mean())
    }

    fn score(&self) -> Nothing {
        Nothing
    }
}

struct Nothing;

impl Score for Nothing {
    type Output = Tensor<1>;

    fn update(&mut self, _: Tensor<1>, _: &Batch) {}

    fn figures(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// Images of one pixel.
const IMAGES: [[f32; 3]; 4] = [[2.0, 1.0, 0.0], [0.0, 1.0, -2.0], [1.0, 3.0, 1.0], [1.0, -1.0, 5.0]];

/// Batches of so many of [`IMAGES`], each drawn from all of them; another start, other draws.
struct Drawn {
    sizes: Vec<usize>,
    start: u64,
}

impl Batches for Drawn {
    fn items(&self) -> usize {
        IMAGES.len()
    }

    fn steps(&self) -> usize {
        self.sizes.len()
    }

    fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>> {
        let mut state = (self.start << 32) + epoch as u64;
        let mut draw = move || {
            // SplitMix64.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 62) as usize
        };
        self.sizes[first..].iter().map(move |size| {
            let indices: Vec<usize> = (0..*size).map(|_| draw()).collect();
            let pixels: Vec<f32> = indices.iter().flat_map(|index| IMAGES[*index]).collect();
            let images = Tensor::<1>::from_data(pixels.as_slice(), &Device::flex().autodiff());
            let truths = vec![Truth::default(); *size];
            Ok(Batch { images: images.reshape([*size, 3, 1, 1]), truths, indices })
        })
    }
}

fn measured(group: usize, groups: usize, sizes: &[usize], start: u64) -> GradientNoise {
    let _alone = alone();
    let w = Tensor::<1>::zeros([3], &Device::flex().autodiff());
    let line = Line { w: Param::from_tensor(w) };
    let probe = NoiseProbe { group, groups, seed: 1 };
    let train = Drawn { sizes: sizes.to_vec(), start };
    probe.measure(line, &sgd(), &Down, &train, |_| ()).expect("a measurement")
}

/// Their mean is (1, 1, 1), of squared length 3. Their distances from it are (1, 0, -1), (-1, 0, -3), (0, 2, 0), (0, -2, 4), whose
/// squares are 2, 10, 4, 20: 36 / 4 = 9.
const SIGNAL: f64 = 3.0;
const NOISE: f64 = 9.0;

#[test]
fn two_batches_by_hand() {
    // Batches of 1 and 3 images with squared lengths 20 and 8, 6 together: 1 / B is 2/3 on average and 1/4 together.
    // tr = (14 - 6) / (2/3 - 1/4) = 19.2; |G|² = 6 - 19.2 / 4 = 1.2.
    let moments = Moments::of(&[(1, 20.0), (3, 8.0)], 6.0);
    assert!((moments.noise - 19.2).abs() < 1e-12 && (moments.signal - 1.2).abs() < 1e-12, "{moments:?}");
    // Without noise a large batch says what a small one says.
    assert_eq!(Moments::of(&[(4, 2.0), (4, 2.0)], 2.0), Moments { signal: 2.0, noise: 0.0 });
    // Groups of 4 and 2, 6 and 0: means 5 and 1, quotient 0.2; each without the other 0.5 and 0, so half their distance, 0.25.
    let groups = vec![Moments { signal: 4.0, noise: 2.0 }, Moments { signal: 6.0, noise: 0.0 }];
    let noise = GradientNoise { groups };
    let scale = noise.scale().expect("5 is more than twice 1");
    assert!((scale.value - 0.2).abs() < 1e-12 && (scale.error - 0.25).abs() < 1e-12, "{scale:?}");
    // The standard error of a mean of two: half their distance.
    assert!((noise.signal().error - 1.0).abs() < 1e-12 && (noise.noise().error - 1.0).abs() < 1e-12);
    let lost = vec![Moments { signal: 4.0, noise: 2.0 }, Moments { signal: -3.0, noise: 1.0 }];
    assert_eq!(GradientNoise { groups: lost }.scale(), None);
}

#[test]
fn the_estimates_are_without_bias_and_their_errors_are_what_they_are_off_by() {
    // Also where the batches are of different sizes.
    for sizes in [&[2][..], &[1, 3, 4]] {
        let many: Vec<GradientNoise> = (0..60).map(|start| measured(3, 20, sizes, start)).collect();
        let all = GradientNoise { groups: many.iter().flat_map(|noise| noise.groups.clone()).collect() };
        for (name, estimate, expected) in [
            ("|G|²", all.signal(), SIGNAL),
            ("tr", all.noise(), NOISE),
            ("scale", all.scale().expect("told"), 3.0),
        ] {
            let off = (estimate.value - expected).abs();
            assert!(off < 4.0 * estimate.error, "{sizes:?}: {name} is {estimate:?}, not {expected}");
            assert!(estimate.error < 0.05 * expected, "{sizes:?}: {name}: {estimate:?}");
        }
        // What one measurement says of its own error is, on average, what measurements differ by. 60 of them tell their
        // spread to a tenth.
        let values: Vec<f64> = many.iter().map(|noise| noise.noise().value).collect();
        let mean = values.iter().sum::<f64>() / 60.0;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 59.0).sqrt();
        let said = many.iter().map(|noise| noise.noise().error).sum::<f64>() / 60.0;
        assert!((0.7..1.4).contains(&(said / spread)), "{sizes:?}: said {said}, is {spread}");
    }
}

#[test]
fn batches_of_all_images_have_no_noise() {
    let _alone = alone();
    // Every batch is the same one.
    let images = Tensor::<1>::from_data(IMAGES.concat().as_slice(), &Device::flex().autodiff());
    let batch = Batch {
        images: images.reshape([4, 3, 1, 1]),
        truths: vec![Truth::default(); 4],
        indices: vec![0, 1, 2, 3],
    };
    let w = Tensor::<1>::zeros([3], &Device::flex().autodiff());
    let probe = NoiseProbe { group: 2, groups: 2, seed: 1 };
    let noise = probe
        .measure(Line { w: Param::from_tensor(w) }, &sgd(), &Down, &vec![batch], |_| ())
        .expect("measured");
    assert!((noise.signal().value - SIGNAL).abs() < 1e-5, "{noise:?}");
    assert!(noise.noise().value.abs() < 1e-5, "{noise:?}");
}

#[test]
fn a_network_with_batch_norm_and_dropout_gives_the_same_twice() {
    let _alone = alone();
    let probe = NoiseProbe { group: 3, groups: 4, seed: 7 };
    let measure = |probe: &NoiseProbe| {
        let mut seen = 0;
        // Three batches an epoch: the last of 6 images.
        let train = Halves::train(22, 8);
        let noise =
            probe.measure(Tiny::new(0.3), &sgd(), &TwoClasses::default(), &train, |batch| seen = batch)?;
        assert_eq!((seen, noise.groups.len()), (12, 4));
        Ok::<_, kiln_core::Error>(noise)
    };
    let noise = measure(&probe).expect("measured");
    assert!(noise.noise().value > 0.0 && noise.noise().value.is_finite(), "{noise:?}");
    assert_eq!(measure(&probe).expect("measured"), noise);
    for wrong in [NoiseProbe { group: 1, ..probe.clone() }, NoiseProbe { groups: 1, ..probe.clone() }] {
        assert!(measure(&wrong).is_err());
    }
    let broken = TwoClasses { nan_after: Some(4), ..TwoClasses::default() };
    let error = probe.measure(Tiny::new(0.3), &sgd(), &broken, &Halves::train(22, 8), |_| ());
    assert_eq!(error.expect_err("NaN").message(), "the gradient of batch 5 is not finite");
}
