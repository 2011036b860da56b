//! Channels joined, parted and interleaved: against plain loops, and against Burn's stock operations.

use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance};
use kiln_kernels::join::{self, Columns};
use kiln_kernels::{Isa, cat_channels, halves, interleave};

/// Numbers that are all different, row by row.
fn counted(rows: usize, channels: usize, first: usize) -> Vec<f32> {
    (0..rows * channels).map(|i| (first + i) as f32).collect()
}

#[test]
fn rows_are_joined_and_dealt_out_again() {
    // The last has several shares of work.
    let cases = [(1, vec![1]), (7, vec![3, 16, 1, 40]), (5, vec![58, 58]), (900, vec![24, 33])];
    for (rows, widths) in cases.into_iter().take(if cfg!(miri) { 3 } else { 4 }) {
        let total: usize = widths.iter().sum();
        let parts: Vec<Vec<f32>> =
            widths.iter().enumerate().map(|(part, &width)| counted(rows, width, 100_000 * part)).collect();
        let mut expected = Vec::new();
        for row in 0..rows {
            for (part, width) in parts.iter().zip(&widths) {
                expected.extend_from_slice(&part[row * width..][..*width]);
            }
        }
        let slices: Vec<Columns> = parts
            .iter()
            .zip(&widths)
            .map(|(part, &width)| Columns { values: part, stride: width, width })
            .collect();
        let ranges = widths.iter().scan(0, |end, width| {
            *end += width;
            Some(*end - width..*end)
        });
        let ranges: Vec<_> = ranges.collect();
        for &isa in Isa::available() {
            let joined = join::join(isa, rows, &slices);
            assert!(joined == expected, "{isa:?} {widths:?}");
            // The last part is added to ones, the others are new; the first, where there are several, is left out.
            let mut ones = vec![1.0f32; parts[parts.len() - 1].len()];
            let from = usize::from(parts.len() > 1);
            let mut targets: Vec<(_, Option<&mut [f32]>)> =
                ranges[from..].iter().map(|range| (range.clone(), None)).collect();
            targets.last_mut().expect("a part").1 = Some(&mut ones);
            let dealt = join::deal(isa, total, &joined, targets);
            for (dealt, part) in dealt[..dealt.len() - 1].iter().zip(&parts[from..]) {
                assert!(dealt.as_ref() == Some(part), "{isa:?} {widths:?}");
            }
            assert!(dealt[dealt.len() - 1].is_none());
            let last = &parts[parts.len() - 1];
            assert!(ones.iter().zip(last).all(|(sum, x)| *sum == x + 1.0), "{isa:?} {widths:?}");

            let columns = ranges[from].clone();
            let values = &joined[columns.start..];
            let part = Columns { values, stride: total, width: columns.len() };
            assert!(join::join(isa, rows, &[part]) == parts[from], "{isa:?} {widths:?}");
            let wide = join::widen(isa, &parts[from], columns.len(), columns.start, total);
            let inside = |i: usize| columns.contains(&(i % total));
            let expected = |i: usize| if inside(i) { joined[i] } else { 0.0 };
            assert!(wide.iter().enumerate().all(|(i, x)| *x == expected(i)), "{isa:?} {widths:?}");
            let mut sum = joined.clone();
            join::add_columns(isa, &parts[from], columns.len(), columns.start, &mut sum, total);
            assert!(sum.iter().zip(&joined).zip(&wide).all(|((s, x), w)| *s == x + w), "{isa:?} {widths:?}");
        }
    }
}

#[test]
fn pairs_are_interleaved_and_parted_again() {
    for len in [1, 58, 2 * 1024 + 7, 70_000].into_iter().take(if cfg!(miri) { 2 } else { 4 }) {
        let (a, b) = (counted(1, len, 0), counted(1, len, 100_000));
        let expected: Vec<f32> = a.iter().zip(&b).flat_map(|(a, b)| [*a, *b]).collect();
        for &isa in Isa::available() {
            let both = join::interleave(isa, &a, &b);
            assert!(both == expected, "{isa:?} {len}");
            assert!(join::unweave(isa, &both) == [a.clone(), b.clone()], "{isa:?} {len}");
        }
    }
}

/// A function of tensors: ours, or of Burn's stock operations.
type Function = fn(&[Tensor<4>], bool) -> Tensor<4>;

fn cat(parts: Vec<Tensor<4>>, ours: bool) -> Tensor<4> {
    if ours { cat_channels(parts) } else { Tensor::cat(parts, 1) }
}

fn both(a: Tensor<4>, b: Tensor<4>, ours: bool) -> Tensor<4> {
    if ours {
        return interleave(a, b);
    }
    let [batch, channels, rows, columns] = a.dims();
    let pairs = Tensor::cat(vec![a, b], 1).reshape([batch, 2, channels, rows * columns]);
    pairs.swap_dims(1, 2).reshape([batch, 2 * channels, rows, columns])
}

fn parts_of(x: Tensor<4>, ours: bool) -> [Tensor<4>; 2] {
    let half = x.dims()[1] / 2;
    if ours { halves(x) } else { [x.clone().narrow(1, 0, half), x.narrow(1, half, half)] }
}

