//! Data sets by name and by path; the real ones where `../shared/data` is.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use kiln_data::{FileState, Layout, Roots, Shapes, check, describe, fetch, list, open};

fn no_roots() -> (tempfile::TempDir, Roots) {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots { datasets: folder.path().join("datasets"), data: None };
    (folder, roots)
}

/// The shared data, or a line that says that the test is skipped.
fn shared() -> Option<Roots> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    match data.is_dir() {
        true => Some(Roots { datasets: PathBuf::from("nowhere"), data: Some(data) }),
        false => {
            println!("skipped: {} is not here", data.display());
            None
        }
    }
}

fn picture(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    RgbImage::from_pixel(4, 4, Rgb([1, 2, 3])).save(folder.join(name)).unwrap();
}

/// One 1x1 image of class 3 in each split, as MNIST's files.
fn write_idx(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for split in ["train", "t10k"] {
        let images = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 42];
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 1, 3]).unwrap();
    }
}

#[test]
fn shapes_is_always_there() {
    let (_folder, roots) = no_roots();
    let opened = open("shapes", &roots).unwrap();
    assert_eq!(opened.layout, Layout::Generated);
    assert_eq!(opened.splits, [("train".to_string(), 20_000), ("test".to_string(), 2_000)]);
    assert_eq!(opened.classes, Shapes::CLASS_NAMES);
    let test = opened.split("test").unwrap();
    assert_eq!((test.len(), test.get(7).unwrap().image.dimensions()), (2_000, (32, 32)));
    let error = opened.split("tset").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("did you mean `test`? It has `train`, `test`"), "{error}");
}

#[test]
fn a_name_is_looked_for_in_datasets_first_and_then_in_kiln_data() {
    let (folder, mut roots) = no_roots();
    let data = folder.path().join("data");
    write_idx(&data.join("mnist"));
    roots.data = Some(data.clone());
    let opened = open("mnist", &roots).unwrap();
    assert_eq!((opened.layout, opened.root.clone()), (Layout::Idx, Some(data.join("mnist"))));
    // Names, mean and std come from the manifest that is built in.
    assert_eq!(opened.classes.len(), 10);
    assert_eq!(opened.normalization.unwrap().mean, [0.1307; 3]);

    // A download that has only begun is passed over; one that is done is taken.
    let raw = roots.datasets.join("mnist/raw");
    fs::create_dir_all(&raw).unwrap();
    fs::write(raw.join("train-images-idx3-ubyte.gz.part"), "begun").unwrap();
    assert_eq!(open("mnist", &roots).unwrap().root, Some(data.join("mnist")));
    write_idx(&raw);
    assert_eq!(open("mnist", &roots).unwrap().root, Some(raw));
}

#[test]
fn a_path_is_opened_by_its_files_and_without_a_manifest_classes_are_numbers() {
    let (folder, roots) = no_roots();
    let path = folder.path().join("digits-of-mine");
    write_idx(&path);
    let opened = open(path.to_str().unwrap(), &roots).unwrap();
    assert_eq!(
        (opened.name.as_str(), opened.normalization, opened.manifest.is_none()),
        ("digits-of-mine", None, true)
    );
    assert_eq!(opened.classes, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(opened.split("test").unwrap().get(0).unwrap().truth.class, Some(3));

    // `datasets/mnist` and `datasets/mnist/raw` are both MNIST.
    let mnist = roots.datasets.join("mnist");
    write_idx(&mnist.join("raw"));
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/mnist/manifest.toml"),
        mnist.join("manifest.toml"),
    )
    .unwrap();
    for path in [mnist.clone(), mnist.join("raw")] {
        let opened = open(path.to_str().unwrap(), &roots).unwrap();
        assert_eq!((opened.name.as_str(), opened.manifest.is_some()), ("mnist", true), "{}", path.display());
    }
}

#[test]
fn a_folder_that_is_only_called_cifar10_does_not_get_its_mean() {
    let (folder, roots) = no_roots();
    let path = folder.path().join("cifar10");
    for class in ["cat", "dog"] {
        picture(&path.join("train").join(class), "a.png");
    }
    let opened = open(path.to_str().unwrap(), &roots).unwrap();
    assert_eq!((opened.layout, opened.normalization, opened.classes.len()), (Layout::ImageFolder, None, 2));
}

