//! What graphs say that layers see of an image.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use kiln_graph::{Field, Graph};

use zoo::named;

fn field(graph: &Graph, name: &str) -> Field {
    let at = graph.nodes.iter().position(|node| node.name == graph.find(name).unwrap().name).unwrap();
    graph.fields()[at].unwrap()
}

/// concepts.md 3.4 and numbers.md 2.7: layer, field and stride.
const FIELDS: [(&str, &str, f64, f64); 57] = [
    ("alexnet", "features.0", 11.0, 4.0),
    ("alexnet", "features.max_pool2d", 19.0, 8.0),
    ("alexnet", "features.3", 51.0, 8.0),
    ("alexnet", "features.max_pool2d:2", 67.0, 16.0),
    ("alexnet", "features.6", 99.0, 16.0),
    ("alexnet", "features.8", 131.0, 16.0),
    ("alexnet", "features.10", 163.0, 16.0),
    ("alexnet", "max_pool2d", 195.0, 32.0),
    ("vgg16", "features.0", 3.0, 1.0),
    ("vgg16", "features.2", 5.0, 1.0),
    ("vgg16", "features.max_pool2d", 6.0, 2.0),
    ("vgg16", "features.5", 10.0, 2.0),
    ("vgg16", "features.7", 14.0, 2.0),
    ("vgg16", "features.max_pool2d:2", 16.0, 4.0),
    ("vgg16", "features.10", 24.0, 4.0),
    ("vgg16", "features.12", 32.0, 4.0),
    ("vgg16", "features.14", 40.0, 4.0),
    ("vgg16", "features.max_pool2d:3", 44.0, 8.0),
    ("vgg16", "features.17", 60.0, 8.0),
    ("vgg16", "features.19", 76.0, 8.0),
    ("vgg16", "features.21", 92.0, 8.0),
    ("vgg16", "features.max_pool2d:4", 100.0, 16.0),
    ("vgg16", "features.24", 132.0, 16.0),
    ("vgg16", "features.26", 164.0, 16.0),
    ("vgg16", "features.28", 196.0, 16.0),
    ("vgg16", "max_pool2d", 212.0, 32.0),
    ("vgg11", "max_pool2d", 150.0, 32.0),
    ("vgg13", "max_pool2d", 156.0, 32.0),
    ("vgg19", "max_pool2d", 268.0, 32.0),
    // Of the FCN paper's Table 1: with the first linear layer as a convolution.
    ("fcn_alexnet", "fc6", 355.0, 32.0),
    ("fcn32s_vgg16", "fc6", 404.0, 32.0),
    ("resnet50-v1", "layer1", 35.0, 4.0),
    ("resnet50-v1", "layer2", 99.0, 8.0),
    ("resnet50-v1", "layer3", 291.0, 16.0),
    ("resnet50-v1", "layer4", 483.0, 32.0),
    ("resnet101-v1", "layer4", 1027.0, 32.0),
    ("resnet152-v1", "layer4", 1507.0, 32.0),
    ("resnet50", "layer1", 35.0, 4.0),
    ("resnet50", "layer2", 91.0, 8.0),
    ("resnet50", "layer3", 267.0, 16.0),
    ("resnet50", "layer4", 427.0, 32.0),
    ("resnet101", "layer4", 971.0, 32.0),
    ("resnet152", "layer4", 1451.0, 32.0),
    ("resnet18", "layer4", 435.0, 32.0),
    ("resnet34", "layer4", 899.0, 32.0),
    ("googlenet-2014", "inception5b", 715.0, 32.0),
    ("googlenet", "inception5b", 379.0, 32.0),
    ("densenet121", "features", 2071.0, 32.0),
    ("densenet169", "features", 3351.0, 32.0),
    ("densenet201", "features", 3863.0, 32.0),
    ("densenet161", "features", 2967.0, 32.0),
    ("shufflenet_v2_x1_0", "conv5", 527.0, 32.0),
    ("cifar10-resnet110", "layer3", 501.0, 4.0),
    ("darknet19", "conv", 374.0, 32.0),
    ("darknet53", "backbone", 725.0, 32.0),
    ("deeplabv3_resnet50", "backbone", 427.0, 8.0),
    // The pyramid's branch of the widest dilation.
    ("deeplabv3_resnet101", "classifier.0.convs.3", 1547.0, 8.0),
];

#[test]
fn receptive_fields_are_the_published_ones() {
    for (model, layer, size, stride) in FIELDS {
        let field = field(&named(model), layer);
        for side in field.sides {
            assert_eq!((side.size, side.stride), (size, stride), "{model}: {layer}");
        }
        assert!(field.aligned, "{model}: {layer}");
    }
}

/// google-research/receptive_field: the table's effective paddings, of the networks whose padding is not TensorFlow's `SAME`
/// at odd places.
#[test]
fn the_padding_of_one_convolution_that_sees_the_same_is_the_published_one() {
    for (model, layer, padding) in [("alexnet-2012", "max_pool2d", 64.0), ("vgg16", "max_pool2d", 90.0)] {
        assert_eq!(field(&named(model), layer).sides.map(|side| side.padding()), [padding; 2], "{model}");
    }
}

#[test]
fn branches_that_look_at_different_places_are_said_not_to_be_aligned() {
    // A map enlarged by its nearest pixels is half a pixel of its own off the map that it is joined with.
    assert!(!field(&named("yolov3"), "cat").aligned);
    // The branches of a block of GoogLeNet and of a residual block look at one place.
    assert!(field(&named("googlenet"), "inception5b").aligned);
}

#[test]
fn a_classifier_sees_the_image() {
    let graph = named("vgg16");
    let last = field(&graph, "classifier.6");
    assert!(last.whole && last.axes.is_none());
    // Seven outputs of stride 32, each of 212 pixels: 212 + 6 * 32.
    assert_eq!(last.sides.map(|side| side.size), [404.0; 2]);
    // The FCN paper's Table 1 of GoogLeNet, seven outputs of 715 pixels: 715 + 6 * 32.
    assert_eq!(field(&named("googlenet-2014"), "fc").sides.map(|side| side.size), [907.0; 2]);
    let node = graph.find("classifier.6").unwrap();
    assert_eq!(graph.sees(node, [0, 0]), Some([0..=223, 0..=223]));
}

#[test]
fn the_pixels_that_an_output_sees_end_at_the_border() {
    let graph = named("vgg16");
    let pool = graph.find("max_pool2d").unwrap();
    // The first output's field begins 90 pixels before the image and has 212; the fourth's 96 pixels further.
    assert_eq!(graph.sees(pool, [0, 3]), Some([0..=121, 6..=217]));
    assert_eq!(graph.sees(pool, [6, 0]), Some([102..=223, 0..=121]));
}

#[test]
fn names_are_paths_in_the_module_and_lead_to_what_a_module_gives() {
    let graph = named("resnet50");
    let names = |module: &str| graph.find(module).unwrap().name.clone();
    assert_eq!(names("layer1.0.conv2"), "layer1.0.conv2");
    assert_eq!(names("layer3"), "layer3.5.relu:3");
    assert_eq!(graph.find("layer3").unwrap().shape(), [1, 1024, 14, 14]);
    assert_eq!(names("layer2.0.add"), "layer2.0.add");
    assert!(graph.find("layer5").is_none());
    // Of every model, each name is one node's.
    for model in ["googlenet", "densenet121", "yolov4", "unet", "segnet", "shufflenet_v2_x1_0"] {
        let graph = named(model);
        let mut names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), graph.nodes.len(), "{model}");
    }
}
