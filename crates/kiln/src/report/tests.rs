#![allow(clippy::unwrap_used)]

use image::{Rgb, RgbImage};

use super::html::{escape, short, shorten};
use super::scale::{Scale, Spelling};
use super::*;

/// A run as it might have been: the loss falls, the rate warms up and follows a cosine, the accuracy rises.
pub(super) fn a_run(epochs: usize, classes: usize) -> Report {
    let per_epoch = 120;
    let total = (epochs * per_epoch) as f64;
    let noise = |seed: usize| {
        let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) & 0xffff) as f64 / 65_536.0 - 0.5
    };
    let rate_at = |step: usize| {
        let warm = (step as f64 / 60.0).min(1.0);
        0.1 * warm * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total).cos())
    };
    let loss_at = |step: usize| 0.12 + 2.2 * (-(step as f64) / 0.18 / total).exp();
    let steps = (1..=epochs * per_epoch).map(|step| StepRow {
        step,
        loss: loss_at(step) * (1.0 + 0.5 * noise(step)),
        rate: rate_at(step),
    });
    let rows = (1..=epochs).map(|epoch| {
        let step = epoch * per_epoch;
        let accuracy = 0.97 - 0.75 * (-6.0 * epoch as f64 / epochs as f64).exp() + 0.012 * noise(epoch * 31);
        let (train_loss, test_loss) = (loss_at(step), 0.04 + loss_at(step) * (1.0 + 0.1 * noise(epoch)));
        let figures = vec![("accuracy".into(), accuracy), ("top5".into(), 1.0 - 0.15 * (1.0 - accuracy))];
        EpochRow { epoch, step, rate: rate_at(step), train_loss, test_loss, figures }
    });
    let times = (1..=epochs).map(|epoch| TimesRow {
        step: epoch * per_epoch,
        epoch,
        items: 128 * per_epoch,
        seconds: [0.1, 5.0 + noise(epoch), 9.0 - noise(epoch), 1.5, 0.2, 0.6, 2.5],
    });
    let names =
        ["circle", "triangle", "square", "pentagon", "hexagon", "star", "cross", "ring", "arrow", "heart"];
    let name = |class: usize| match names.get(class) {
        Some(name) => (*name).to_string(),
        None => format!("class number {class}"),
    };
    let count = |truth: usize, predicted: usize| match (truth * 31 + predicted * 17) % 23 {
        _ if truth == predicted => 190 - (truth as u64 * 7) % 13,
        0..3 => (truth as u64 + predicted as u64) % 9 + 1,
        _ => 0,
    };
    let counts = (0..classes).map(|truth| (0..classes).map(|predicted| count(truth, predicted)).collect());
    let card = |index: usize, side: u32, right: bool| {
        let (middle, radius) = (f64::from(side) / 2.0, f64::from(side) * (0.2 + 0.02 * (index % 10) as f64));
        let image = RgbImage::from_fn(side, side, |x, y| {
            let far = (f64::from(x) - middle).hypot(f64::from(y) - middle);
            let ground = [(60 + 5 * index) as u8, (90 + 2 * x % 40) as u8, (120 + 3 * y % 50) as u8];
            if far < radius { Rgb([230, (40 + 17 * index % 200) as u8, 60]) } else { Rgb(ground) }
        });
        let (truth, other) = (index % classes, (index + 3) % classes);
        let predicted = if right { truth } else { other };
        let probability = 0.99 - 0.05 * index as f32;
        SampleCard { image, truth: name(truth), predicted: name(predicted), probability }
    };
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    Report {
        title: "quickstart".into(),
        subtitle: "resnet20 on shapes (generated), 10 classes".into(),
        summary: vec![
            pair("best accuracy", "96.35\u{a0}%"),
            pair("epochs", &epochs.to_string()),
            pair("parameters", "272,474"),
            pair("time", "2 min 31 s"),
            pair("images a second", "1,842"),
            pair("device", "flex"),
        ],
        epochs: rows.collect(),
        steps: steps.collect(),
        times: times.collect(),
        confusion: Some(Confusion { classes: (0..classes).map(name).collect(), counts: counts.collect() }),
        objects: None,
        labels: None,
        samples: Samples {
            right: (0..12).map(|index| card(index, 32, true)).collect(),
            wrong: (0..9).map(|index| card(index, 32, false)).collect(),
        },
        layers: Vec::new(),
        configuration: "# cargo xtask train\n# two minutes; 96 % test accuracy\n\n[data]\nname = \"shapes\" # a < b\nsize = 32\n\n\
                        [train]\nepochs = 8\nbatch_size = 128\noptimizer = { type = \"sgd\", lr = 0.1, momentum = 0.9 }\n"
            .into(),
        resolved: "{\n  \"seed\": 1\n}".into(),
        environment: vec![
            pair("kiln", "0.1.0"),
            pair("burn", "0.22.1"),
            pair("device", "flex"),
            pair("processor", "2 cores, x86_64, AVX-512"),
        ],
        command: "cargo xtask train configs/quickstart.toml --set train.epochs=8".into(),
    }
}

