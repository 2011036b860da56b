//! What is said of a model's architecture, and what is made of it, as a user meets it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::{Kiln, jpeg};

#[test]
fn layers_of_a_model_are_summed_up() {
    let answer = Kiln::new().json(&["summary", "resnet50"]);
    // numbers.md 2.1 and concepts.md 3.4.
    assert_eq!((&answer["model"], &answer["params"]), (&"resnet50".into(), &25_557_032.into()));
    assert_eq!(format!("{:.3}", answer["macs"].as_f64().unwrap() / 1e9), "4.089");
    let layers = answer["layers"].as_array().unwrap();
    let sum = |key: &str| layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("params"), sum("macs")), (25_557_032, answer["macs"].as_u64().unwrap()));
    let layer = layers.iter().find(|layer| layer["name"] == "layer4.2.conv3").unwrap();
    assert_eq!((&layer["kind"], &layer["output"]), (&"conv2d".into(), &[1, 2048, 7, 7].into()));
    assert_eq!((layer["receptive_field"].as_f64(), layer["stride"].as_f64()), (Some(427.0), Some(32.0)));
}

#[test]
fn a_table_is_no_wider_than_a_hundred_columns() {
    let kiln = Kiln::new();
    for arguments in
        [&["summary", "yolov8n"][..], &["summary", "densenet201", "--depth", "9"], &["summary", "tiny.toml"]]
    {
        let output = kiln.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("parameters"), "{text}");
        let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 100, "{widest}");
    }
}

#[test]
fn a_model_is_drawn_and_exported() {
    let kiln = Kiln::new();
    kiln.weights("w.safetensors");
    kiln.json(&["summary", "cifar10-resnet20", "--draw", "net.svg"]);
    assert!(roxmltree::Document::parse(&kiln.read("net.svg")).unwrap().root_element().has_tag_name("svg"));
    let answer = kiln.json(&[
        "export",
        "cifar10-resnet20",
        "net.onnx",
        "--weights",
        "w.safetensors",
        "--input",
        "2x3x32x32",
    ]);
    assert_eq!(answer["input"], serde_json::json!([2, 3, 32, 32]));
    // 32-bit weights and statistics, and a little for the rest.
    let numbers = 4 * (269_722 + 2 * 688);
    let bytes = kiln.bytes("net.onnx").len();
    assert!((numbers..numbers + 60_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_layer_is_looked_at() {
    let kiln = Kiln::new();
    kiln.weights("w.safetensors");
    kiln.write("photos/a.jpg", &jpeg());
    let field = kiln.json(&[
        "explain",
        "field",
        "cifar10-resnet20",
        "--weights",
        "w.safetensors",
        "--layer",
        "layer1",
    ]);
    // Seven convolutions of 3x3, around row and column 16.
    assert_eq!((&field["field"], &field["rows"]), (&[15.0, 15.0].into(), &[9, 23].into()));
    let spread = field["spread"][0].as_f64().unwrap();
    assert!(spread > 1.0 && spread < 15.0 / 12f64.sqrt(), "{spread}");
    image::open(kiln.path("field.png")).unwrap();

    let cam =
        kiln.json(&["explain", "cam", "cifar10-resnet20", "photos/a.jpg", "--weights", "w.safetensors"]);
    assert_eq!(cam["map"], serde_json::json!([8, 8]));
    assert_eq!(image::open(kiln.path("cam.png")).unwrap().width(), 448);

    let filters = kiln.json(&["explain", "filters", "cifar10-resnet20", "--weights", "w.safetensors"]);
    assert_eq!((&filters["weight"], &filters["shape"]), (&"conv1.weight".into(), &[16, 3, 3, 3].into()));
    image::open(kiln.path("filters.png")).unwrap();

    let network = ["predict", "--model", "cifar10-resnet20", "--weights", "w.safetensors"];
    kiln.json(&[&network[..], &["photos", "--features", "layer2", "--out", "drawn"]].concat());
    let file = kiln.bytes("drawn/a.layer2.npy");
    let header = String::from_utf8_lossy(&file[..128]).into_owned();
    assert!(header.contains("'shape': (32, 16, 16, )"), "{header}");
    assert_eq!(file.len(), 128 + 4 * 32 * 16 * 16);
    image::open(kiln.path("drawn/a.layer2.png")).unwrap();
}

#[test]
fn what_is_not_there_is_one_line() {
    let kiln = Kiln::new();
    for (arguments, words) in [
        (&["summary", "resnet5"][..], "resnet"),
        (&["summary", "alexnet", "--input", "16"], "takes no images of 16x16"),
        (&["explain", "field", "resnet18", "--layer", "layer9"], "layer"),
        (&["explain", "cam", "yolov8n", "a.jpg"], "is a detector"),
    ] {
        let output = kiln.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!((output.status.code(), errors.len()), (Some(2), 1), "{said}");
        assert!(errors[0].contains(words), "{said}");
    }
}
