//! MixUp and CutMix: each image of a batch is mixed with the one before it, the first with the last, as torchvision has it.

use kiln_core::{Object, Truth};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use crate::Region;

/// How a batch is mixed, with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixing {
    /// All pixels of both images.
    MixUp {
        /// Of the image itself.
        share: f32,
    },
    /// A part of the other image is put into an image.
    CutMix {
        /// Which; inside the image.
        region: Region,
        /// What remains of the image itself.
        share: f32,
    },
}

impl Mixing {
    /// A share drawn from Beta(alpha, alpha).
    ///
    /// # Panics
    /// If alpha is not a positive number.
    pub fn mixup(alpha: f64, rng: &mut ChaCha8Rng) -> Self {
        Self::MixUp { share: share(alpha, rng) as f32 }
    }

    /// A part of images of height and width `size`: its centre anywhere, its area 1 - Beta(alpha, alpha) as far as it is
    /// inside; the share is what it really leaves.
    ///
    /// # Panics
    /// If alpha is not a positive number.
    pub fn cutmix(alpha: f64, size: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let share = share(alpha, rng);
        Self::cut(share, size.map(|side| rng.random_range(0..side)), size)
    }

    /// The cut about a pixel that leaves `share` of an image if it is all inside.
    fn cut(share: f64, centre: [usize; 2], size: [usize; 2]) -> Self {
        let half = 0.5 * (1.0 - share).sqrt();
        let [(top, bottom), (left, right)] = [0, 1].map(|i| {
            let half = (half * size[i] as f64) as usize;
            (centre[i].saturating_sub(half), (centre[i] + half).min(size[i]))
        });
        let (height, width) = (bottom - top, right - left);
        let share = 1.0 - (height * width) as f64 / (size[0] * size[1]) as f64;
        let region = Region { top: top as i64, left: left as i64, height, width };
        Self::CutMix { region, share: share as f32 }
    }

    /// Mixes images `[batch, 3, height, width]` and what is known of them. Of a mixed image only the shares of the classes
    /// are known, and after MixUp the objects of both, without masks; its `class` remains that of the image itself.
    pub fn apply(&self, numbers: &mut [f32], size: [usize; 2], truths: &mut [Truth]) {
        let image = 3 * size[0] * size[1];
        let Some(last) = numbers.len().checked_sub(image) else { return };
        let last = numbers[last..].to_vec();
        // From the end, so that the image before is not yet mixed.
        for start in (0..numbers.len()).step_by(image).rev() {
            let (before, own) = numbers.split_at_mut(start);
            let partner = if start == 0 { &last[..] } else { &before[start - image..] };
            self.mix(&mut own[..image], partner, size);
        }
        let (Self::MixUp { share } | Self::CutMix { share, .. }) = *self;
        let classes: Vec<Option<usize>> = truths.iter().map(|truth| truth.class).collect();
        let whole = matches!(self, Self::MixUp { .. });
        let objects: Vec<Vec<Object>> =
            truths.iter_mut().map(|truth| std::mem::take(&mut truth.objects)).collect();
        for (i, truth) in truths.iter_mut().enumerate() {
            let other = (i + classes.len() - 1) % classes.len();
            let partner = classes[other];
            let mixture = match (truth.class, partner) {
                (Some(own), Some(other)) if own == other => vec![(own, 1.0)],
                (Some(own), Some(other)) => vec![(own, share), (other, 1.0 - share)],
                _ => Vec::new(),
            };
            // Both are seen whole, though pale; a mask says which pixels are its own, and they are not.
            let both = objects[i].iter().chain(&objects[other]).filter(|_| whole);
            let objects = both.map(|object| Object { mask: None, ..object.clone() }).collect();
            *truth = Truth { class: truth.class, mixture, objects, ..Truth::default() };
        }
    }

    fn mix(&self, own: &mut [f32], partner: &[f32], [height, width]: [usize; 2]) {
        match *self {
            Self::MixUp { share } => {
                for (own, other) in own.iter_mut().zip(partner) {
                    *own = other * (1.0 - share) + *own * share;
                }
            }
            Self::CutMix { region: Region { top, left, height: rows, width: columns }, .. } => {
                for channel in 0..3 {
                    for row in 0..rows {
                        let start = (channel * height + top as usize + row) * width + left as usize;
                        own[start..start + columns].copy_from_slice(&partner[start..start + columns]);
                    }
                }
            }
        }
    }
}

fn share(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    Beta::new(alpha, alpha).expect("alpha is positive: `Batching::check`").sample(rng)
}

#[cfg(test)]
mod tests {
    use kiln_core::BoundingBox;
    use rand::SeedableRng;

    use super::*;

    fn truths(classes: [Option<usize>; 3]) -> Vec<Truth> {
        classes.into_iter().map(|class| Truth { class, ..Truth::default() }).collect()
    }

