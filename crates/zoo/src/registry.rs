//! The models by name, one row each.

use std::borrow::Cow;
use std::path::Path;

use kiln_alexnet::{self as alexnet, AlexNetConfig};
use kiln_core::{Error, Result, nearest};
use kiln_deeplab::{
    DeepLabV2Config, DeepLabV3Config, DeepLabV3PlusConfig, DeepLabVggConfig, OutputStride, Rates,
};
use kiln_densenet::{self as densenet, Activations};
use kiln_fcn::{self as fcn, FcnAlexNetConfig, FcnResNetConfig, FcnVggConfig};
use kiln_googlenet::{self as googlenet, GoogLeNetConfig};
use kiln_pspnet::PspNetConfig;
use kiln_resnet::{
    self as resnet, CifarResNetConfig, CifarResNetV2Config, CifarV2Depth, Kind, ResNetConfig, ResNetV2Config,
    Shortcut, Version,
};
use kiln_segnet::SegNetConfig;
use kiln_shufflenet::{self as shufflenet, ShuffleNetV2Config, Width};
use kiln_unet::{Borders, UNetConfig};
use kiln_vgg::{self as vgg, VggConfig};
use kiln_yolo::{
    Edition, Neck, Priors, Scale, YoloV1Config, YoloV2Config, YoloV3Config, YoloV4Config, YoloV5Config,
    YoloV8Config,
};

use crate::detector::DetectorConfig as D;
use crate::entry::{Architecture as A, Entry, Published};
use crate::segmenter::SegmenterConfig as S;

use OutputStride::{S8, S16};
use Shortcut::{Padded, Projected};
use Width::{X05, X10, X15, X20};
use resnet::Depth::{D18, D34, D50, D101, D152};
use vgg::Depth::{D11, D13, D16, D19};

const X50: Kind = Kind::ResNeXt { groups: 32, width: 4 };
const X101: Kind = Kind::ResNeXt { groups: 32, width: 8 };
const X101_64: Kind = Kind::ResNeXt { groups: 64, width: 4 };