/// The pages of ordinary and of odd runs, each with its name.
fn pages() -> Vec<(&'static str, Report)> {
    let mut perfect = a_run(12, 10);
    perfect.samples.wrong.clear();
    let confusion = perfect.confusion.as_mut().unwrap();
    for (truth, row) in confusion.counts.iter_mut().enumerate() {
        row.iter_mut().enumerate().filter(|(class, _)| *class != truth).for_each(|(_, count)| *count = 0);
    }
    let mut diverged = a_run(6, 10);
    diverged.steps.iter_mut().skip(300).for_each(|row| row.loss = f64::NAN);
    diverged.epochs.iter_mut().skip(2).for_each(|row| {
        (row.train_loss, row.test_loss) = (f64::NAN, f64::INFINITY);
        row.figures[0].1 = f64::NAN;
    });
    diverged.samples.wrong[0].probability = f32::NAN;
    let mut long = a_run(90, 10);
    let confusion = long.confusion.as_mut().unwrap();
    confusion.classes[3] = "a class whose <name> goes on & on, for nobody had the heart to cut it".into();
    confusion.classes[4] = "n02088364_an_unbroken_name_of_no_little_length_beagle".into();
    for (place, card) in long.samples.wrong.iter_mut().enumerate() {
        card.truth = confusion.classes[3 + place % 2].clone();
    }
    long.samples.right[0].image = RgbImage::from_pixel(640, 280, Rgb([90, 140, 90]));
    long.samples.right[1].image = RgbImage::new(0, 0);
    for (index, row) in long.steps.iter_mut().enumerate() {
        row.rate = [0.1, 0.01, 0.001][(3 * index / 10_800).min(2)];
    }
    vec![
        ("ordinary", a_run(8, 10)),
        ("one_epoch", a_run(1, 10)),
        ("perfect", perfect),
        ("diverged", diverged),
        ("long_names", long),
        ("hundred_classes", a_run(30, 100)),
        ("twenty_five_classes", a_run(30, 25)),
        ("before_the_first_epoch", Report { epochs: Vec::new(), confusion: None, ..a_run(1, 10) }),
        ("empty", Report::default()),
    ]
}

pub(super) fn parsed(page: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(page, options).expect("the page is well-formed")
}

#[test]
fn every_page_is_well_formed_and_loads_nothing() {
    for (name, report) in pages() {
        let page = render(&report);
        let document = parsed(&page);
        for node in document.descendants().filter(|node| node.is_element()) {
            assert_ne!(node.tag_name().name(), "script", "{name}");
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on"), "{name}: {attribute:?}");
                let loads = ["src", "href", "srcset", "data", "action"].contains(&attribute.name());
                assert!(!loads || attribute.value().starts_with("data:"), "{name}: {attribute:?}");
                let not_a_number = ["NaN", "inf"].iter().any(|word| attribute.value().contains(word));
                assert!(loads || !not_a_number, "{name}: {attribute:?}");
            }
        }
        for forbidden in ["http://", "https://", "@import", "url("] {
            assert!(!page.contains(forbidden), "{name} holds {forbidden}");
        }
    }
}

