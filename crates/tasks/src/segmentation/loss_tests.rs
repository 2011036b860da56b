//! Losses of pixels beside PyTorch's operations and the losses' reference implementations.

use burn::prelude::*;
use kiln_core::{IGNORED, LabelMap, Truth};

use super::*;

/// Two images of 2 x 3 pixels, three classes.
const LOGITS: [[[[f32; 3]; 2]; 3]; 2] = [
    [
        [[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]],
        [[0.5, 1.0, -0.5], [1.5, -1.0, 0.25]],
        [[-1.0, 0.0, 2.5], [0.75, 1.25, 4.0]],
    ],
    [
        [[-0.5, 0.25, 1.0], [6.0, -3.0, 0.0]],
        [[0.0, -0.75, 2.0], [1.0, 0.5, 0.0]],
        [[1.5, 0.1, -2.0], [-4.0, 0.6, 0.0]],
    ],
];

fn truths(labels: [[u8; 6]; 2]) -> Vec<Truth> {
    let truth = |labels: [u8; 6]| Truth {
        label_map: Some(LabelMap { width: 3, height: 2, labels: labels.to_vec() }),
        ..Truth::default()
    };
    labels.map(truth).to_vec()
}

const LABELS: [[u8; 6]; 2] = [[0, 1, IGNORED, 2, 0, 2], [0, 0, 1, 0, IGNORED, 1]];

fn ohem(threshold: f32, least: usize) -> SegmentationLoss {
    SegmentationLoss::Ohem { threshold, least }
}

fn dice(squared: bool, smoothing: f64) -> SegmentationLoss {
    SegmentationLoss::Dice { squared, smoothing }
}

/// A loss, its value, and its gradient by the logits of each pixel.
type Row = (SegmentationLoss, f32, [[f32; 3]; 12]);