/// Every model, the families in the order of their papers.
#[rustfmt::skip]
pub const REGISTRY: &[Entry] = &[
    row("alexnet",               61_100_840, torchvision(56.522, 79.066), alexnet(alexnet::Version::Torchvision)),
    row("alexnet-2012",          60_965_224, published(59.3, 81.8, "Krizhevsky et al. 2012, ten crops"), alexnet(alexnet::Version::Paper)),
    row("vgg11",                132_863_336, torchvision(69.020, 88.628), vgg(D11, false)),
    row("vgg11_bn",             132_868_840, torchvision(70.370, 89.810), vgg(D11, true)),
    row("vgg13",                133_047_848, torchvision(69.928, 89.246), vgg(D13, false)),
    row("vgg13_bn",             133_053_736, torchvision(71.586, 90.374), vgg(D13, true)),
    row("vgg16",                138_357_544, torchvision(71.592, 90.382), vgg(D16, false)),
    row("vgg16_bn",             138_365_992, torchvision(73.360, 91.516), vgg(D16, true)),
    row("vgg19",                143_667_240, torchvision(72.376, 90.876), vgg(D19, false)),
    row("vgg19_bn",             143_678_248, torchvision(74.218, 91.842), vgg(D19, true)),
    row("cifar10-vgg11_bn",       9_231_114, None, cifar_vgg(D11)),
    row("cifar10-vgg13_bn",       9_416_010, None, cifar_vgg(D13)),
    row("cifar10-vgg16_bn",      14_728_266, None, cifar_vgg(D16)),
    row("cifar10-vgg19_bn",      20_040_522, None, cifar_vgg(D19)),
    row("googlenet",              6_624_904, torchvision(69.778, 89.530), googlenet(googlenet::Version::Torchvision)),
    row("googlenet-2014",         6_998_552, published(68.7, 88.9, "BVLC"), googlenet(googlenet::Version::Paper)),
    row("resnet18",              11_689_512, torchvision(69.758, 89.078), resnet(D18, Kind::Plain)),
    row("resnet34",              21_797_672, torchvision(73.314, 91.420), resnet(D34, Kind::Plain)),
    row("resnet50",              25_557_032, torchvision(76.130, 92.862), resnet(D50, Kind::Plain)),
    row("resnet101",             44_549_160, torchvision(77.374, 93.546), resnet(D101, Kind::Plain)),
    row("resnet152",             60_192_808, torchvision(78.312, 94.046), resnet(D152, Kind::Plain)),
    row("resnet50-v1",           25_557_032, published(75.3, 92.2, KAIMING_HE), resnet_v1(D50)),
    row("resnet101-v1",          44_549_160, published(76.4, 92.9, KAIMING_HE), resnet_v1(D101)),
    row("resnet152-v1",          60_192_808, published(77.0, 93.3, KAIMING_HE), resnet_v1(D152)),
    row("resnext50_32x4d",       25_028_904, torchvision(77.618, 93.698), resnet(D50, X50)),
    row("resnext101_32x8d",      88_791_336, torchvision(79.312, 94.526), resnet(D101, X101)),
    row("resnext101_64x4d",      83_455_272, torchvision(83.246, 96.454), resnet(D101, X101_64)),
    row("wide_resnet50_2",       68_883_240, torchvision(78.468, 94.086), resnet(D50, Kind::Wide(2))),
    row("wide_resnet101_2",     126_886_696, torchvision(78.848, 94.284), resnet(D101, Kind::Wide(2))),
    row("resnetv2_18",           11_687_720, None, resnet_v2(D18)),
    row("resnetv2_34",           21_795_880, None, resnet_v2(D34)),
    row("resnetv2_50",           25_549_352, first(80.410, "timm, a1h_in1k"), resnet_v2(D50)),
    row("resnetv2_101",          44_541_480, first(82.042, "timm, a1h_in1k"), resnet_v2(D101)),
    row("resnetv2_152",          60_185_128, None, resnet_v2(D152)),
    row("cifar10-resnet18",      11_173_962, None, cifar_stem(D18)),
    row("cifar10-resnet20",         269_722, first(91.25, HE_2015), cifar(20, Padded)),
    row("cifar10-resnet32",         464_154, first(92.49, HE_2015), cifar(32, Padded)),
    row("cifar10-resnet44",         658_586, first(92.83, HE_2015), cifar(44, Padded)),
    row("cifar10-resnet56",         853_018, first(93.03, HE_2015), cifar(56, Padded)),
    row("cifar10-resnet110",      1_727_962, first(93.57, HE_2015), cifar(110, Padded)),
    row("cifar10-resnet1202",    19_421_274, first(92.07, HE_2015), cifar(1202, Padded)),
    row("cifar10-resnet20-b",       272_474, None, cifar(20, Projected)),
    row("cifar10-resnet32-b",       466_906, None, cifar(32, Projected)),
    row("cifar10-resnet44-b",       661_338, None, cifar(44, Projected)),
    row("cifar10-resnet56-b",       855_770, None, cifar(56, Projected)),
    row("cifar10-resnet110-b",    1_730_714, None, cifar(110, Projected)),
    row("cifar10-resnet1202-b",  19_424_026, None, cifar(1202, Projected)),
    row("cifar10-resnetv2-110",   1_730_522, first(93.63, HE_2016), cifar_v2(CifarV2Depth::D110)),
    row("cifar10-resnetv2-164",   1_703_258, first(94.54, HE_2016), cifar_v2(CifarV2Depth::D164)),
    row("cifar10-resnetv2-1001", 10_327_706, first(95.08, HE_2016), cifar_v2(CifarV2Depth::D1001)),
    row("densenet121",            7_978_856, torchvision(74.434, 91.972), densenet(densenet::Depth::D121)),
    row("densenet161",           28_681_000, torchvision(77.138, 93.560), densenet(densenet::Depth::D161)),
    row("densenet169",           14_149_480, torchvision(75.600, 92.806), densenet(densenet::Depth::D169)),
    row("densenet201",           20_013_928, torchvision(76.896, 93.370), densenet(densenet::Depth::D201)),
    row("cifar10-densenet-40-12",     1_019_722, first(94.76, HUANG), cifar_densenet(40, 12, densenet::Kind::Plain)),
    row("cifar10-densenet-100-12",    6_979_642, first(95.90, HUANG), cifar_densenet(100, 12, densenet::Kind::Plain)),
    row("cifar10-densenet-100-24",   27_249_082, first(96.26, HUANG), cifar_densenet(100, 24, densenet::Kind::Plain)),
    row("cifar10-densenetbc-100-12",    769_162, first(95.49, HUANG), cifar_densenet(100, 12, densenet::Kind::Bc)),
    row("cifar10-densenetbc-250-24", 15_324_406, first(96.38, HUANG), cifar_densenet(250, 24, densenet::Kind::Bc)),
    row("cifar10-densenetbc-190-40", 25_624_430, first(96.54, HUANG), cifar_densenet(190, 40, densenet::Kind::Bc)),
    row("shufflenet_v2_x0_5",     1_366_792, torchvision(60.552, 81.746), shufflenet(X05)),
    row("shufflenet_v2_x1_0",     2_278_604, torchvision(69.362, 88.316), shufflenet(X10)),
    row("shufflenet_v2_x1_5",     3_503_624, torchvision(72.996, 91.086), shufflenet(X15)),
    row("shufflenet_v2_x2_0",     7_393_996, torchvision(76.230, 93.006), shufflenet(X20)),
    row("cifar10-shufflenet_v2_x0_5",   352_042, None, cifar_shufflenet(X05)),
    row("cifar10-shufflenet_v2_x1_0", 1_263_854, None, cifar_shufflenet(X10)),
    row("cifar10-shufflenet_v2_x1_5", 2_488_874, None, cifar_shufflenet(X15)),
    row("cifar10-shufflenet_v2_x2_0", 5_365_486, None, cifar_shufflenet(X20)),
    row("darknet19",             20_842_376, published(72.9, 91.2, PJREDDIE), A::Darknet19),
    row("darknet53",             41_609_928, published(77.2, 93.8, PJREDDIE), A::Darknet53),
    row("cspdarknet53",          27_642_184, None, A::CspDarknet53),
    row("yolov1-paper",         271_703_550, ap50(63.4, "Redmon et al. 2015, VOC 2007"), yolo_v1(Edition::Paper)),
    row("yolov1",               197_301_875, None, yolo_v1(Edition::Released)),
    row("yolov1-tiny",           27_095_374, None, yolo_v1(Edition::Tiny)),
    row("yolov2-voc",            50_655_389, ap50(76.8, "Redmon and Farhadi 2016, VOC 2007"), A::Detector(D::YoloV2(yolo_v2(Priors::Voc)))),
    row("yolov2",                50_962_889, ap50(48.1, PJREDDIE), A::Detector(D::YoloV2(yolo_v2(Priors::Coco)))),
    row("yolov2-tiny-voc",       15_861_773, ap50(57.1, PJREDDIE), A::Detector(D::YoloV2Tiny(yolo_v2(Priors::TinyVoc)))),
    row("yolov2-tiny",           11_232_057, ap50(23.7, PJREDDIE), A::Detector(D::YoloV2Tiny(yolo_v2(Priors::Coco)))),
    row("yolov3",                61_949_149, ap(31.0, 55.3, "Redmon and Farhadi 2018"), A::Detector(D::YoloV3(yolo_v3(Neck::Pyramid)))),
    row("yolov3-spp",            62_998_749, ap50(60.6, PJREDDIE), A::Detector(D::YoloV3(yolo_v3(Neck::Pooled)))),
    row("yolov3-tiny",            8_852_366, ap50(33.1, PJREDDIE), A::Detector(D::YoloV3Tiny(yolo_v3(Neck::Pyramid)))),
    row("yolov4",                64_363_101, ap(43.5, 65.7, ALEXEY), A::Detector(D::YoloV4(YOLO_V4))),
    row("yolov4-tiny",            6_056_606, ap50(40.2, ALEXEY), A::Detector(D::YoloV4Tiny(YOLO_V4))),
    row("yolov5n",                1_872_157, ap_only(28.0, ULTRALYTICS), yolo_v5(Scale::N)),
    row("yolov5s",                7_235_389, ap_only(37.4, ULTRALYTICS), yolo_v5(Scale::S)),
    row("yolov5m",               21_190_557, ap_only(45.4, ULTRALYTICS), yolo_v5(Scale::M)),
    row("yolov5l",               46_563_709, ap_only(49.0, ULTRALYTICS), yolo_v5(Scale::L)),
    row("yolov5x",               86_749_405, ap_only(50.7, ULTRALYTICS), yolo_v5(Scale::X)),
    row("yolov8n",                3_157_200, ap_only(37.3, ULTRALYTICS), yolo_v8(Scale::N)),
    row("yolov8s",               11_166_560, ap_only(44.9, ULTRALYTICS), yolo_v8(Scale::S)),
    row("yolov8m",               25_902_640, ap_only(50.2, ULTRALYTICS), yolo_v8(Scale::M)),
    row("yolov8l",               43_691_520, ap_only(52.9, ULTRALYTICS), yolo_v8(Scale::L)),
    row("yolov8x",               68_229_648, ap_only(53.9, ULTRALYTICS), yolo_v8(Scale::X)),
    row("fcn32s_vgg16",         136_152_917, first(63.6, SHELHAMER), fcn_vgg(fcn::Version::S32)),
    row("fcn16s_vgg16",         134_815_994, first(65.0, SHELHAMER), fcn_vgg(fcn::Version::S16)),
    row("fcn8s_vgg16",          134_489_759, first(65.5, SHELHAMER), fcn_vgg(fcn::Version::S8)),
    row("fcn8s_vgg16-at-once",  134_489_759, first(65.4, SHELHAMER), fcn_vgg(fcn::Version::S8AtOnce)),
    row("fcn_alexnet",           58_704_590, first(48.0, SHELHAMER), A::Segmenter(S::FcnAlexNet(FcnAlexNetConfig { num_classes: 21, narrower: 1 }))),
    row("fcn_resnet50",          35_322_218, published(60.5, 91.4, COCO_VOC), fcn_resnet(D50)),
    row("fcn_resnet101",         54_314_346, published(63.7, 91.9, COCO_VOC), fcn_resnet(D101)),
    row("unet",                  31_031_810, first(92.03, "Ronneberger et al. 2015, PhC-U373"), unet(Borders::Valid)),
    row("unet_bn",               31_037_698, None, unet(Borders::Padded)),
    row("segnet",                29_449_355, published(60.1, 90.4, "Badrinarayanan et al. 2015, CamVid"), A::Segmenter(S::SegNet(SegNetConfig { num_classes: 11, narrower: 1 }))),
    row("deeplabv1_vgg16",       20_505_429, first(62.25, "Chen et al. 2014, VOC 2012 val"), deeplab_vgg(Rates::LargeFov)),
    row("deeplabv2_vgg16",       37_877_652, first(68.96, CHEN_2016), deeplab_vgg(Rates::AsppL)),
    row("deeplabv2_resnet101",   44_048_532, first(76.35, CHEN_2016), A::Segmenter(S::DeepLabV2(DeepLabV2Config { depth: D101, num_classes: 21, narrower: 1 }))),
    row("deeplabv3_resnet50",    42_004_074, published(66.4, 92.4, COCO_VOC), deeplab_v3(D50, S8)),
    row("deeplabv3_resnet101",   60_996_202, published(67.4, 92.4, COCO_VOC), deeplab_v3(D101, S8)),
    row("deeplabv3_resnet50-os16",     42_004_074, None, deeplab_v3(D50, S16)),
    row("deeplabv3_resnet101-os16",    60_996_202, None, deeplab_v3(D101, S16)),
    row("deeplabv3plus_resnet18",      16_608_181, None, deeplab_v3plus(D18, S16)),
    row("deeplabv3plus_resnet50",      40_352_181, None, deeplab_v3plus(D50, S16)),
    row("deeplabv3plus_resnet101",     59_344_309, None, deeplab_v3plus(D101, S16)),
    row("deeplabv3plus_resnet18-os8",  16_608_181, None, deeplab_v3plus(D18, S8)),
    row("deeplabv3plus_resnet50-os8",  40_352_181, None, deeplab_v3plus(D50, S8)),
    row("deeplabv3plus_resnet101-os8", 59_344_309, None, deeplab_v3plus(D101, S8)),
    row("pspnet_resnet50",       48_957_802, None, pspnet(D50)),
    row("pspnet_resnet101",      67_949_930, first(82.6, "Zhao et al. 2016, VOC 2012 test"), pspnet(D101)),
];

