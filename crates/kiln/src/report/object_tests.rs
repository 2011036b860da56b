#![allow(clippy::unwrap_used)]

use image::{Rgb, RgbImage};

use super::tests::{a_run, parsed};
use super::*;

/// A class as it might be found: the better, the higher its curves.
fn class(name: &str, objects: usize, quality: f64) -> ClassCurve {
    let step = |at: usize| at as f64 / 100.0;
    let precision = (0..=100).map(|at| match step(at) / (0.35 + 0.65 * quality) {
        far if far > 1.0 => 0.0,
        far => (0.55 + 0.45 * quality) * (1.0 - far.powi(6) * (1.0 - 0.4 * quality)),
    });
    let f1 = |score: f64| quality * (1.0 - (score - 0.42).powi(2) * 2.4).max(0.0) * (1.0 - score.powi(9));
    let best = (0..=100).map(step).max_by(|a, b| f1(*a).total_cmp(&f1(*b))).unwrap();
    let precision: Vec<f64> = if objects == 0 { vec![0.0; 101] } else { precision.collect() };
    ClassCurve {
        name: name.into(),
        objects,
        ap: (objects > 0).then(|| 0.62 * precision.iter().sum::<f64>() / 101.0),
        precision,
        f1: (0..=100).map(step).map(|score| if objects == 0 { 0.0 } else { f1(score) }).collect(),
        best_f1: (objects > 0).then(|| [best, f1(best)]),
    }
}

/// A picture of some discs, of which one is missed, one found twice, and one found that is not there.
fn scene(index: usize, width: u32, height: u32) -> Scene {
    let side = f64::from(width.min(height));
    let discs = [[0.25, 0.4, 0.15], [0.6, 0.25, 0.12], [0.7, 0.75, 0.2]];
    let discs = discs.map(|[x, y, r]| [x * f64::from(width), y * f64::from(height), r * side]);
    let image = RgbImage::from_fn(width, height, |x, y| {
        let at = [f64::from(x), f64::from(y)];
        let inside = discs.iter().position(|[x, y, r]| (at[0] - x).hypot(at[1] - y) < *r);
        let shade = (80 * y / height) as u8;
        inside.map_or(Rgb([70 + shade, 110, 150 - shade]), |disc| {
            Rgb([[220, 60, 50], [240, 220, 90], [40, 90, 50]][disc])
        })
    });
    let edges = |disc: usize, off: f64| {
        let [x, y, r] = discs[disc];
        [x - r + off * r, y - r, x + r + off * r, y + r]
    };
    let truth = |disc: usize, fate| SceneTruth {
        name: ["red disc", "sun", "tree"][disc].into(),
        edges: edges(disc, 0.0),
        fate,
    };
    let detection =
        |name: &str, score: f64, edges, verdict| SceneDetection { name: name.into(), score, edges, verdict };
    let worst = index.is_multiple_of(2);
    let mut detections = vec![detection("red disc", 0.93, edges(0, 0.08), Verdict::Right)];
    if worst {
        detections.push(detection("tree", 0.71, edges(2, 0.1), Verdict::Right));
        detections.push(detection("red disc", 0.55, edges(0, 0.35), Verdict::Doubled));
        detections.push(detection(
            "lamp",
            0.44,
            [-5.0, 0.82 * f64::from(height), 0.3 * f64::from(width), 2.0 * f64::from(height)],
            Verdict::Wrong,
        ));
    } else {
        detections.push(detection("sun", 0.88, edges(1, -0.05), Verdict::Right));
        detections.push(detection("tree", 0.97, edges(2, 0.02), Verdict::Right));
    }
    let fate = if worst { Fate::Missed } else { Fate::Found };
    Scene {
        image,
        truths: vec![truth(0, Fate::Found), truth(1, fate), truth(2, Fate::Found)],
        detections,
        f1: if worst { 4.0 / 7.0 } else { 1.0 },
    }
}

/// The page of a detector that tells so many classes apart.
fn a_detector(classes: usize) -> Report {
    let report = a_run(30, classes);
    let mut confusion = report.confusion.clone().unwrap();
    let curves = confusion.classes.iter().enumerate().map(|(at, name)| {
        let objects = if at == 7 { 0 } else { 40 + 977 * (at + 3) % 1200 };
        class(name, objects, 0.25 + 0.7 * ((at * 37 + 11) % 83) as f64 / 83.0)
    });
    let curves = curves.collect();
    confusion.classes.push("background".into());
    confusion.counts.iter_mut().enumerate().for_each(|(at, row)| row.push(20 + at as u64));
    confusion
        .counts
        .push((0..=classes as u64).map(|at| if at == classes as u64 { 0 } else { 9 + at % 7 }).collect());
    let sizes = [[640, 480], [480, 640], [96, 96], [1000, 400]];
    let scenes =
        |first: usize| (0..6).map(|at| scene(first + 2 * at, sizes[at % 4][0], sizes[at % 4][1])).collect();
    Report {
        objects: Some(ObjectReport { classes: curves, worst: scenes(0), best: scenes(1), least_score: 0.42 }),
        confusion: Some(confusion),
        samples: Samples::default(),
        subtitle: "yolov5n on shapes (generated)".into(),
        ..report
    }
}

