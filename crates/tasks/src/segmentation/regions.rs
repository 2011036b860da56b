//! Losses of whole regions. Value and derivatives by the probabilities are computed at once: the sums are of many thousand numbers,
//! and one of the losses sorts them.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use rayon::prelude::*;

use super::Labels;

/// A loss, and its derivative by the probability of every class in every pixel.
struct Derived {
    value: f64,
    /// As the probabilities lie: a row a pixel.
    derivative: Vec<f32>,
}

/// The mean over all classes of one less the Dice coefficient.
pub fn dice(rows: Tensor<2>, labels: &Labels, squared: bool, smoothing: f64) -> Tensor<1> {
    derived(rows, |probabilities, num_classes| {
        let (mut common, mut below) = (vec![0.0; num_classes], vec![0.0; num_classes]);
        let counted = |class: Option<usize>, row: usize| {
            class.map(|class| (class, row * num_classes..(row + 1) * num_classes))
        };
        for (class, of_row) in labels.iter().enumerate().filter_map(|(row, class)| counted(class, row)) {
            for (sum, p) in below.iter_mut().zip(&probabilities[of_row.clone()]) {
                let p = f64::from(*p);
                *sum += if squared { p * p } else { p };
            }
            common[class] += f64::from(probabilities[of_row][class]);
            below[class] += 1.0;
        }
        // 1 - n / d of each class; by p it is n / d² d' - n' / d.
        let n: Vec<f64> = common.iter().map(|common| 2.0 * common + smoothing).collect();
        let d: Vec<f64> = below.iter().map(|below| below + smoothing).collect();
        let value = n.iter().zip(&d).map(|(n, d)| 1.0 - n / d).sum::<f64>() / num_classes as f64;
        let mut derivative = vec![0.0; probabilities.len()];
        for (class, of_row) in labels.iter().enumerate().filter_map(|(row, class)| counted(class, row)) {
            let (row, p) = (&mut derivative[of_row.clone()], &probabilities[of_row]);
            for c in 0..num_classes {
                let below = if squared { 2.0 * f64::from(p[c]) } else { 1.0 };
                let above = if c == class { 2.0 } else { 0.0 };
                row[c] = ((n[c] / d[c] * below - above) / d[c] / num_classes as f64) as f32;
            }
        }
        Derived { value, derivative }
    })
}

/// The Lovász extension of the Jaccard loss, of the errors of each class: Algorithm 1 of the paper.
pub fn lovasz_softmax(rows: Tensor<2>, labels: &Labels) -> Tensor<1> {
    derived(rows, |probabilities, num_classes| {
        let mut sizes = vec![0_u32; num_classes];
        labels.iter().flatten().for_each(|class| sizes[class] += 1);
        let present: Vec<usize> = (0..num_classes).filter(|class| sizes[*class] > 0).collect();
        let of_class = |class: &usize| {
            let error = |(pixel, label): (usize, Option<usize>)| {
                let p = probabilities[pixel * num_classes + class];
                let is_here = label? == *class;
                // Errors are not negative, so their bits are in their order; the largest shall be first.
                let error = if is_here { 1.0 - p } else { p }.max(0.0);
                Some((u64::from(!error.to_bits()) << 32) | ((pixel as u64) << 1) | u64::from(is_here))
            };
            let mut errors: Vec<u64> = labels.iter().enumerate().filter_map(error).collect();
            errors.sort_unstable();
            let (mut value, mut before) = (0.0, 0.0);
            let (mut common, mut union) = (f64::from(sizes[*class]), f64::from(sizes[*class]));
            let slopes = errors.into_iter().map(|packed| {
                let (error, is_here) = (f32::from_bits(!((packed >> 32) as u32)), packed & 1 == 1);
                if is_here {
                    common -= 1.0
                } else {
                    union += 1.0
                }
                let jaccard = 1.0 - common / union;
                let slope = jaccard - before;
                before = jaccard;
                value += f64::from(error) * slope;
                ((packed as u32 >> 1) as usize, (if is_here { -slope } else { slope }) as f32)
            });
            let slopes: Vec<(usize, f32)> = slopes.collect();
            (value, slopes)
        };
        let classes: Vec<(f64, Vec<(usize, f32)>)> = present.par_iter().map(of_class).collect();
        let count = present.len().max(1) as f64;
        let mut derivative = vec![0.0; probabilities.len()];
        for (class, (_, slopes)) in present.iter().zip(&classes) {
            for (pixel, slope) in slopes {
                derivative[pixel * num_classes + class] = slope / count as f32;
            }
        }
        Derived { value: classes.iter().map(|(value, _)| value).sum::<f64>() / count, derivative }
    })
}

/// A loss of the probabilities of the classes, as a tensor that has its derivative.
fn derived(rows: Tensor<2>, loss: impl FnOnce(&[f32], usize) -> Derived) -> Tensor<1> {
    let (shape, device, dtype) = (rows.dims(), rows.device(), rows.dtype());
    let probabilities = softmax(rows, 1);
    let now = probabilities.clone().detach();
    let numbers = now.clone().into_data().convert::<f32>();
    let Derived { value, derivative } =
        loss(numbers.as_slice::<f32>().expect("converted to f32 above"), shape[1]);
    let derivative = Tensor::<2>::from_data(TensorData::new(derivative, shape), (&device, dtype));
    // The first is 0, and its derivative is what was computed.
    ((probabilities - now) * derivative).sum() + value
}