const KAIMING_HE: &str = "He et al. 2015, weights of 2016";
const HE_2015: &str = "He et al. 2015, Table 6";
const HUANG: &str = "Huang et al. 2016, Table 2";
const HE_2016: &str = "He et al. 2016, Tables 4 and 5";
const PJREDDIE: &str = "pjreddie.com";
const ALEXEY: &str = "AlexeyAB/darknet";
const ULTRALYTICS: &str = "Ultralytics";
const SHELHAMER: &str = "Shelhamer et al. 2016, VOC 2011 seg11valid";
const COCO_VOC: &str = "torchvision, COCO with VOC's labels, V1";
const CHEN_2016: &str = "Chen et al. 2016, VOC 2012 val, without CRF";
const YOLO_V4: YoloV4Config = YoloV4Config { num_classes: 80 };

const fn row(name: &'static str, params: usize, published: Option<Published>, architecture: A) -> Entry {
    Entry { name: Cow::Borrowed(name), params, published, architecture }
}

const fn published(top1: f64, top5: f64, source: &'static str) -> Option<Published> {
    Some(Published { first: Some(top1), second: Some(top5), source })
}

const fn torchvision(top1: f64, top5: f64) -> Option<Published> {
    published(top1, top5, "torchvision, V1")
}

/// Where only the first guess was counted.
const fn first(top1: f64, source: &'static str) -> Option<Published> {
    Some(Published { first: Some(top1), second: None, source })
}