/// The pages of ordinary and of odd detectors, each with its name.
fn pages() -> Vec<(&'static str, Report)> {
    let mut odd = a_detector(3);
    let objects = odd.objects.as_mut().unwrap();
    objects.classes[0].name = "<b>&".into();
    objects.worst[0].image = RgbImage::new(0, 0);
    objects.worst[1].detections[0].edges = [f64::NAN, -9.0, f64::INFINITY, 1e9];
    objects.worst[2] =
        Scene { truths: Vec::new(), detections: Vec::new(), f1: 1.0, ..objects.worst[2].clone() };
    let mut nothing = a_detector(3);
    nothing.objects = Some(ObjectReport { classes: vec![class("cat", 0, 0.0)], ..ObjectReport::default() });
    vec![
        ("three_classes", a_detector(3)),
        ("eighty_classes", a_detector(80)),
        ("odd", odd),
        ("nothing", nothing),
    ]
}

#[test]
fn every_page_of_a_detector_is_well_formed_and_its_drawings_stay_inside() {
    for (name, report) in pages() {
        let page = render(&report);
        let document = parsed(&page);
        for node in document.descendants().filter(|node| node.is_element()) {
            for attribute in node.attributes() {
                let loads = ["src", "href"].contains(&attribute.name());
                assert!(!loads || attribute.value().starts_with("data:"), "{name}: {attribute:?}");
                let not_a_number = ["NaN", "inf"].iter().any(|word| attribute.value().contains(word));
                assert!(loads || !not_a_number, "{name}: {attribute:?}");
            }
        }
        for svg in document.descendants().filter(|node| node.attribute("class") == Some("scene")) {
            let number = |text: &str| text.parse::<f64>().unwrap();
            let size: Vec<f64> = svg.attribute("viewBox").unwrap().split(' ').map(number).collect();
            for rect in svg.descendants().filter(|node| node.has_tag_name("rect")) {
                let [x, y, width, height] =
                    ["x", "y", "width", "height"].map(|key| number(rect.attribute(key).unwrap()));
                let inside =
                    x >= 0.0 && y >= 0.0 && x + width <= size[2] + 0.2 && y + height <= size[3] + 0.2;
                assert!(inside, "{name}: {rect:?}");
            }
        }
    }
}

#[test]
fn of_many_classes_the_best_and_the_worst_are_named_and_the_mean_is() {
    let page = render(&a_detector(80));
    let document = parsed(&page);
    let legends = document.descendants().filter(|node| node.attribute("class") == Some("legend"));
    let names: Vec<Vec<String>> = legends
        .map(|legend| {
            legend.children().filter_map(|line| line.last_child()?.text().map(String::from)).collect()
        })
        .filter(|names: &Vec<String>| names.iter().any(|name| name.starts_with("mean")))
        .collect();
    assert_eq!(names.len(), 2, "precision and F1");
    for names in names {
        // 80 classes less one without objects, less four.
        assert_eq!((names.len(), names[0].as_str()), (6, "the other 75 classes"));
        assert!(names[5].starts_with("mean  "), "{names:?}");
    }
    let few = render(&a_detector(3));
    assert!(!few.contains("the other"));
}

#[test]
fn the_mean_is_over_classes_with_objects() {
    let line = |value: f64| vec![value, 0.0];
    let class = |objects, value| ClassCurve { objects, f1: line(value), ..ClassCurve::default() };
    let best = ObjectReport::best_score(&[class(3, 0.4), class(0, 0.0), class(1, 0.8)]).unwrap();
    assert!(best[0] == 0.0 && (best[1] - 0.6).abs() < 1e-12, "{best:?}");
    assert_eq!(ObjectReport::best_score(&[class(0, 0.3)]), None);
}

#[test]
fn the_matrix_of_objects_speaks_of_objects_and_of_what_is_nowhere() {
    let confusion = Confusion {
        classes: ["cat", "dog", "background"].map(String::from).into(),
        counts: vec![vec![80, 5, 15], vec![0, 40, 10], vec![7, 3, 0]],
    };
    let page = render(&Report {
        confusion: Some(confusion),
        objects: Some(ObjectReport::default()),
        ..Report::default()
    });
    // 5 + 15 + 10 of 150; 7 + 3 are nowhere.
    assert!(page.contains("30 of 150 objects were taken for another class or not found (20.00\u{a0}%)."));
    assert!(page.contains("Where there is no object, 10 were found."));
    assert!(page.contains("<title>cat taken for dog: 5 (5.0\u{a0}%)</title>"));
    assert!(page.contains("<title>cat not found: 15 (15.0\u{a0}%)</title>"));
    assert!(page.contains("<title>cat where there is none: 7 (70.0\u{a0}%)</title>"));
    // Precision of cats: 80 of 80 + 7; recall 80 of 100; F1 160 / (100 + 87).
    assert!(page.contains(
        "<tr><th>cat</th><td>100</td><td>92.0\u{a0}%</td><td>80.0\u{a0}%</td><td>85.6\u{a0}%</td></tr>"
    ));
    assert!(!page.contains("<tr><th>background</th>") && !page.contains("test images"));
}

/// For the eye: `KILN_REPORTS=folder cargo test --release -p kiln object_tests -- --ignored` writes the pages there.
#[test]
#[ignore = "writes pages to look at"]
fn the_pages_are_written_to_be_looked_at() {
    let folder = std::env::var_os("KILN_REPORTS").expect("KILN_REPORTS names a folder");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, report) in pages() {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), render(&report)).unwrap();
    }
}