/// PyTorch 2.15, `r` and `l` being the rows of logits and the labels of the pixels that count:
/// - `F.cross_entropy(x, y, weight=w, ignore_index=255)`;
/// - hard pixels as HRNet's `OhemCrossEntropy` finds them: `p < max(sorted(p)[min(least, n - 1)], threshold)`;
/// - `-(a[l] * (1 - p) ** gamma * log p).mean()` with `p` that of the class;
/// - `(1 - (2 * (p * g).sum(0) + s) / ((p * p).sum(0) + (g * g).sum(0) + s)).mean()`, and without squares;
/// - `lovasz_softmax_flat` of the authors' `lovasz_losses.py`.
#[rustfmt::skip]
fn expected() -> [Row; 11] {
    [
        (SegmentationLoss::default(), 0.6667925, [[-0.0214403, 0.01752904, 0.003911257], [0.009003056, -0.03347591, 0.02447285], [0.0, 0.0, 0.0], [0.01316016, 0.05897976, -0.07213993], [-0.01611369, 0.001536431, 0.01457726], [0.0002415946, 0.002292186, -0.002533776], [-0.09003764, 0.01642516, 0.07361247], [-0.05512853, 0.01650729, 0.03862123], [0.02653879, -0.02786008, 0.001321288], [-0.000673765, 0.0006692549, 4.509403e-06], [0.0, 0.0, 0.0], [0.03333333, -0.06666667, 0.03333333]]),
        (SegmentationLoss::CrossEntropy { weights: vec![0.5, 1.0, 4.0] }, 0.6528217, [[-0.007940851, 0.006492237, 0.001448614], [0.00666893, -0.02479697, 0.01812803], [0.0, 0.0, 0.0], [0.03899308, 0.1747548, -0.2137479], [-0.005968032, 0.0005690486, 0.005398984], [0.0007158358, 0.006791662, -0.007507483], [-0.03334727, 0.006083393, 0.02726388], [-0.02041797, 0.006113812, 0.01430416], [0.01965836, -0.0206371, 0.0009787321], [-0.0002495426, 0.0002478722, 1.670149e-06], [0.0, 0.0, 0.0], [0.02469136, -0.04938272, 0.02469136]]),
        (ohem(0.7, 2), 1.178383, [[0.0, 0.0, 0.0], [0.01800611, -0.06695183, 0.04894569], [0.0, 0.0, 0.0], [0.02632033, 0.1179595, -0.1442799], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.1800753, 0.03285033, 0.1472249], [-0.1102571, 0.03301458, 0.07724247], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.06666666, -0.1333333, 0.06666666]]),
        (ohem(0.01, 4), 1.371078, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.03290041, 0.1474494, -0.1803498], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.2250941, 0.04106291, 0.1840312], [-0.1378213, 0.04126823, 0.09655309], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.08333333, -0.1666667, 0.08333333]]),
        (ohem(0.5, 1), 1.371078, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.03290041, 0.1474494, -0.1803498], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.2250941, 0.04106291, 0.1840312], [-0.1378213, 0.04126823, 0.09655309], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.08333333, -0.1666667, 0.08333333]]),
        (SegmentationLoss::Focal { gamma: 2.0, weights: Vec::new() }, 0.3353308, [[-0.002728468, 0.002230726, 0.0004977421], [0.002643366, -0.009828785, 0.007185415], [0.0, 0.0, 0.0], [0.01360916, 0.06099204, -0.07460121], [-0.001183817, 0.0001128763, 0.001070941], [4.613489e-07, 4.377157e-06, -4.838497e-06], [-0.110245, 0.0201115, 0.09013348], [-0.03861113, 0.01156144, 0.02704969], [0.005543558, -0.005819556, 0.0002759974], [-9.155212e-08, 9.093927e-08, 6.12744e-10], [0.0, 0.0, 0.0], [0.03109055, -0.06218111, 0.03109055]]),
        (SegmentationLoss::Focal { gamma: 0.5, weights: vec![0.25, 0.5, 1.0] }, 0.2483716, [[-0.003579155, 0.002926225, 0.0006529291], [0.003659343, -0.01360647, 0.009947126], [0.0, 0.0, 0.0], [0.01393596, 0.06245663, -0.07639261], [-0.002356671, 0.0002247072, 0.002131963], [5.743927e-05, 0.0005449686, -0.0006024067], [-0.02408404, 0.004393544, 0.0196905], [-0.01357038, 0.004063417, 0.009506962], [0.009965169, -0.01046131, 0.0004961364], [-2.071596e-05, 2.057729e-05, 1.386487e-07], [0.0, 0.0, 0.0], [0.01734583, -0.03469166, 0.01734583]]),
        (dice(true, 1.0), 0.2132621, [[-0.006845519, 0.006022523, 0.0008229972], [0.003313003, -0.01670557, 0.01339256], [0.0, 0.0, 0.0], [0.0004847074, 0.03113234, -0.03161705], [-0.004793731, 0.0002816557, 0.004512076], [9.748967e-05, 0.0009726689, -0.001070157], [-0.01177096, -0.005275776, 0.01704673], [-0.01944985, 0.003360333, 0.01608952], [0.01301437, -0.0134541, 0.000439735], [-8.889523e-05, 8.832919e-05, 5.659062e-07], [0.0, 0.0, 0.0], [0.01100328, -0.02563588, 0.0146326]]),
        (dice(false, 0.001), 0.407245, [[-0.01365732, 0.01122717, 0.002430148], [0.006259396, -0.02458568, 0.01832628], [0.0, 0.0, 0.0], [0.003982391, 0.02213907, -0.02612146], [-0.01077313, 0.001053855, 0.009719276], [0.000291632, 0.002933702, -0.003225328], [-0.007163925, 0.001564293, 0.005599631], [-0.01981203, 0.006154049, 0.01365799], [0.02036741, -0.02145225, 0.00108484], [-0.0005448864, 0.0005413272, 3.560996e-06], [0.0, 0.0, 0.0], [0.01123599, -0.02425828, 0.01302229]]),
        (SegmentationLoss::LovaszSoftmax {}, 0.4748892, [[-0.008203582, 0.006516698, 0.001686885], [0.005125473, -0.02064416, 0.01551868], [0.0, 0.0, 0.0], [0.0004419346, 0.03123645, -0.03167839], [-0.007407255, 0.0005959654, 0.006811289], [9.811381e-05, 0.000930878, -0.00102899], [-0.0141283, -0.01234352, 0.02647182], [-0.02130519, 0.00316712, 0.01813807], [0.02059606, -0.02130688, 0.0007108249], [-0.000247861, 0.0002462021, 1.658897e-06], [0.0, 0.0, 0.0], [0.01790124, -0.03024691, 0.01234568]]),
        (SegmentationLoss::Sum { parts: vec![WeightedLoss { weight: 1.0, loss: SegmentationLoss::default() }, WeightedLoss { weight: 3.0, loss: dice(true, 1.0) }] }, 1.306579, [[-0.04197686, 0.03559661, 0.006380249], [0.01894207, -0.08359263, 0.06465054], [0.0, 0.0, 0.0], [0.01461429, 0.1523768, -0.1669911], [-0.03049489, 0.002381399, 0.02811348], [0.0005340637, 0.005210193, -0.005744246], [-0.1253505, 0.0005978402, 0.1247527], [-0.1134781, 0.02658829, 0.08688978], [0.06558191, -0.0682224, 0.002640493], [-0.0009404525, 0.0009342424, 6.207122e-06], [0.0, 0.0, 0.0], [0.06634316, -0.1435743, 0.07723114]]),
    ]
}