    #[test]
    fn an_image_is_mixed_with_the_one_before_it() {
        // Images of one pixel: 0, 10 and 20 in every channel, the image itself counting a quarter.
        let mut numbers = [[0.0; 3], [10.0; 3], [20.0; 3]].concat();
        let mut truths = truths([Some(5), Some(6), Some(6)]);
        Mixing::MixUp { share: 0.25 }.apply(&mut numbers, [1, 1], &mut truths);
        assert_eq!(numbers, [[15.0; 3], [2.5; 3], [12.5; 3]].concat());
        let mixtures: Vec<_> = truths.iter().map(|truth| truth.mixture.as_slice()).collect();
        assert_eq!(mixtures, [&[(5, 0.25), (6, 0.75)][..], &[(6, 0.25), (5, 0.75)], &[(6, 1.0)]]);
    }

    #[test]
    fn an_image_mixed_of_two_has_the_objects_of_both() {
        let object = |class| Object {
            class,
            bounding_box: BoundingBox::from_xyxy([0.0, 0.0, 1.0, 1.0]),
            mask: None,
            keypoints: Vec::new(),
            crowd: false,
            difficult: false,
        };
        let all = [vec![0, 1], vec![], vec![2]];
        let truths = all
            .map(|classes| Truth { objects: classes.into_iter().map(object).collect(), ..Truth::default() });
        let region = Region { top: 0, left: 0, height: 1, width: 1 };
        let table: [(Mixing, [&[usize]; 3]); 2] = [
            (Mixing::MixUp { share: 0.5 }, [&[0, 1, 2], &[0, 1], &[2]]),
            (Mixing::CutMix { region, share: 0.5 }, [&[], &[], &[]]),
        ];
        for (mixing, expected) in table {
            let mut truths = truths.to_vec();
            mixing.apply(&mut [0.0; 9], [1, 1], &mut truths);
            let classes =
                truths.iter().map(|truth| truth.objects.iter().map(|object| object.class).collect());
            assert_eq!(classes.collect::<Vec<Vec<usize>>>(), expected, "{mixing:?}");
        }
    }

    type Cut = ((f64, usize, usize), ([i64; 4], f32));

    #[rustfmt::skip]
    const CUTS: [Cut; 8] = [
        ((0.5, 4, 6), ([2, 1, 10, 7], 0.5555556)),
        ((0.5, 0, 0), ([0, 0, 4, 3], 0.8888889)),
        ((0.1, 8, 11), ([6, 4, 12, 9], 0.7222222)),
        ((0.9, 4, 5), ([4, 3, 6, 5], 0.962_963)),
        ((0.0, 3, 3), ([0, 0, 9, 7], 0.4166667)),
        ((1.0, 3, 3), ([3, 3, 3, 3], 1.0000000)),
        ((0.64, 2, 10), ([7, 0, 12, 4], 0.8148148)),
        ((0.25, 5, 1), ([0, 2, 6, 8], 0.6666667)),
    ];

    #[test]
    fn a_cut_is_where_torchvisions_is() {
        // torchvision 0.29, v2.CutMix on images of 9 x 12 with its draws replaced: share, row and column of the centre;
        // x1, y1, x2, y2 and the share that it makes of them.
        for ((share, y, x), ([x1, y1, x2, y2], left)) in CUTS {
            let size = [9, 12];
            let Mixing::CutMix { region, share: found } = Mixing::cut(share, [y, x], size) else {
                panic!("a cut");
            };
            let expected =
                Region { top: y1, left: x1, height: (y2 - y1) as usize, width: (x2 - x1) as usize };
            assert_eq!(region, expected, "{share}, {y}, {x}");
            assert!((found - left).abs() < 1e-6, "{share}, {y}, {x}: {found}");
        }
    }

    #[test]
    fn a_cut_takes_the_same_part_of_the_image_before() {
        let size = [4, 5];
        let number =
            |image: usize, c: usize, y: usize, x: usize| (image * 1000 + c * 100 + y * 10 + x) as f32;
        let all = |of: &dyn Fn(usize, usize, usize, usize) -> f32| {
            let mut numbers = Vec::new();
            for (image, c) in (0..3).flat_map(|image| (0..3).map(move |c| (image, c))) {
                numbers.extend((0..20).map(|i| of(image, c, i / 5, i % 5)));
            }
            numbers
        };
        let mut numbers = all(&number);
        let region = Region { top: 1, left: 2, height: 2, width: 3 };
        let mut truths = truths([Some(0), Some(1), None]);
        Mixing::CutMix { region, share: 0.7 }.apply(&mut numbers, size, &mut truths);
        let expected = all(&|image, c, y, x| {
            let inside = (1..3).contains(&y) && (2..5).contains(&x);
            number(if inside { (image + 2) % 3 } else { image }, c, y, x)
        });
        assert_eq!(numbers, expected);
        // Nothing is known of a mixture with an image of no class.
        assert_eq!([0, 1, 2].map(|i| truths[i].mixture.len()), [0, 2, 0]);
    }

    #[test]
    fn shares_are_of_the_beta_distribution() {
        // Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
        for alpha in [0.2, 1.0, 4.0] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let shares: Vec<f64> = (0..20_000).map(|_| share(alpha, &mut rng)).collect();
            let mean = shares.iter().sum::<f64>() / 20_000.0;
            let variance = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            // The mean's deviation is at most 0.003, the variance's a hundredth of it.
            assert!((mean - 0.5).abs() < 0.012, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{alpha}: {variance}");
        }
    }
}