#[test]
fn all_text_is_escaped() {
    let nasty = "<script>alert(\"1\")</script> & \u{0}'";
    let mut report = a_run(2, 3);
    (report.title, report.subtitle) = (nasty.into(), nasty.into());
    report.summary[0] = (nasty.into(), nasty.into());
    report.environment[0] = (nasty.into(), nasty.into());
    (report.configuration, report.resolved, report.command) = (nasty.into(), nasty.into(), nasty.into());
    report.confusion.as_mut().unwrap().classes = vec![nasty.into(); 3];
    report.samples.wrong[0] = SampleCard {
        truth: nasty.into(),
        predicted: nasty.into(),
        image: RgbImage::new(2, 2),
        probability: 0.5,
    };
    report.epochs.iter_mut().for_each(|row| row.figures[0].0 = nasty.into());
    let page = render(&report);
    assert!(!page.contains("<script"));
    let document = parsed(&page);
    let title = document.descendants().find(|node| node.has_tag_name("h1")).unwrap();
    assert_eq!(title.text(), Some("<script>alert(\"1\")</script> & \u{fffd}'"));
    assert_eq!(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
}

#[test]
fn every_point_of_a_curve_lies_inside_its_drawing() {
    for (name, report) in pages() {
        let page = render(&report);
        let document = parsed(&page);
        let mut drawings = 0;
        for svg in document.descendants().filter(|node| node.attribute("class") == Some("chart")) {
            let size: Vec<f64> =
                svg.attribute("viewBox").unwrap().split(' ').map(|part| part.parse().unwrap()).collect();
            let inside = |x: &str, y: &str| {
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y), "{name}: {x} {y}");
            };
            for node in svg.descendants() {
                for point in node.attribute("points").unwrap_or_default().split_whitespace() {
                    let (x, y) = point.split_once(',').unwrap();
                    inside(x, y);
                }
                if let (Some(x), Some(y)) = (node.attribute("cx"), node.attribute("cy")) {
                    inside(x, y);
                }
            }
            drawings += 1;
        }
        let expected = usize::from(report.times.len() > 1)
            + if report.epochs.is_empty() { 2 * usize::from(!report.steps.is_empty()) } else { 3 };
        assert_eq!(drawings, expected, "{name}");
    }
}