const fn ap(ap: f64, ap50: f64, source: &'static str) -> Option<Published> {
    published(ap, ap50, source)
}

const fn ap_only(ap: f64, source: &'static str) -> Option<Published> {
    first(ap, source)
}

const fn ap50(ap50: f64, source: &'static str) -> Option<Published> {
    Some(Published { first: None, second: Some(ap50), source })
}

const fn alexnet(version: alexnet::Version) -> A {
    A::AlexNet(AlexNetConfig { version, num_classes: 1000, dropout: 0.5 })
}

const fn vgg(depth: vgg::Depth, batch_norm: bool) -> A {
    A::Vgg(VggConfig { depth, batch_norm, head: vgg::Head::ImageNet, num_classes: 1000 })
}

const fn cifar_vgg(depth: vgg::Depth) -> A {
    A::Vgg(VggConfig { depth, batch_norm: true, head: vgg::Head::Cifar, num_classes: 10 })
}

const fn googlenet(version: googlenet::Version) -> A {
    A::GoogLeNet(GoogLeNetConfig { version, num_classes: 1000 })
}

const fn resnet(depth: resnet::Depth, kind: Kind) -> A {
    any_resnet(depth, kind, Version::V15, resnet::Stem::ImageNet, 1000)
}

const fn resnet_v1(depth: resnet::Depth) -> A {
    any_resnet(depth, Kind::Plain, Version::V1, resnet::Stem::ImageNet, 1000)
}

