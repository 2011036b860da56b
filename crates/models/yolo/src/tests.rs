use burn::prelude::*;
use kiln_core::{Network, Predictions, learnable_parameters};

use super::*;

fn detector(
    name: &str,
    num_classes: usize,
    device: &Device,
) -> (usize, Box<dyn Fn(Tensor<4>) -> Predictions>) {
    fn of<N: Network<Output = Predictions> + 'static>(
        network: N,
    ) -> (usize, Box<dyn Fn(Tensor<4>) -> Predictions>) {
        (learnable_parameters(&network), Box::new(move |images| network.forward(images)))
    }
    let v1 = |edition| YoloV1Config { edition, num_classes, narrower: 1 }.init(device);
    let v2 = |priors| YoloV2Config { priors, num_classes };
    let v3 = |neck| YoloV3Config { neck, num_classes };
    let v4 = YoloV4Config { num_classes };
    let v5 = |scale| YoloV5Config { scale, num_classes }.init(device);
    let v8 = |scale| YoloV8Config { scale, num_classes }.init(device);
    match name {
        "yolov1" => of(v1(Edition::Paper)),
        "yolov1-released" => of(v1(Edition::Released)),
        "yolov1-tiny" => of(v1(Edition::Tiny)),
        "yolov2-voc" => of(v2(Priors::Voc).init(device)),
        "yolov2" => of(v2(Priors::Coco).init(device)),
        "yolov2-tiny-voc" => of(v2(Priors::TinyVoc).init_tiny(device)),
        "yolov2-tiny" => of(v2(Priors::Coco).init_tiny(device)),
        "yolov3" => of(v3(Neck::Pyramid).init(device)),
        "yolov3-spp" => of(v3(Neck::Pooled).init(device)),
        "yolov3-tiny" => of(v3(Neck::Pyramid).init_tiny(device)),
        "yolov4" => of(v4.init(device)),
        "yolov4-tiny" => of(v4.init_tiny(device)),
        "yolov5n" => of(v5(Scale::N)),
        "yolov5s" => of(v5(Scale::S)),
        "yolov5m" => of(v5(Scale::M)),
        "yolov5l" => of(v5(Scale::L)),
        "yolov5x" => of(v5(Scale::X)),
        "yolov8n" => of(v8(Scale::N)),
        "yolov8s" => of(v8(Scale::S)),
        "yolov8m" => of(v8(Scale::M)),
        "yolov8l" => of(v8(Scale::L)),
        "yolov8x" => of(v8(Scale::X)),
        _ => unreachable!("{name}"),
    }
}

/// Name, classes, learnable parameters. Those of Darknet are counted from its cfg files; v5's and v8's are published with them,
/// v8's with the 16 numbers of its ramp.
const PARAMETERS: [(&str, usize, usize); 22] = [
    ("yolov1", 20, 271_703_550),
    ("yolov1-released", 20, 197_301_875),
    ("yolov1-tiny", 20, 27_095_374),
    ("yolov2-voc", 20, 50_655_389),
    ("yolov2", 80, 50_962_889),
    ("yolov2-tiny-voc", 20, 15_861_773),
    ("yolov2-tiny", 80, 11_232_057),
    ("yolov3", 80, 61_949_149),
    ("yolov3-spp", 80, 62_998_749),
    ("yolov3-tiny", 80, 8_852_366),
    ("yolov4", 80, 64_363_101),
    ("yolov4-tiny", 80, 6_056_606),
    ("yolov5n", 80, 1_872_157),
    ("yolov5s", 80, 7_235_389),
    ("yolov5m", 80, 21_190_557),
    ("yolov5l", 80, 46_563_709),
    ("yolov5x", 80, 86_749_405),
    ("yolov8n", 80, 3_157_200),
    ("yolov8s", 80, 11_166_560),
    ("yolov8m", 80, 25_902_640),
    ("yolov8l", 80, 43_691_520),
    ("yolov8x", 80, 68_229_648),
];

#[test]
fn parameters_are_the_published_ones() {
    let device = Device::flex();
    for (name, num_classes, params) in PARAMETERS {
        assert_eq!(detector(name, num_classes, &device).0, params, "{name}");
    }
}