/// Values and all inputs' gradients on a device with gradients, by our functions and by Burn's; inputs both as planes and
/// as rows of channels.
fn agree(channels: &[usize], tracked: fn(usize) -> bool, function: Function) {
    let plain = Device::flex();
    plain.seed(6);
    let draw = |&channels: &usize| {
        Tensor::<4>::random([2, 5, 3, channels], Distribution::Normal(0.0, 1.0), &plain).into_data()
    };
    let values: Vec<TensorData> = channels.iter().map(draw).collect();
    let run = |device: &Device, planes: bool, ours: bool| {
        let leaf = |(index, values): (usize, &TensorData)| {
            let x = Tensor::<4>::from_data(values.clone(), device);
            if tracked(index) { x.require_grad() } else { x }
        };
        let leaves: Vec<Tensor<4>> = values.iter().enumerate().map(leaf).collect();
        // Turned, so that gradients are not those of leaves, which Burn adds up itself; and squared at the end, so that every
        // gradient is another.
        let inputs: Vec<Tensor<4>> = leaves.iter().map(|x| turned(x.clone(), planes)).collect();
        let y = function(&inputs, ours);
        drop(inputs);
        let grads = y.clone().powf_scalar(2.0).sum().backward();
        let gradients = leaves.iter().filter_map(|x| x.grad(&grads).map(Tensor::into_data));
        std::iter::once(y.into_data()).chain(gradients).collect::<Vec<_>>()
    };
    let device = plain.autodiff();
    let stock = run(&device, true, false);
    assert_eq!(stock.len(), 1 + (0..channels.len()).filter(|&index| tracked(index)).count());
    for planes in [true, false] {
        for device in [device.clone(), device.clone().gradient_checkpointing()] {
            let ours = run(&device, planes, true);
            assert_eq!(ours.len(), stock.len());
            for (ours, stock) in ours.iter().zip(&stock) {
                ours.assert_approx_eq(stock, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
            }
        }
    }
}

/// `[batch, rows, columns, channels]` to `[batch, channels, rows, columns]`, as planes or where it lies.
fn turned(x: Tensor<4>, planes: bool) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    let x = x.permute([0, 3, 1, 2]);
    // Burn's reshape to other sides copies in order.
    if planes {
        x.reshape([batch * channels * rows * columns]).reshape([batch, channels, rows, columns])
    } else {
        x
    }
}

#[test]
fn a_dense_block_has_burns_values_and_gradients() {
    // Every part but the last is read many times; 70 parts are joined in two steps.
    for parts in [1, 2, 5, 17, 70] {
        let channels: Vec<usize> = (0..parts).map(|part| 1 + part % 3).collect();
        agree(
            &channels,
            |_| true,
            |parts, ours| {
                let mut seen = vec![parts[0].clone()];
                for part in &parts[1..] {
                    let before = cat(seen.clone(), ours).mean_dim(1);
                    seen.push(part.clone() * before);
                }
                cat(seen, ours)
            },
        );
    }
}

#[test]
fn parts_without_gradients_are_joined_too() {
    agree(&[2, 3, 4], |index| index == 1, |parts, ours| cat(parts.to_vec(), ours));
}

#[test]
fn what_is_joined_with_itself_has_both_gradients() {
    agree(
        &[3, 2],
        |_| true,
        |parts, ours| {
            let [a, b] = [parts[0].clone(), parts[1].clone()];
            cat(vec![a.clone(), b.clone(), a, b.clone(), b], ours)
        },
    );
    agree(&[3], |_| true, |parts, ours| both(parts[0].clone(), parts[0].clone(), ours));
}

#[test]
fn shuffled_blocks_have_burns_values_and_gradients() {
    agree(
        &[6],
        |_| true,
        |parts, ours| {
            (0..3).fold(parts[0].clone(), |x, _| {
                let [kept, x] = parts_of(x, ours);
                both(kept, x.powf_scalar(2.0), ours)
            })
        },
    );
    // Halves of which one is not read, and an input that others read too.
    agree(
        &[4],
        |_| true,
        |parts, ours| {
            let [_, second] = parts_of(parts[0].clone(), ours);
            let [first, _] = parts_of(parts[0].clone(), ours);
            cat(vec![second.clone() * first, parts[0].clone(), second], ours)
        },
    );
}

#[test]
fn a_gradient_that_others_hold_is_not_added_to() {
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::from_data(TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0], [1, 4, 1, 1]), &device);
    let x = x.require_grad();
    // Burn's sum hands one gradient to both of its readers.
    let inner = x.clone() * 1.0;
    let other = x.clone() * 10.0;
    let [first, second] = halves(inner.clone());
    let y = cat_channels(vec![first, second, inner.clone() + other]);
    let grads = y.sum().backward();
    // 1 by the halves, 1 and 10 by the sum.
    assert_eq!(
        x.grad(&grads).expect("a gradient").into_data(),
        TensorData::new(vec![12.0f32; 4], [1, 4, 1, 1])
    );
}

#[test]
fn without_gradients_they_are_burns_to_the_bit() {
    let device = Device::flex();
    let x = Tensor::<4>::random([2, 6, 4, 3], Distribution::Default, &device);
    let [first, second] = halves(x.clone());
    first.clone().into_data().assert_eq(&x.clone().narrow(1, 0, 3).into_data(), true);
    second.clone().into_data().assert_eq(&x.clone().narrow(1, 3, 3).into_data(), true);
    cat_channels(vec![first.clone(), second.clone()]).into_data().assert_eq(&x.into_data(), true);
    let shuffled = interleave(first.clone(), second.clone());
    shuffled.into_data().assert_eq(&both(first, second, false).into_data(), true);
}

#[test]
#[should_panic(expected = "two halves of 3 channels")]
fn an_odd_number_of_channels_has_no_halves() {
    halves(Tensor::zeros([1, 3, 2, 2], &Device::flex()));
}