fn value_and_gradient(loss: &SegmentationLoss, labels: [[u8; 6]; 2]) -> (f32, Vec<f32>) {
    let logits = Tensor::<4>::from_data(LOGITS, &Device::flex().autodiff()).require_grad();
    let value = loss.of(logits.clone(), &Labels::of(&truths(labels), 3));
    let gradients = value.backward();
    let gradient = logits.grad(&gradients).expect("logits are learned").permute([0, 2, 3, 1]);
    (value.into_scalar::<f32>(), gradient.into_data().iter::<f32>().collect())
}

#[test]
fn losses_and_gradients_are_their_references() {
    for (loss, value, gradient) in expected() {
        loss.check(3).expect("sensible numbers");
        let (found, found_gradient) = value_and_gradient(&loss, LABELS);
        assert!((found - value).abs() < 2e-6 * value.max(1.0), "{loss:?}: {found}, {value}");
        for (pixel, (found, expected)) in found_gradient.chunks(3).zip(gradient).enumerate() {
            let is_near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6);
            assert!(is_near, "{loss:?}, pixel {pixel}: {found:?}, {expected:?}");
        }
    }
}

#[test]
fn an_easy_pixel_costs_next_to_nothing() {
    // 0.25 (1 - p)² (-ln p) of p = 0.9 and 0.1, the focal loss paper's alpha and gamma.
    for (p, expected) in [(0.9f32, 2.634_013e-4), (0.1, 0.466_273_5)] {
        let logits = Tensor::<4>::from_data([[[[p.ln()]], [[(1.0 - p).ln()]]]], &Device::flex());
        let map = LabelMap { width: 1, height: 1, labels: vec![0] };
        let labels = Labels::of(&[Truth { label_map: Some(map), ..Truth::default() }], 2);
        let focal = SegmentationLoss::Focal { gamma: 2.0, weights: vec![0.25, 0.25] };
        let found = focal.of(logits, &labels).into_scalar::<f32>();
        assert!((found - expected).abs() < 2e-6 * expected, "{p}: {found}");
    }
}

#[test]
fn a_batch_in_which_no_pixel_counts_costs_nothing() {
    for (loss, ..) in expected() {
        let found = value_and_gradient(&loss, [[IGNORED; 6]; 2]);
        assert_eq!(found, (0.0, vec![0.0; 36]), "{loss:?}");
    }
}

#[test]
fn sure_and_right_or_sure_and_wrong_is_no_nan() {
    // One pixel is right and two are wrong by e^200, one is undecided; those that do not count are not looked at.
    let logits = Tensor::<4>::from_data(
        [[[[200.0], [f32::NAN]], [[0.0], [f32::NAN]]], [[[200.0], [200.0]], [[0.0], [0.0]]]],
        &Device::flex().autodiff(),
    );
    let map = |labels: [u8; 2]| LabelMap { width: 1, height: 2, labels: labels.to_vec() };
    let truth = |labels| Truth { label_map: Some(map(labels)), ..Truth::default() };
    let labels = Labels::of(&[truth([0, 0]), truth([1, 1])], 2);
    let steady = logits.clone().mask_fill(logits.clone().is_nan(), 200.0);
    let focal = |gamma| SegmentationLoss::Focal { gamma, weights: Vec::new() };
    for loss in [focal(2.0), focal(0.5), focal(0.0), dice(true, 1.0), SegmentationLoss::LovaszSoftmax {}] {
        let leaf = steady.clone().require_grad();
        let value = loss.of(leaf.clone(), &labels);
        let gradient = leaf.grad(&value.backward()).expect("logits are learned").into_data();
        assert!(value.into_scalar::<f32>().is_finite(), "{loss:?}");
        assert!(gradient.iter::<f32>().all(f32::is_finite), "{loss:?}: {gradient}");
    }
    // Cross entropy of one right, one undecided and two wrong: (0 + ln 2 + 200 + 200) / 4 = 100.17328680.
    let value = SegmentationLoss::default().of(steady, &labels).into_scalar::<f32>();
    assert!((value - 100.173_29).abs() < 1e-4, "{value}");
    let labels = Labels::of(&[truth([0, IGNORED]), truth([1, 1])], 2);
    let value = SegmentationLoss::default().of(logits, &labels).into_scalar::<f32>();
    assert!((value - 400.0 / 3.0).abs() < 1e-4, "{value}");
}