const fn cifar_stem(depth: resnet::Depth) -> A {
    any_resnet(depth, Kind::Plain, Version::V15, resnet::Stem::Cifar, 10)
}

const fn any_resnet(
    depth: resnet::Depth,
    kind: Kind,
    version: Version,
    stem: resnet::Stem,
    num_classes: usize,
) -> A {
    A::ResNet(ResNetConfig { depth, kind, version, stem, dilated_stages: 0, narrower: 1, num_classes })
}

const fn resnet_v2(depth: resnet::Depth) -> A {
    A::ResNetV2(ResNetV2Config { depth, num_classes: 1000 })
}

const fn cifar(depth: usize, shortcut: Shortcut) -> A {
    A::CifarResNet(CifarResNetConfig { depth, shortcut, num_classes: 10 })
}

const fn cifar_v2(depth: CifarV2Depth) -> A {
    A::CifarResNetV2(CifarResNetV2Config { depth, num_classes: 10 })
}

const fn densenet(depth: densenet::Depth) -> A {
    A::DenseNet(depth, Activations::Keep)
}

const fn cifar_densenet(depth: usize, growth: usize, kind: densenet::Kind) -> A {
    A::CifarDenseNet(depth, growth, kind, Activations::Keep)
}

const fn shufflenet(width: Width) -> A {
    A::ShuffleNetV2(ShuffleNetV2Config { width, stem: shufflenet::Stem::ImageNet, num_classes: 1000 })
}

