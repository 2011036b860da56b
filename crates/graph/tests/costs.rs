//! What graphs say that models cost.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use kiln_graph::Role;
use kiln_zoo::REGISTRY;

use zoo::{graph, named};

/// fvcore 0.1.5, thop 0.1.1 and ptflops 0.7.5 (its backend `pytorch`) on torchvision 0.29.2's models in evaluation mode, one
/// image of 224x224; of 520x520 for the segmenter, without its auxiliary head. Those count what they find as a module:
/// models that call functions in their place are left out for them.
const TOOLS: [(&str, u64, Option<u64>, Option<u64>); 6] = [
    ("alexnet", 714_197_696, Some(714_206_912), Some(716_441_128)),
    ("vgg16", 15_470_289_408, Some(15_470_314_496), Some(15_523_225_576)),
    ("resnet50", 4_111_512_576, Some(4_133_742_592), Some(4_132_436_968)),
    ("densenet121", 2_865_546_752, None, None),
    ("googlenet", 1_504_878_688, Some(1_511_332_032), None),
    ("fcn_resnet50", 143_024_294_400, Some(143_277_388_800), Some(143_252_871_125)),
];

#[test]
fn each_tool_would_print_its_own_count() {
    for (name, fvcore, thop, ptflops) in TOOLS {
        let cost = named(name).cost();
        assert_eq!(cost.fvcore, fvcore, "{name}");
        assert!(thop.is_none_or(|thop| thop == cost.thop), "{name}: thop {}", cost.thop);
        assert!(ptflops.is_none_or(|ptflops| ptflops == cost.ptflops), "{name}: ptflops {}", cost.ptflops);
    }
}

/// numbers.md 2.5, in BFLOPs.
#[test]
fn darknet_would_print_its_own_count() {
    for (name, published) in [
        ("yolov2", 29.464),
        ("yolov3", 65.864),
        ("yolov3-spp", 141.449),
        ("yolov4", 128.389),
        ("yolov4-tiny", 6.908),
    ] {
        assert_eq!(
            format!("{:.3}", named(name).cost().darknet as f64 / 1e9),
            format!("{published:.3}"),
            "{name}"
        );
    }
}

#[test]
fn every_model_is_known_whole_and_has_its_published_parameters() {
    for entry in REGISTRY {
        let graph = graph(entry);
        assert!(graph.cost().complete, "{}", entry.name);
        // GoogLeNet's auxiliary classifiers are not counted, as in torchvision.
        let counted = graph.weights.iter().filter(|weight| weight.role != Role::Buffer);
        let counted =
            counted.filter(|weight| entry.family() != "GoogLeNet" || !weight.name.starts_with("aux"));
        assert_eq!(counted.map(|weight| weight.count()).sum::<u64>(), entry.params as u64, "{}", entry.name);
        assert!(
            graph.fields().iter().zip(&graph.nodes).all(|(field, node)| field.is_some() || node.constant)
        );
    }
}

#[test]
fn the_largest_dense_net_is_recorded_and_counted_in_under_a_second() {
    let start = std::time::Instant::now();
    let graph = named("densenet201");
    assert!(graph.cost().macs > 0 && !graph.fields().is_empty());
    assert!(start.elapsed().as_secs_f64() < 1.0, "{:?}", start.elapsed());
}