#[test]
fn what_cannot_be_opened_is_one_line_that_says_what_to_do() {
    let (folder, mut roots) = no_roots();
    roots.data = Some(folder.path().to_path_buf());
    fs::create_dir_all(folder.path().join("hollow")).unwrap();
    fs::write(folder.path().join("a.txt"), "text").unwrap();
    let file = folder.path().join("a.txt").display().to_string();
    let rows = [
        ("fashon-mnist", "no data set `fashon-mnist`; did you mean `fashion-mnist`?"),
        (
            "photographs-of-mine",
            "known are bccd, camvid, cifar10, cifar100, coco, coco128, fashion-mnist, hollow, imagenet, mnist, shapes, voc",
        ),
        ("mnist", "data set `mnist` is not here; run `kiln data fetch mnist`"),
        ("imagenet", "data set `imagenet` is not here; register at image-net.org"),
        ("nowhere/at/all", "nowhere/at/all: no such folder"),
        ("hollow", "hollow: no images in it; expected split/class/image.jpg"),
        ("", "no data set ``"),
        (&file, "a file, where a folder is expected"),
    ];
    for (name, expected) in rows {
        let error = open(name, &roots).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}\nlacks: {expected}");
    }
}

#[test]
fn the_list_has_what_is_there_what_could_be_and_what_is_broken() {
    let (folder, mut roots) = no_roots();
    let data = folder.path().join("data");
    for class in ["cat", "dog"] {
        picture(&data.join("pets").join(class), "a.png");
    }
    fs::create_dir_all(data.join("empty")).unwrap();
    write_idx(&data.join("fashion-mnist"));
    write_idx(&data.join("broken"));
    fs::write(data.join("broken/train-images-idx3-ubyte"), [0, 0, 8]).unwrap();
    roots.data = Some(data.clone());
    let listed = list(&roots).unwrap();
    let rows: Vec<_> =
        listed.iter().map(|row| (row.name.as_str(), row.present, row.items, row.problem.is_some())).collect();
    let expected = [
        ("bccd", false, 656, false),
        ("broken", false, 0, true),
        ("camvid", false, 701, false),
        ("cifar10", false, 60_000, false),
        ("cifar100", false, 60_000, false),
        ("coco", false, 123_287, false),
        ("coco128", false, 128, false),
        ("fashion-mnist", true, 2, false),
        ("imagenet", false, 1_331_167, false),
        ("mnist", false, 70_000, false),
        ("pets", true, 2, false),
        ("shapes", true, 22_000, false),
        ("voc", false, 21_503, false),
    ];
    assert_eq!(rows, expected);
    let of = |name: &str| listed.iter().find(|row| row.name == name).unwrap();
    assert_eq!(of("fashion-mnist").root, Some(data.join("fashion-mnist")));
    assert_eq!(of("fashion-mnist").licence.as_deref(), Some("MIT"));
    assert_eq!(
        (of("fashion-mnist").advice.as_deref(), of("cifar10").advice.as_deref()),
        (None, Some("run `kiln data fetch cifar10`"))
    );
}

#[test]
fn what_is_not_here_is_described_by_its_manifest() {
    let (_folder, roots) = no_roots();
    let imagenet = describe("imagenet", &roots).unwrap();
    assert_eq!((imagenet.layout, imagenet.items()), (Layout::Absent, 1_281_167 + 50_000));
    assert_eq!((imagenet.classes.len(), imagenet.classes[0].as_str()), (1_000, "tench"));
    assert_eq!(imagenet.normalization.unwrap().mean, [0.485, 0.456, 0.406]);
    let val = imagenet.split("val").unwrap();
    assert_eq!(val.len(), 50_000);
    for error in
        [val.get(7).unwrap_err(), imagenet.absence().unwrap().clone(), open("imagenet", &roots).unwrap_err()]
    {
        assert!(error.to_string().starts_with("data set `imagenet` is not here; register at"), "{error}");
    }
    let error = imagenet.split("test").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("it has `train`, `val`"), "{error}");
    // It cannot be downloaded either, and nothing is made on disk.
    let error = fetch(imagenet.manifest.as_ref().unwrap(), &roots.datasets, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("`imagenet` cannot be downloaded; register at"), "{error}");
    assert!(!roots.datasets.exists());
    // What is here is not absent, and what nobody knows is an error.
    assert!(describe("shapes", &roots).unwrap().absence().is_none());
    assert!(describe("imagenette", &roots).is_err());
}

#[test]
fn the_folders_of_imagenet_get_their_names() {
    let (_folder, roots) = no_roots();
    let raw = roots.datasets.join("imagenet/raw");
    let names = include_str!("../../../datasets/imagenet/classes.txt");
    for line in names.lines() {
        fs::create_dir_all(raw.join("val").join(line.split('\t').next().unwrap())).unwrap();
    }
    picture(&raw.join("val/n01440764"), "a.JPEG");
    // One class of a thousand is not ImageNet: the folder's name is all that is known.
    assert_eq!(open("imagenet", &roots).unwrap().classes, ["n01440764"]);
    for line in names.lines() {
        // Only listed, never read.
        fs::write(raw.join("val").join(line.split('\t').next().unwrap()).join("b.JPEG"), "").unwrap();
    }
    let imagenet = open("imagenet", &roots).unwrap();
    assert_eq!((imagenet.layout, imagenet.items()), (Layout::ImageFolder, 1_001));
    assert_eq!((imagenet.classes[0].as_str(), imagenet.classes[999].as_str()), ("tench", "toilet tissue"));
    assert_eq!(imagenet.split("val").unwrap().get(0).unwrap().truth.class, Some(0));
}