const fn cifar_shufflenet(width: Width) -> A {
    A::ShuffleNetV2(ShuffleNetV2Config { width, stem: shufflenet::Stem::Cifar, num_classes: 10 })
}

const fn yolo_v1(edition: Edition) -> A {
    A::Detector(D::YoloV1(YoloV1Config { edition, num_classes: 20, narrower: 1 }))
}

const fn yolo_v2(priors: Priors) -> YoloV2Config {
    YoloV2Config { priors, num_classes: if let Priors::Coco = priors { 80 } else { 20 } }
}

const fn yolo_v3(neck: Neck) -> YoloV3Config {
    YoloV3Config { neck, num_classes: 80 }
}

const fn yolo_v5(scale: Scale) -> A {
    A::Detector(D::YoloV5(YoloV5Config { scale, num_classes: 80 }))
}

const fn yolo_v8(scale: Scale) -> A {
    A::Detector(D::YoloV8(YoloV8Config { scale, num_classes: 80 }))
}

const fn fcn_vgg(version: fcn::Version) -> A {
    A::Segmenter(S::FcnVgg(FcnVggConfig { version, num_classes: 21, narrower: 1 }))
}

const fn fcn_resnet(depth: resnet::Depth) -> A {
    A::Segmenter(S::FcnResNet(FcnResNetConfig { depth, num_classes: 21, narrower: 1 }))
}

const fn unet(borders: Borders) -> A {
    let (batch_norm, dropout) = match borders {
        Borders::Valid => (false, 0.5),
        Borders::Padded => (true, 0.0),
    };
    A::Segmenter(S::UNet(UNetConfig { borders, batch_norm, width: 64, dropout, num_classes: 2 }))
}

const fn deeplab_vgg(rates: Rates) -> A {
    A::Segmenter(S::DeepLabVgg(DeepLabVggConfig { rates, num_classes: 21, narrower: 1 }))
}

const fn deeplab_v3(depth: resnet::Depth, output_stride: OutputStride) -> A {
    A::Segmenter(S::DeepLabV3(DeepLabV3Config { depth, output_stride, num_classes: 21, narrower: 1 }))
}

const fn deeplab_v3plus(depth: resnet::Depth, output_stride: OutputStride) -> A {
    A::Segmenter(S::DeepLabV3Plus(DeepLabV3PlusConfig { depth, output_stride, num_classes: 21, narrower: 1 }))
}

const fn pspnet(depth: resnet::Depth) -> A {
    A::Segmenter(S::PspNet(PspNetConfig { depth, num_classes: 21, narrower: 1 }))
}

/// The model of a name.
///
/// # Errors
/// A name that is not in the registry; the nearest one is suggested.
pub fn find(name: &str) -> Result<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let near = nearest(name, REGISTRY.iter().map(|entry| &*entry.name));
        Error::input(format!("unknown model `{name}`")).hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`kiln models` lists them".to_string(),
        })
    })
}

/// The model of a name, or of a Darknet cfg: what ends in `.cfg` is the path of one.
///
/// # Errors
/// A name that is not in the registry; a cfg that cannot be read, or in which there is a mistake.
pub fn find_or_read(model: &str) -> Result<Entry> {
    match Path::new(model).extension() {
        Some(extension) if extension == "cfg" => Entry::of_cfg(Path::new(model)),
        _ => find(model).cloned(),
    }
}