#[test]
fn ticks_are_round_numbers_and_hold_all_values_between_them() {
    for values in [
        [0.031, 2.31],
        [-3.0, 17.0],
        [0.9512, 0.9623],
        [1234.0, 98765.0],
        [5.0, 5.0],
        [0.0, 0.0],
        [1e-7, 3e-7],
    ] {
        let scale = Scale::around(&values);
        for tick in &scale.ticks {
            // Of a round number nothing is left after its first digits: at most four of them here.
            let digits = format!("{:.12e}", tick.abs());
            let (digits, _) = digits.split_once('e').unwrap();
            let digits = digits.replace('.', "");
            assert!(digits.trim_end_matches('0').len() <= 4, "{values:?}: {tick}");
        }
        assert!(scale.low <= values[0] && values[1] <= scale.high, "{values:?}: {scale:?}");
        assert!(scale.ticks.len() >= 2 && scale.ticks.len() <= 9, "{values:?}: {scale:?}");
    }
    let names = |values: &[f64], spelling| Scale::around(values).names(spelling);
    assert_eq!(
        names(&[0.0, 2.3], Spelling::Number),
        ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"].map(|tick| if tick == "0.0" { "0" } else { tick })
    );
    assert_eq!(
        names(&[0.61, 0.98], Spelling::Percent),
        ["60", "70", "80", "90", "100"].map(|tick| format!("{tick}\u{a0}%"))
    );
    // Two thirds of the values lie below a tenth of the largest: a ladder of 1, 2, 5.
    assert_eq!(
        names(&[0.1, 0.01, 0.001], Spelling::Number),
        ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]
    );
    assert_eq!(
        names(&[1e-6, 1e-3, 1.0], Spelling::Number),
        ["1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1", "1"]
    );
    assert_eq!(Scale::counts(90.0).ticks, [0.0, 20.0, 40.0, 60.0, 80.0]);
    assert_eq!(Scale::counts(3.0).ticks, [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn the_figures_of_a_class_are_those_of_the_arithmetic() {
    // Rows are truths. Of class a 8 of 10 are right, and 8 + 1 + 3 = 12 images are taken for a.
    let classes = ["a", "b", "c", "d"].map(String::from).to_vec();
    let counts = vec![vec![8, 2, 0, 0], vec![1, 4, 0, 0], vec![3, 0, 0, 0], vec![0, 0, 0, 0]];
    let confusion = Confusion { classes, counts };
    let figures = confusion.figures();
    // F1 = 2 right / (support + taken): 2 * 8 / (10 + 12) and 2 * 4 / (5 + 6).
    let a =
        ClassFigures { support: 10, precision: Some(8.0 / 12.0), recall: Some(0.8), f1: Some(16.0 / 22.0) };
    let b = ClassFigures { support: 5, precision: Some(4.0 / 6.0), recall: Some(0.8), f1: Some(8.0 / 11.0) };
    // c was never named, d neither named nor there.
    let c = ClassFigures { support: 3, precision: None, recall: Some(0.0), f1: Some(0.0) };
    let d = ClassFigures { support: 0, precision: None, recall: None, f1: None };
    assert_eq!(figures, [a, b, c, d]);
    assert_eq!(confusion.mistakes(), [(2, 0, 3), (0, 1, 2), (1, 0, 1)]);
    assert_eq!(figures.iter().map(|class| class.support).sum::<u64>(), 8 + 2 + 1 + 4 + 3);
}

#[test]
fn the_matrix_shows_each_count_in_the_row_of_its_truth() {
    let confusion =
        Confusion { classes: vec!["cat".into(), "dog".into()], counts: vec![vec![90, 10], vec![3, 47]] };
    let page = render(&Report { confusion: Some(confusion), ..Report::default() });
    let document = parsed(&page);
    let place = |count: &str| {
        let shown = |node: &roxmltree::Node| {
            node.has_tag_name("text")
                && node.attribute("class").unwrap().starts_with("count")
                && node.text() == Some(count)
        };
        let text = document.descendants().find(shown).unwrap();
        ["y", "x"].map(|axis| text.attribute(axis).unwrap().parse::<f64>().unwrap())
    };
    let ([top, left], [_, right], [bottom, _]) = (place("90"), place("10"), place("3"));
    assert!(left < right && top < bottom);
    assert!(page.contains("<title>cat taken for dog: 10 (10.0\u{a0}%)</title>"));
    // 10 + 3 of 150 images.
    assert!(page.contains("13 of 150 test images were taken for another class (8.67\u{a0}%)"));
}

#[test]
fn the_best_epoch_is_the_first_of_the_highest_and_is_marked() {
    let mut report = a_run(4, 3);
    for (row, accuracy) in report.epochs.iter_mut().zip([0.5, 0.75, f64::NAN, 0.75]) {
        row.figures[0].1 = accuracy;
    }
    assert_eq!(curves::best(&report.epochs), Some((1, 0.75)));
    let page = render(&report);
    assert!(page.contains("the best accuracy, <b>75.00\u{a0}%</b> after epoch <b>2</b>"));
    assert_eq!(page.matches("class=\"ring\"").count(), 1);
    assert_eq!(page.matches("<tr class=\"best\"><td>2</td>").count(), 1);
}

#[test]
fn smoothing_leaves_a_straight_line_as_it_is_and_halves_no_spike_of_a_short_run() {
    let line: Vec<[f64; 2]> = (0..300).map(|at| [f64::from(at), 3.0 * f64::from(at) + 1.0]).collect();
    for (smooth, point) in curves::smoothed(&line).iter().zip(&line) {
        assert!((smooth[1] - point[1]).abs() < 1e-9, "{smooth:?} {point:?}");
    }
    // Three points: a sixtieth of them is none to either side.
    let spike = [[0.0, 1.0], [1.0, 9.0], [2.0, 1.0]];
    assert_eq!(curves::smoothed(&spike), spike);
}

#[test]
fn names_and_numbers_are_short_but_tell_themselves_apart() {
    assert_eq!(shorten("dog", 12), "dog");
    assert_eq!(shorten("n02088364_beagle", 12), "n0208836…gle");
    // Ten letters, not bytes: six, the ellipsis, three.
    assert_eq!(shorten("élégant café au lait", 10), "élégan…ait");
    assert_eq!([0, 999, 1000, 1_234_567].map(html::grouped), ["0", "999", "1,000", "1,234,567"]);
    let numbers = [0.1, 0.00032, 3.2e-5, 0.0, 1.0, 250_000.0, f64::NAN].map(short);
    assert_eq!(numbers, ["0.1", "3.2e-4", "3.2e-5", "0", "1", "2.5e5", "–"]);
}

/// For the eye: `KILN_REPORTS=folder cargo test --release -p kiln report -- --ignored` writes the pages there.
#[test]
#[ignore = "writes pages to look at"]
fn the_pages_are_written_to_be_looked_at() {
    let folder = std::env::var_os("KILN_REPORTS").expect("KILN_REPORTS names a folder");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, report) in pages() {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), render(&report)).unwrap();
    }
}
