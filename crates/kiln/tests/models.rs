//! What `kiln models` says of each model.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::Kiln;

/// `_ops` of torchvision 0.29.2's weights: thousand million multiply-accumulate operations of an image of 224x224.
const TORCHVISION: [(&str, f64); 28] = [
    ("alexnet", 0.714),
    ("vgg11", 7.609),
    ("vgg11_bn", 7.609),
    ("vgg13", 11.308),
    ("vgg13_bn", 11.308),
    ("vgg16", 15.470),
    ("vgg16_bn", 15.470),
    ("vgg19", 19.632),
    ("vgg19_bn", 19.632),
    ("googlenet", 1.498),
    ("resnet18", 1.814),
    ("resnet34", 3.664),
    ("resnet50", 4.089),
    ("resnet101", 7.801),
    ("resnet152", 11.514),
    ("resnext50_32x4d", 4.230),
    ("resnext101_32x8d", 16.414),
    ("resnext101_64x4d", 15.460),
    ("wide_resnet50_2", 11.398),
    ("wide_resnet101_2", 22.753),
    ("densenet121", 2.834),
    ("densenet161", 7.728),
    ("densenet169", 3.360),
    ("densenet201", 4.291),
    ("shufflenet_v2_x0_5", 0.040),
    ("shufflenet_v2_x1_0", 0.145),
    ("shufflenet_v2_x1_5", 0.296),
    ("shufflenet_v2_x2_0", 0.583),
];

#[test]
fn multiply_accumulate_operations_are_torchvisions_to_the_digit() {
    let listed = Kiln::new().json(&["models"]);
    let models = listed["models"].as_array().unwrap();
    for (name, thousand_millions) in TORCHVISION {
        let model = models.iter().find(|model| model["name"] == name).unwrap();
        let macs = model["macs"].as_u64().unwrap() as f64 / 1e9;
        // Rounded to three digits, and half a thousandth up.
        assert!((macs - thousand_millions).abs() <= 0.000_5 + 1e-9, "{name}: {macs}");
    }
    assert!(models.iter().all(|model| model["macs"].as_u64().unwrap() > 0));
}

#[test]
fn a_model_gives_on_a_device_what_it_gives_in_64_bits() {
    let kiln = Kiln::new();
    // A stem, and in nine blocks two layers each; of a step the last layer is shown, so no convolution; then the classifier.
    for (model, size, layers) in
        [("cifar10-resnet20", "2x3x32x32", Some(20)), ("yolov8n", "64", None), ("fcn_resnet50", "64", None)]
    {
        let arguments = ["compare", model, "--devices", "flex", "--input", size, "--turns", "1"];
        let answer = kiln.json(&arguments);
        let device = &answer["devices"][0];
        let share = |one: &serde_json::Value| one["share"].as_f64().unwrap();
        let outputs = device["outputs"].as_array().unwrap();
        assert!(outputs.iter().all(|one| share(one) < 1e-5), "{model}: {outputs:?}");
        // They are computed in other orders and with other digits.
        assert!(outputs.iter().any(|one| share(one) > 0.0), "{model}");
        let found = device["layers"].as_array().unwrap();
        assert!(found.iter().all(|layer| share(layer) < 1e-4 && layer["name"] != ""), "{model}: {found:?}");
        assert!(layers.is_none_or(|layers| found.len() == layers), "{model}: {}", found.len());
        assert!(device["images_per_second"].as_f64().unwrap() > 0.0);
    }
    let strict =
        ["compare", "cifar10-resnet20", "--devices", "flex", "--bound", "0", "--turns", "1", "--layers"];
    let output = kiln.run(&strict);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("0 of 1 within") && text.contains("layer3.2.bn2") && text.contains("times flex"),
        "{text}"
    );
    let output = kiln.run(&["compare", "cifar10-resnet1202", "--devices", "flex", "--input", "8"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("beyond 32 bits; fresh weights grow"));
    let output = kiln.run(&["compare", "cifar10-resnet20", "--devices", "flex,flx"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("unknown device `flx`; did you mean `flex`?"));
}