#[test]
fn a_check_finds_every_bad_image_and_every_wrong_file() {
    let (folder, roots) = no_roots();
    let pets = folder.path().join("pets");
    for class in ["cat", "dog"] {
        picture(&pets.join(class), "a.png");
        fs::write(pets.join(class).join("b.jpg"), "no photograph").unwrap();
    }
    let report = check(pets.to_str().unwrap(), &roots).unwrap();
    assert_eq!((report.images, report.wrong.len(), report.is_whole()), (4, 2, false));
    let named: Vec<_> = report.wrong.iter().map(|error| error.file_named().unwrap().to_path_buf()).collect();
    assert_eq!(named, [pets.join("cat/b.jpg"), pets.join("dog/b.jpg")]);

    let mnist = roots.datasets.join("mnist/raw");
    fs::create_dir_all(&mnist).unwrap();
    // 4542 bytes is what t10k-labels has; these are others.
    fs::write(mnist.join("t10k-labels-idx1-ubyte.gz"), [0; 4542]).unwrap();
    fs::write(mnist.join("train-labels-idx1-ubyte.gz"), [0; 7]).unwrap();
    let report = check("mnist", &roots).unwrap();
    let states: Vec<_> = report.files.iter().map(|(_, state)| state.clone()).collect();
    assert_eq!(states[0], FileState::Missing);
    assert_eq!(states[1], FileState::WrongSize { expected: 28881, found: 7 });
    assert_eq!(states[2], FileState::Missing);
    assert!(
        matches!(&states[3], FileState::WrongChecksum { expected, .. } if expected.starts_with("f7ae60f9"))
    );
    assert_eq!((report.wrong.len(), report.is_whole()), (4, false));
}

#[test]
fn the_shared_data_sets_open_and_count_right() {
    let Some(roots) = shared() else { return };
    type Row<'a> = (&'a str, Layout, &'a [(&'a str, usize)], usize, &'a str);
    let rows: [Row; 3] = [
        ("fashion-mnist", Layout::Idx, &[("train", 60_000), ("test", 10_000)], 10, "T-shirt/top"),
        ("cifar10-lossless", Layout::CifarBinary, &[("train", 4_000)], 10, "airplane"),
        // 120 and 40 a class.
        ("imagenette-224", Layout::ImageFolder, &[("train", 1_200), ("val", 400)], 10, "n01440764"),
    ];
    for (name, layout, splits, classes, first) in rows {
        let opened = open(name, &roots).unwrap();
        assert_eq!(opened.layout, layout, "{name}");
        let found: Vec<_> = opened.splits.iter().map(|(name, items)| (name.as_str(), *items)).collect();
        assert_eq!(found, splits, "{name}");
        assert_eq!((opened.classes.len(), opened.classes[0].as_str()), (classes, first), "{name}");
        for (split, items) in splits {
            let split = opened.split(split).unwrap();
            assert_eq!(split.len(), *items, "{name}");
            let sample = split.get(items - 1).unwrap();
            assert!(sample.truth.class.unwrap() < classes, "{name}");
        }
    }
}

#[test]
fn fashion_mnist_is_whole_balanced_and_of_the_mean_its_manifest_says() {
    let Some(roots) = shared() else { return };
    let report = check("fashion-mnist", &roots).unwrap();
    assert_eq!((report.files.len(), report.is_whole()), (4, true), "{:?}", report.wrong);
    let opened = open("fashion-mnist", &roots).unwrap();
    let train = opened.split("train").unwrap();
    let (mut sum, mut squares, mut counts) = (0_u64, 0_u64, [0; 10]);
    for index in 0..train.len() {
        let sample = train.get(index).unwrap();
        counts[sample.truth.class.unwrap()] += 1;
        for pixel in sample.image.pixels() {
            sum += u64::from(pixel[0]);
            squares += u64::from(pixel[0]).pow(2);
        }
    }
    // 6,000 a class, as published.
    assert_eq!(counts, [6_000; 10]);
    let pixels = (60_000 * 28 * 28) as f64;
    let mean = sum as f64 / pixels / 255.0;
    let std = (squares as f64 / pixels / 255.0 / 255.0 - mean * mean).sqrt();
    println!("mean {mean:.4}, std {std:.4}");
    let normalization = opened.normalization.unwrap();
    assert!((f64::from(normalization.mean[0]) - mean).abs() < 1e-4, "{mean}");
    assert!((f64::from(normalization.std[0]) - std).abs() < 1e-4, "{std}");
}

#[test]
fn every_shared_image_of_imagenette_can_be_read() {
    let Some(roots) = shared() else { return };
    let report = check("imagenette-224", &roots).unwrap();
    assert_eq!((report.images, report.is_whole()), (1_600, true), "{:?}", report.wrong);
}