#[test]
fn there_are_as_many_predictions_as_the_papers_say() {
    let device = Device::flex();
    // 7 * 7 * 2; 13 * 13 * 5; 3 (13² + 26² + 52²); 3 (13² + 26²); 3 (20² + 40² + 80²); 20² + 40² + 80².
    let rows = [
        ("yolov1-tiny", 20, 448, 98),
        ("yolov2-tiny", 20, 416, 845),
        ("yolov3", 80, 416, 10_647),
        ("yolov3-tiny", 80, 416, 2_535),
        ("yolov4", 80, 416, 10_647),
        ("yolov4-tiny", 80, 416, 2_535),
        ("yolov5n", 80, 640, 25_200),
        ("yolov8n", 80, 640, 8_400),
    ];
    for (name, num_classes, side, predictions) in rows {
        let (_, network) = detector(name, num_classes, &device);
        let said = network(Tensor::zeros([1, 3, side, side], &device));
        assert_eq!(said.boxes.dims(), [1, predictions, 4], "{name}");
        assert_eq!(said.scores.dims(), [1, predictions, num_classes], "{name}");
        for level in &said.levels {
            assert_eq!(level.grid(), [side / level.stride; 2], "{name}");
        }
    }
}

#[test]
fn anchors_are_those_of_the_published_files() {
    let device = Device::flex();
    let v3 = "10,13 16,30 33,23 | 30,61 62,45 59,119 | 116,90 156,198 373,326";
    let tiny = "10,14 23,27 37,58 | 81,82 135,169 344,319";
    // Darknet's cfg files, the finest level first; v2's are in cells of 32 pixels, and v4-tiny's levels share an anchor and leave one out.
    let rows = [
        ("yolov2", 32.0, "0.57273,0.677385 1.87446,2.06253 3.33843,5.47434 7.88282,3.52778 9.77052,9.16828"),
        (
            "yolov2-voc",
            32.0,
            "1.3221,1.73145 3.19275,4.00944 5.05587,8.09892 9.47112,4.84053 11.2364,10.0071",
        ),
        ("yolov2-tiny-voc", 32.0, "1.08,1.19 3.42,4.41 6.63,11.38 9.42,5.11 16.62,10.52"),
        ("yolov3", 1.0, v3),
        ("yolov3-tiny", 1.0, tiny),
        ("yolov4", 1.0, "12,16 19,36 40,28 | 36,75 76,55 72,146 | 142,110 192,243 459,401"),
        ("yolov4-tiny", 1.0, "23,27 37,58 81,82 | 81,82 135,169 344,319"),
        ("yolov5n", 1.0, v3),
    ];
    for (name, cell, published) in rows {
        let said = detector(name, 2, &device).1(Tensor::zeros([1, 3, 64, 64], &device));
        let level = |text: &str| -> Vec<[f32; 2]> {
            let size = |pair: &str| {
                let (width, height) = pair.split_once(',').expect("a pair");
                [width, height].map(|side| cell * side.parse::<f32>().expect("a number"))
            };
            text.split_whitespace().map(size).collect()
        };
        let expected: Vec<_> = published.split('|').map(level).collect();
        let found: Vec<_> = said.levels.iter().map(|level| level.anchors.clone()).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn v5_and_v8_have_a_normalization_of_their_own() {
    let norm = |activation| block::ConvNorm::new([2, 3], 1, 1, activation, &Device::flex()).bn;
    let own = norm(block::Activation::Silu);
    assert_eq!([own.epsilon, own.momentum], [1e-3, 0.03]);
    // Darknet's on the GPU, and PyTorch's.
    assert_eq!(norm(block::Activation::Leaky).epsilon, 1e-5);
}

#[test]
fn classifiers_have_the_published_parameters() {
    let device = Device::flex();
    // darknet19.cfg, darknet53.cfg, csdarknet53.cfg of Darknet: 1000 classes.
    assert_eq!(learnable_parameters(&Darknet19Classifier::new(1000, &device)), 20_842_376);
    assert_eq!(learnable_parameters(&Darknet53Classifier::new(1000, &device)), 41_609_928);
    assert_eq!(learnable_parameters(&CspDarknet53Classifier::new(1000, &device)), 27_642_184);
    let images = Tensor::zeros([1, 3, 64, 64], &device);
    assert_eq!(Darknet19Classifier::new(7, &device).forward(images.clone()).dims(), [1, 7]);
    assert_eq!(Darknet53Classifier::new(7, &device).forward(images.clone()).dims(), [1, 7]);
    assert_eq!(CspDarknet53Classifier::new(7, &device).forward(images).dims(), [1, 7]);
}
