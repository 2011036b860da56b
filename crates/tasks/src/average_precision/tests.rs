use super::*;

/// Image and class, both counted from 0, then the box, its area, and whether it is a crowd.
type Object = (usize, usize, XywhBox, f64, bool);

/// Image, class, score, box.
type Prediction = (usize, usize, f64, XywhBox);

/// What pycocotools 2.0.11 says: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; -1 where there is nothing
/// to be found.
type Row = (&'static str, Vec<Object>, Vec<Prediction>, [f64; 12]);

fn sized(side: f64, x: f64) -> XywhBox {
    [x, 0.0, side, side]
}

/// Thirteen objects; of 110 predictions every ninth is at one, the next but three at the same again.
fn many() -> (Vec<Object>, Vec<Prediction>) {
    let objects = (0..13).map(|at| (0, 0, sized(50.0, 60.0 * f64::from(at)), 2500.0, false)).collect();
    let prediction = |at: u32| {
        let score = ((1.0 - 0.009 * f64::from(at)) * 1e3).round() / 1e3;
        let bounds = match at % 9 {
            0 | 4 => [60.0 * f64::from(at / 9), 0.0, 50.0, 50.0 - f64::from(at % 9 * 3)],
            _ => [60.0 * f64::from(at), 500.0, 20.0, 20.0],
        };
        (0, 0, score, bounds)
    };
    (objects, (0..110).map(prediction).collect())
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let one = || vec![(0, 0, sized(50.0, 0.0), 2500.0, false)];
    let (thirteen, hundred_and_ten) = many();
    vec![
        (
            "a crowd takes any number, by the share that lies in it",
            vec![(0, 0, sized(100.0, 0.0), 10000.0, true), (0, 0, sized(50.0, 200.0), 2500.0, false)],
            vec![(0, 0, 0.9, sized(40.0, 0.0)), (0, 0, 0.8, [50.0, 50.0, 60.0, 60.0]), (0, 0, 0.7, [200.0, 0.0, 50.0, 45.0]), (0, 0, 0.6, [90.0, 90.0, 60.0, 60.0])],
            [0.65, 1.0, 0.5, -1.0, 0.65, -1.0, 0.0, 0.9, 0.9, -1.0, 0.9, -1.0],
        ),
        (
            "an object of its own goes before a crowd that fits better",
            vec![(0, 0, sized(100.0, 0.0), 10000.0, true), (0, 0, [0.0, 0.0, 40.0, 60.0], 2400.0, false)],
            vec![(0, 0, 0.9, sized(40.0, 0.0)), (0, 0, 0.8, [0.0, 0.0, 40.0, 58.0])],
            [1.0, 1.0, 1.0, -1.0, 1.0, -1.0, 0.4, 1.0, 1.0, -1.0, 1.0, -1.0],
        ),
        (
            "areas have both ends, and what is outside does not count",
            vec![(0, 0, sized(32.0, 0.0), 1024.0, false), (0, 0, sized(96.0, 100.0), 9216.0, false), (1, 1, sized(10.0, 0.0), 100.0, false)],
            vec![(0, 0, 0.9, [0.0, 0.0, 32.0, 31.0]), (0, 0, 0.8, [100.0, 0.0, 96.0, 90.0]), (0, 0, 0.7, sized(33.0, 300.0)), (1, 1, 0.9, [0.0, 0.0, 10.0, 9.0]), (1, 1, 0.8, [50.0, 50.0, 200.0, 200.0])],
            [0.9252475247524753, 1.0, 1.0, 0.95, 0.9504950495049505, 0.9, 0.7, 0.925, 0.925, 0.95, 0.95, 0.9],
        ),
        (
            "equal scores stand by image, then as they were given",
            vec![(0, 0, sized(50.0, 0.0), 2500.0, false), (1, 0, sized(50.0, 0.0), 2500.0, false), (2, 0, sized(50.0, 0.0), 2500.0, false)],
            vec![(1, 0, 0.5, [0.0, 0.0, 50.0, 49.0]), (2, 0, 0.5, sized(50.0, 5.0)), (0, 0, 0.5, sized(50.0, 100.0)), (0, 0, 0.5, [0.0, 0.0, 50.0, 40.0]), (1, 0, 0.5, sized(50.0, 0.0))],
            [0.4846204620462045, 0.6442244224422441, 0.6442244224422441, -1.0, 0.4846204620462045, -1.0, 0.5666666666666667, 0.8, 0.8, -1.0, 0.8, -1.0],
        ),
        (
            "the last of objects that are equally alike is found",
            vec![(0, 0, sized(50.0, 0.0), 2500.0, false), (0, 0, sized(50.0, 10.0), 500.0, false)],
            vec![(0, 0, 0.9, sized(50.0, 5.0)), (0, 0, 0.8, sized(50.0, 0.0))],
            [0.7757425742574258, 1.0, 1.0, 0.7, 0.85, -1.0, 0.35, 0.85, 0.85, 0.7, 1.0, -1.0],
        ),
        (
            "a class without objects does not count, an image without objects does",
            one(),
            vec![(0, 0, 0.5, [0.0, 0.0, 50.0, 49.0]), (1, 0, 0.6, sized(50.0, 0.0)), (1, 1, 0.9, sized(50.0, 0.0)), (2, 2, 0.9, sized(5.0, 0.0))],
            [0.5, 0.5, 0.5, -1.0, 0.5, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1.0],
        ),
        (
            "a crowd alone is nothing to be found",
            vec![(0, 0, sized(50.0, 0.0), 2500.0, true), (1, 1, sized(50.0, 0.0), 2500.0, false)],
            vec![(0, 0, 0.5, [0.0, 0.0, 50.0, 49.0]), (1, 0, 0.6, sized(50.0, 0.0))],
            [0.0, 0.0, 0.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0, -1.0],
        ),
        (
            "what is not predicted is not found",
            one(),
            vec![(1, 1, 0.1, sized(1.0, 0.0))],
            [0.0, 0.0, 0.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0, -1.0],
        ),
        (
            "of 110 predictions the best 1, 10 or 100 are taken",
            thirteen,
            hundred_and_ten,
            [0.19451108119879135, 0.19451108119879132, 0.19451108119879132, -1.0, 0.5471406480715729, -1.0, 0.07692307692307691, 0.15384615384615383, 0.9230769230769231, -1.0, 0.9230769230769231, -1.0],
        ),
    ]
}

fn score((_, objects, predictions, _): &Row) -> AveragePrecision<BoxIou> {
    let mut score = AveragePrecision::new(BoxIou, 3);
    for image in 0..3 {
        let objects = objects.iter().filter(|object| object.0 == image);
        let objects = objects.map(|(_, class, shape, area, crowd)| Actual {
            class: *class,
            area: *area,
            crowd: *crowd,
            ignored: false,
            shape: *shape,
        });
        let predictions = predictions.iter().filter(|prediction| prediction.0 == image);
        let predictions = predictions.map(|(_, class, score, shape)| Predicted {
            class: *class,
            score: *score,
            area: shape[2] * shape[3],
            shape: *shape,
        });
        score.add(&predictions.collect::<Vec<_>>(), &objects.collect::<Vec<_>>());
    }
    score
}

#[test]
fn every_figure_is_pycocotools() {
    for row in rows() {
        let summary = score(&row).summary();
        assert_eq!(summary.figures().count(), 12);
        for ((figure, value), expected) in summary.figures().zip(row.3) {
            let value = value.unwrap_or(-1.0);
            assert!((value - expected).abs() < 1e-12, "{}, {}: {value}, not {expected}", row.0, figure.name);
        }
    }
}

#[test]
fn a_curve_averages_to_the_same_precision() {
    for row in rows() {
        let score = score(&row);
        for (class, expected) in score.summary().per_class().enumerate() {
            let curves = (0..THRESHOLDS.len()).map(|threshold| score.curve(class, threshold));
            let mean = curves.map(|curve| curve.average_of_101()).sum::<f64>() / THRESHOLDS.len() as f64;
            assert!((mean - expected.unwrap_or(0.0)).abs() < 1e-12, "{}, class {class}: {mean}", row.0);
        }
    }
}

#[test]
fn thresholds_are_numpys_to_the_bit() {
    // np.linspace(.5, .95, 10)
    assert_eq!(THRESHOLDS, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.8999999999999999, 0.95]);
}

#[test]
fn scores_are_in_order_whatever_their_sign() {
    let rising = [f64::NEG_INFINITY, -2.0, -1e-300, 0.0, 1e-300, 0.5, 2.0, f64::INFINITY];
    assert!(rising.map(ordered).is_sorted_by(|a, b| a < b));
    assert_eq!(ordered(-0.0), ordered(0.0));
    assert_eq!(ordered(f64::NAN), ordered(f64::NEG_INFINITY));
}

#[test]
fn a_figure_reads_as_pycocotools_prints_it() {
    let lines: Vec<String> = rules::DETECTION.figures.iter().map(Figure::to_string).collect();
    assert_eq!(lines[0], "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]");
    assert_eq!(lines[2], "Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ]");
    assert_eq!(lines[6], "Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ]");
    assert_eq!(lines[10], "Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]");
}
