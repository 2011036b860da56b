//! What PyTorch saves, written here by hand, instruction by instruction: pickle's are in Python's `pickletools.py`, PyTorch's
//! layouts in `torch/serialization.py`.

#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use burn::prelude::*;
use kiln_zoo::{StateDict, WeightFile, find, load};
use zip::write::SimpleFileOptions;

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn tuple(numbers: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| [b'K', *number]).collect();
    [b"(", &numbers[..], b"t"].concat()
}

/// A dictionary of a pickle's values.
fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &items[..], b"u"].concat()
}

/// A view of storage `key`, which has `count` numbers.
fn tensor(kind: &str, key: &str, count: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{kind}\n").into_bytes(),
        text(key),
        text("cpu"),
        vec![b'K', count],
        b"tQ".to_vec(),
        vec![b'K', offset],
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// Six floats, 0 to 5, as storage `0`.
fn six(offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    tensor("FloatStorage", "0", 6, offset, shape, strides)
}

fn six_floats() -> Vec<u8> {
    (0..6).flat_map(|number| (number as f32).to_le_bytes()).collect()
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(format!("archive/{name}"), stored).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// An archive of a pickle and the six floats.
fn saved(object: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02", object, b"."].concat();
    archive(&[("data.pkl", &pickle), ("byteorder", b"little"), ("data/0", &six_floats())])
}

fn read(file: Vec<u8>) -> kiln_core::Result<StateDict> {
    WeightFile::new(Cursor::new(file)).and_then(StateDict::of)
}

/// A published file, where it is at hand.
fn published(name: &str) -> Option<PathBuf> {
    let mut places = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let file = places
        .find_map(|place| Some(place.join("shared/data/weights").join(name)).filter(|file| file.is_file()));
    if file.is_none() {
        println!("skipped: {name} is not there");
    }
    file
}

fn names(dict: &StateDict) -> Vec<&str> {
    dict.tensors.keys().map(String::as_str).collect()
}

#[test]
fn a_view_of_a_storage_has_the_numbers_that_its_strides_reach() {
    // The six floats as rows of three: 0 1 2 / 3 4 5.
    let rows = [
        ("as it lies", six(0, &[2, 3], &[3, 1]), vec![2, 3], vec![0., 1., 2., 3., 4., 5.]),
        ("transposed", six(0, &[3, 2], &[1, 3]), vec![3, 2], vec![0., 3., 1., 4., 2., 5.]),
        ("second row", six(3, &[3], &[1]), vec![3], vec![3., 4., 5.]),
        ("last column", six(2, &[2], &[3]), vec![2], vec![2., 5.]),
        ("repeated", six(4, &[3, 2], &[0, 1]), vec![3, 2], vec![4., 5., 4., 5., 4., 5.]),
        ("one number", six(5, &[], &[]), vec![], vec![5.]),
    ];
    let all: Vec<_> = rows.iter().map(|(name, pickle, ..)| (*name, pickle.clone())).collect();
    let together = read(saved(&dict(&all))).unwrap();
    for (name, _, shape, values) in rows {
        assert_eq!(together.tensors[name], (shape, values), "{name}");
    }
}

#[test]
fn every_float_becomes_32_bits_and_integers_are_left_out() {
    // 1.5 and -2 in each format: sign, exponent, fraction.
    let halves = [0x3E00u16, 0xC000].map(u16::to_le_bytes).concat();
    let brains = [0x3FC0u16, 0xC000].map(u16::to_le_bytes).concat();
    let doubles = [1.5f64, -2.0].map(f64::to_le_bytes).concat();
    let kinds = ["HalfStorage", "BFloat16Storage", "DoubleStorage", "LongStorage"];
    let tensors = kinds.map(|kind| (kind, tensor(kind, kind, 2, 0, &[2], &[1])));
    let pickle = [b"\x80\x02", &dict(&tensors)[..], b"."].concat();
    let dict = read(archive(&[
        ("data.pkl", &pickle),
        ("data/HalfStorage", &halves),
        ("data/BFloat16Storage", &brains),
        ("data/DoubleStorage", &doubles),
        ("data/LongStorage", &[0; 16]),
    ]));
    let dict = dict.unwrap();
    assert_eq!(names(&dict), ["BFloat16Storage", "DoubleStorage", "HalfStorage"]);
    assert!(dict.tensors.values().all(|tensor| *tensor == (vec![2], vec![1.5, -2.0])));
}

#[test]
fn the_weights_are_found_in_a_checkpoint() {
    let weights = dict(&[("module.a", six(0, &[1], &[1])), ("module.b", six(1, &[1], &[1]))]);
    let momentum = dict(&[("momentum", six(0, &[6], &[1]))]);
    // `epoch` is an integer, `args` an object of an unknown class with attributes.
    let args = [b"cargparse\nNamespace\n)\x81", &dict(&[("lr", b"K\x01".to_vec())])[..], b"b"].concat();
    for key in ["state_dict", "model_state_dict", "model", "net"] {
        let checkpoint = dict(&[
            ("epoch", b"K\x03".to_vec()),
            ("optimizer", momentum.clone()),
            (key, weights.clone()),
            ("args", args.clone()),
        ]);
        let file = saved(&checkpoint);
        assert_eq!(names(&read(file.clone()).unwrap()), ["a", "b"], "{key}");
        let all = WeightFile::new(Cursor::new(file)).unwrap();
        let mut expected =
            ["optimizer.momentum".to_string(), format!("{key}.module.a"), format!("{key}.module.b")];
        expected.sort();
        assert!(all.tensors().iter().map(|tensor| &tensor.name).eq(&expected), "{key}");
    }
    let nested = dict(&[("backbone", dict(&[("stem", weights)])), ("head", six(0, &[1], &[1]))]);
    assert_eq!(
        names(&read(saved(&nested)).unwrap()),
        ["backbone.stem.module.a", "backbone.stem.module.b", "head"]
    );
    let compiled =
        dict(&[("_orig_mod.module.a", six(0, &[1], &[1])), ("_orig_mod.module.b", six(0, &[1], &[1]))]);
    assert_eq!(names(&read(saved(&compiled)).unwrap()), ["a", "b"]);
}

/// An object of a class with these attributes.
fn object(place: &str, class: &str, attributes: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [format!("c{place}\n{class}\n").as_bytes(), b")\x81", &dict(attributes), b"b"].concat()
}

/// A module as PyTorch pickles it whole: parameters, buffers, modules.
fn module_of(
    parameters: &[(&str, Vec<u8>)],
    buffers: &[(&str, Vec<u8>)],
    modules: &[(&str, Vec<u8>)],
) -> Vec<u8> {
    object(
        "models.common",
        "Conv",
        &[
            ("training", b"\x89".to_vec()),
            ("_parameters", dict(parameters)),
            ("_buffers", dict(buffers)),
            // `set(['table'])`, as protocol 2 has it.
            (
                "_non_persistent_buffers_set",
                [b"c__builtin__\nset\n](", &text("table")[..], b"e\x85R"].concat(),
            ),
            ("_modules", dict(modules)),
            // What a module has beside is not in its state dict.
            ("stride", six(0, &[3], &[1])),
        ],
    )
}

#[test]
fn of_a_whole_module_the_tensors_of_its_state_dict_are_read() {
    let nothing = || b"N".to_vec();
    let conv = |first| module_of(&[("weight", six(first, &[2], &[1])), ("bias", nothing())], &[], &[]);
    let norm = module_of(
        &[("weight", six(2, &[1], &[1]))],
        &[
            ("running_mean", six(3, &[1], &[1])),
            ("num_batches_tracked", tensor("LongStorage", "steps", 1, 0, &[], &[])),
            ("table", six(0, &[6], &[1])),
        ],
        &[],
    );
    let network = |first| {
        let layers = module_of(&[], &[], &[("0", conv(first)), ("1", norm.clone()), ("2", nothing())]);
        module_of(&[("scale", six(5, &[1], &[1]))], &[], &[("model", layers)])
    };
    let read_of = |pickle: Vec<u8>| {
        let pickle = [b"\x80\x02", &pickle[..], b"."].concat();
        let files =
            [("data.pkl", &pickle[..]), ("data/0", &six_floats()), ("data/steps", &[7, 0, 0, 0, 0, 0, 0, 0])];
        read(archive(&files)).unwrap()
    };
    // `Module.state_dict` names a tensor by the path to it; of the checkpoints the second has no average yet.
    let names_of_all = ["model.0.weight", "model.1.running_mean", "model.1.weight", "scale"];
    let rows = [
        ("alone", network(0), 0.0),
        ("no average", dict(&[("epoch", b"K\x03".to_vec()), ("model", network(0)), ("ema", nothing())]), 0.0),
        (
            "an average",
            dict(&[("model", network(0)), ("ema", network(3)), ("updates", b"K\x09".to_vec())]),
            3.0,
        ),
        (
            "a dictionary of that name",
            dict(&[("ema", dict(&[("decay", six(0, &[1], &[1]))])), ("model", network(0))]),
            0.0,
        ),
    ];
    for (name, pickle, first) in rows {
        let dict = read_of(pickle);
        assert_eq!(names(&dict), names_of_all, "{name}");
        assert_eq!(dict.tensors["model.0.weight"], (vec![2], vec![first, first + 1.0]), "{name}");
        assert_eq!(dict.tensors["scale"], (vec![1], vec![5.0]), "{name}");
    }
}

#[test]
fn a_published_checkpoint_of_a_module_has_the_weights_of_its_state_dict() {
    let Some(file) = published("yolov5n/yolov5n.pt") else { return };
    // The same weights, written from `Module.state_dict` in PyTorch.
    let expected = StateDict::read(&file.with_extension("safetensors")).unwrap();
    let dict = StateDict::read(&file).unwrap();
    assert!(dict.tensors.keys().eq(expected.tensors.keys()), "{:?}", names(&dict));
    for (name, tensor) in &expected.tensors {
        assert!(dict.tensors[name] == *tensor, "{name}");
    }
    let entry = find("yolov5n").unwrap();
    load(entry.detector(80, &Device::flex()).unwrap(), entry, dict, &file).unwrap();
}

#[test]
fn protocol_4_and_the_dictionaries_of_python_2_are_read() {
    // A frame, short texts, classes from the stack, the memo by order; a parameter around the tensor.
    let mut four =
        b"\x80\x04\x95\0\0\0\0\0\0\0\0}\x94\x8c\x01w\x94\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_parameter"
            .to_vec();
    four.extend(b"\x94\x93\x94(h\x02\x8c\x12_rebuild_tensor_v2\x93((\x8c\x07storage\x8c\x05torch\x8c\x0cFloatStorage\x93");
    four.extend(b"\x8c\x010\x8c\x03cpuK\x06tQK\x02K\x02\x85K\x01\x85\x89NtR\x88NtRs.");
    let file = archive(&[("data.pkl", &four), ("data/0", &six_floats())]);
    assert_eq!(read(file).unwrap().tensors["w"], (vec![2], vec![2.0, 3.0]));

    // `OrderedDict([['w', tensor]])`, the name as a byte string.
    let two = [b"ccollections\nOrderedDict\n(](](U\x01w", &six(1, &[1], &[1])[..], b"eetR"].concat();
    assert_eq!(read(saved(&two)).unwrap().tensors["w"], (vec![1], vec![1.0]));
}

#[test]
fn files_from_before_1_6_are_read() {
    // Version 1001; a pickle without an archive, whose storages follow with their counts, in the order of the list.
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend([b"\x80\x02", &dict(&[("little_endian", b"\x88".to_vec())])[..], b"."].concat());
    let pickle =
        dict(&[("a", six(0, &[2, 3], &[3, 1])), ("b", tensor("HalfStorage", "9", 1, 0, &[1], &[1]))]);
    file.extend([b"\x80\x02", &pickle[..], b".\x80\x02](", &text("9"), &text("0"), b"e."].concat());
    file.extend([&1u64.to_le_bytes()[..], &[0x00, 0x3E]].concat());
    file.extend([&6u64.to_le_bytes()[..], &six_floats()].concat());
    let dict = read(file.clone()).unwrap();
    assert_eq!(dict.tensors["a"], (vec![2, 3], vec![0., 1., 2., 3., 4., 5.]));
    assert_eq!(dict.tensors["b"], (vec![1], vec![1.5]));
    file.pop();
    let line = read(file).unwrap_err().to_string();
    assert!(
        line.starts_with("storage `0`: is said to have 6 numbers, but the file has 23 bytes left"),
        "{line}"
    );
}

#[test]
fn what_is_no_state_dict_is_refused_in_a_line_that_says_what_to_do() {
    let module = b"cultralytics.nn.tasks\nDetectionModel\n)\x81}X\x08\0\0\0trainingK\0sb".to_vec();
    let good = dict(&[("a", six(0, &[1], &[1]))]);
    let pickle = [b"\x80\x02", &good[..], b"."].concat();
    let other = "holds an object of the class `ultralytics.nn.tasks.DetectionModel`, which is no module with tensors; save \
                 `model.state_dict()`";
    let part = |rest: &[(&str, Vec<u8>)]| object("models.yolo", "Model", rest);
    let none = || ("_modules", dict(&[]));
    let rows: [(Vec<u8>, &str); 17] = [
        (saved(&module), other),
        (saved(&dict(&[("optimizer", good.clone()), ("model", module)])), other),
        (
            saved(b"cmodels.yolo\nModel\n"),
            "holds an object of the class `models.yolo.Model`, which is no module",
        ),
        (saved(&part(&[none()])), "a module (class `models.yolo.Model`) without its `_parameters`"),
        (
            saved(&dict(&[("model", part(&[("_parameters", good.clone()), none()]))])),
            "`model`: a module (class `models.yolo.Model`) without its `_buffers`",
        ),
        (
            saved(&part(&[
                ("_parameters", good.clone()),
                ("_buffers", dict(&[])),
                ("_modules", b"N".to_vec()),
            ])),
            "a module (class `models.yolo.Model`) without its `_modules`",
        ),
        (
            saved(&module_of(&[("a", six(4, &[3], &[1]))], &[], &[])),
            "`a`: the shape [3] of F32 takes 12 bytes, but 8 are there",
        ),
        (saved(&six(0, &[1], &[1])), "holds no dictionary of tensors"),
        (saved(&dict(&[("epoch", b"K\x01".to_vec())])), "holds no floating-point tensors"),
        (
            saved(&dict(&[("a", b"ctorch._utils\n_rebuild_qtensor\n)R".to_vec())])),
            "`a`: a tensor of a kind that is not read",
        ),
        (saved(&dict(&[("a", six(0, &[1], &[1])), ("a", six(1, &[1], &[1]))])), "`a`: the name stands twice"),
        (
            saved(&dict(&[("a", six(4, &[3], &[1]))])),
            "`a`: the shape [3] of F32 takes 12 bytes, but 8 are there",
        ),
        (
            saved(&dict(&[("a", tensor("FloatStorage", "7", 6, 0, &[1], &[1]))])),
            "`a`: its storage `7` is not in the file",
        ),
        (
            saved(&dict(&[("a", tensor("FloatStorage", "0", 7, 0, &[1], &[1]))])),
            "said to have 7 numbers, but has 24 bytes",
        ),
        (
            archive(&[("data.pkl", &pickle), ("byteorder", b"big"), ("data/0", &six_floats())]),
            "in \"big\" byte order",
        ),
        (
            archive(&[("data.pkl", &pickle), ("constants.pkl", b""), ("data/0", &six_floats())]),
            "a TorchScript program",
        ),
        (archive(&[("readme.txt", b"hello")]), "a zip archive without `data.pkl`"),
    ];
    for (file, expected) in rows {
        let line = read(file).unwrap_err().to_string();
        assert!(line.contains(expected), "{line}\nlacks {expected}");
    }
}

#[test]
fn nothing_in_a_pickle_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let command = text(&format!("touch {}", trace.display()));
    let call = [b"cos\nsystem\n(", &command[..], b"tR"].concat();
    let dict = read(saved(&dict(&[("a", six(0, &[1], &[1])), ("b", call)]))).unwrap();
    assert_eq!(names(&dict), ["a"]);
    assert!(!trace.exists());
}

#[test]
fn published_files_have_the_numbers_that_pytorch_reads() {
    // Tensors of floats, and their sum in 64 bits: `sum(v.double().sum() for v in d.values() if v.is_floating_point())`.
    const FILES: [(&str, usize, f64); 4] = [
        ("resnet-cifar10/resnet20-12fca82f.th", 97, 139.782650),
        ("resnet-cifar10/resnet32-d509ac18.th", 157, 721.517890),
        ("cifar10-chenyaofo/cifar10_resnet20-4118986f.pt", 107, -493.664106),
        ("cifar10-chenyaofo/cifar10_shufflenetv2_x0_5-1308b4e9.pt", 282, 504.758487),
    ];
    for (name, tensors, sum) in FILES {
        let Some(file) = published(name) else { continue };
        let dict = StateDict::read(&file).unwrap();
        let ours: f64 =
            dict.tensors.values().flat_map(|(_, values)| values).map(|value| f64::from(*value)).sum();
        assert_eq!(dict.tensors.len(), tensors, "{name}");
        assert!((ours - sum).abs() < 1e-6 * sum.abs(), "{name}: {ours}, PyTorch has {sum}");
    }
}