#[test]
fn hard_pixels_are_at_least_so_many_if_there_are_as_many() {
    // Of ten pixels that count all are fewer than eleven: the mean over all is cross entropy.
    let (all, ..) = value_and_gradient(&ohem(0.0, 11), LABELS);
    let (plain, ..) = value_and_gradient(&SegmentationLoss::default(), LABELS);
    assert!((all - plain).abs() < 1e-6, "{all}, {plain}");
    // Of pixels that are equally hard the first are taken: one of twelve has a gradient.
    let logits = Tensor::<4>::zeros([2, 3, 2, 3], &Device::flex().autodiff()).require_grad();
    let value = ohem(0.0, 1).of(logits.clone(), &Labels::of(&truths([[1; 6]; 2]), 3));
    let gradient = logits.grad(&value.backward()).expect("logits are learned").into_data();
    let moved: Vec<usize> = gradient.iter::<f32>().enumerate().filter(|g| g.1 != 0.0).map(|g| g.0).collect();
    assert_eq!(moved, [0, 6, 12]);
}

#[test]
fn losses_are_named_in_a_file_and_checked() {
    type Case<'a> = (&'a str, SegmentationLoss);
    let weights = vec![0.5, 1.0, 4.0];
    let sum = SegmentationLoss::Sum {
        parts: vec![
            WeightedLoss { weight: 1.0, loss: SegmentationLoss::default() },
            WeightedLoss { weight: 3.0, loss: dice(true, 1.0) },
        ],
    };
    let rows: [Case<'_>; 7] = [
        ("name = 'cross-entropy'", SegmentationLoss::default()),
        ("name = 'cross-entropy'\nweights = [0.5, 1.0, 4.0]", SegmentationLoss::CrossEntropy { weights }),
        ("name = 'ohem'", ohem(0.7, 100_000)),
        ("name = 'focal'\ngamma = 1.5", SegmentationLoss::Focal { gamma: 1.5, weights: Vec::new() }),
        ("name = 'dice'\nsquared = false", dice(false, 1.0)),
        ("name = 'lovasz-softmax'", SegmentationLoss::LovaszSoftmax {}),
        (
            "name = 'sum'\nparts = [{ loss = { name = 'cross-entropy' } }, { weight = 3.0, loss = { name = 'dice' } }]",
            sum,
        ),
    ];
    for (text, loss) in rows {
        assert_eq!(toml::from_str::<SegmentationLoss>(text).as_ref(), Ok(&loss), "{text}");
        let written = toml::to_string(&loss).expect("a loss can be written");
        assert_eq!(toml::from_str::<SegmentationLoss>(&written).as_ref(), Ok(&loss), "{written}");
        assert!(loss.check(3).is_ok(), "{text}");
    }
    assert!(toml::from_str::<SegmentationLoss>("name = 'lovasz-softmax'\nper_image = true").is_err());
    let mistakes = [
        (
            "name = 'cross-entropy'\nweights = [1.0]",
            "`weights` has 1 numbers, for 3 classes; a number a class",
        ),
        ("name = 'focal'\nweights = [1.0, -1.0, 2.0]", "`weights` is [1.0, -1.0, 2.0]; numbers from 0 up"),
        ("name = 'cross-entropy'\nweights = [0.0, 0.0, 0.0]", "not all of them 0"),
        ("name = 'ohem'\nthreshold = 70.0", "`threshold` is 70; a probability, as 0.7"),
        ("name = 'ohem'\nleast = 0", "`least` is 0"),
        ("name = 'focal'\ngamma = -1.0", "`gamma` is -1"),
        ("name = 'dice'\nsmoothing = 0.0", "`smoothing` is 0; a number above 0, as 1"),
        ("name = 'sum'\nparts = []", "a sum of no losses"),
        (
            "name = 'sum'\nparts = [{ loss = { name = 'dice' } }, { loss = { name = 'dice' } }]",
            "parts[1]: `dice` in a sum; each loss once, and no sums",
        ),
        ("name = 'sum'\nparts = [{ weight = 0.0, loss = { name = 'dice' } }]", "parts[0]: `weight` is 0"),
        ("name = 'sum'\nparts = [{ loss = { name = 'ohem', least = 0 } }]", "parts[0]: `least` is 0"),
    ];
    for (text, expected) in mistakes {
        let loss = toml::from_str::<SegmentationLoss>(text).expect(text);
        let line = loss.check(3).expect_err(text).to_string();
        assert!(line.contains(expected), "{line}\n{expected}");
    }
}
